"""A store's rows at one moment: now, or as a snapshot froze them.

Current is what stands on what is current: the newest row of a case, of a volume, of an outline on the case's current volume, of a
region of that outline, and the features, embeddings, descriptions and reviews of these inputs. Every table is looked at in one
version, and a row before what it stands on, so that a reader beside writers sees no row without its parents.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.errors import FormatError, InputError, InternalError
from cvtbatch.nearest import did_you_mean, enumerated
from cvtbatch.spec import FUSE, Spec, differences, parts_of
from cvtbatch.store.column_names import check_columns
from cvtbatch.store.condensed import Condensed, Places
from cvtbatch.store.currency import Currency
from cvtbatch.store.feature_sets import require_table
from cvtbatch.store.fingerprints import Fingerprints, Key, shared_in
from cvtbatch.store.fused_embeddings import read_embeddings
from cvtbatch.store.row_keys import (
    IS_OUTLINE,
    REGION,
    SPEC_COLUMNS,
    as_text,
    deciding,
    spec_column,
)
from cvtbatch.store.tables import Pin, newest
from cvtbatch.store.taken_rows import take_rows

# Of how many bytes columns are read together where a whole table is gone through.
GROUP_BYTES = 48 * 2**20
# And of how many, where rows come in parts, over and over.
PART_BYTES = 96 * 2**20
# And how many rows where a value is a vector of some thousand numbers.
PART_ROWS = 2**13
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a snapshot is restricted to; what is empty restricts nothing. `spec_ids` hold those that they build on."""

    centers: tuple[str, ...] = ()
    spec_ids: tuple[str, ...] = ()
    rois: tuple[str, ...] = ()


class Rows(Protocol):
    """Where a view reads a table's rows; see `Table`."""

    @property
    def contract(self) -> TableContract: ...
    def pin(self) -> Pin | None: ...
    def read(
        self,
        columns: Sequence[str] | None,
        where: pc.Expression | None,
        pin: Pin | None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table: ...
    def stream(
        self, columns: Sequence[str], where: pc.Expression | None, pin: Pin | None, run_ids: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]: ...
    def reduced(
        self, columns: Sequence[str], where: pc.Expression | None, pin: Pin | None, work: Callable[[pa.Table], Result]
    ) -> Iterator[Result]: ...
    def in_groups(self, columns: Sequence[str], pin: Pin, most_bytes: int) -> Iterator[pa.Table]: ...
    def in_order(
        self, columns: Sequence[str], places: npt.NDArray[np.int64], pin: Pin, most_bytes: int
    ) -> Iterator[pa.Table] | None: ...


class View:
    """The rows of a store at one moment.

    Args:
        pins: of a snapshot, every table that it has; None for now.
        label: what results say about where they come from, e.g. the name and digest of the snapshot.
    """

    def __init__(
        self,
        tables: Mapping[str, Rows],
        pins: Mapping[str, Pin] | None = None,
        selection: Selection | None = None,
        label: Mapping[str, str] | None = None,
    ) -> None:
        self._tables, self.label = tables, dict(label or {})
        self._now = pins is None
        self._pins: dict[str, Pin | None] = dict(pins or {})
        self._selection = selection or Selection()

    def contract(self, name: str) -> TableContract:
        """Return the contract of a table."""
        return self._tables[name].contract

    def pin(self, name: str) -> Pin | None:
        """Return where a table is looked at, or None where it was not there."""
        if self._now and name not in self._pins:
            self._pins[name] = self._tables[name].pin()
        return self._pins.get(name)

    def read(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table:
        """Return all rows of a table, current or not, in stored order; or those of some outlines alone, at least one."""
        pin = self.pin(name)
        if pin is None:
            schema = self.contract(name).arrow()
            return schema.empty_table().select(schema.names if columns is None else list(columns))
        return self._tables[name].read(columns, where, pin, roi_keys)

    def stream(
        self,
        name: str,
        columns: Sequence[str],
        where: pc.Expression | None = None,
        run_ids: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows of a table, current or not, or those of some runs, in stored order, some at a time."""
        pin = self.pin(name)
        return iter(()) if pin is None else self._tables[name].stream(columns, where, pin, run_ids)

    def reduced(
        self, name: str, columns: Sequence[str], where: pc.Expression | None, work: Callable[[pa.Table], Result]
    ) -> Iterator[Result]:
        """Yield what is made of all rows of a table, current or not, in stored order, where they are read; see `Table.reduced`."""
        pin = self.pin(name)
        return iter(()) if pin is None else self._tables[name].reduced(columns, where, pin, work)

    def newest(self, name: str) -> pa.Table:
        """Return the newest row of every key of a table, whether or not what it stands on is current."""
        rows = self.read(name)
        return take_rows(rows, newest(rows, self.contract(name).key))

    def specs(self) -> dict[str, Spec]:
        """Return the specifications by id."""
        rows = self.read("specs").to_pylist()
        return {row["spec_id"]: Spec(row["kind"], row["parent_id"], row["settings"]) for row in rows}

    def specs_with(self, spec_ids: Sequence[str]) -> dict[str, Spec]:
        """Return the specifications by id, once it is sure that some are among them.

        Raises:
            InputError: one of these is not.
        """
        specs = self.specs()
        for spec_id in parts_of(spec_ids):
            if spec_id not in specs:
                known = f"{did_you_mean(spec_id, specs)}it has {enumerated(specs)}"
                raise InputError("no_such_spec", f"{spec_id!r} is no specification of this store; {known}")
        return specs

    def centers(self) -> list[str]:
        """Return the centres of the current cases, in order."""
        return sorted(set(self.rows("cases", ["center"])["center"].to_pylist()))

    def rows(self, name: str, columns: Sequence[str] | None = None, spec_ids: Sequence[str] = ()) -> pa.Table:
        """Return the current rows of a table: of all specifications, or of those on volumes of some."""
        rows, indices = self.read(name, columns), self.indices(name)
        rows = rows if len(indices) == rows.num_rows else take_rows(rows, indices)
        volume = spec_column("volume")
        if not spec_ids or volume not in self.contract(name).arrow().names:
            return rows
        chosen = self._chosen("volume", spec_ids)
        of_volume = self.read(name, [volume]).take(self.indices(name))[volume]
        return rows.filter(pc.is_in(of_volume, value_set=pa.array(chosen, pa.string())))

    def current(self, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the current rows of a table in stored order, some at a time; few more than these are in memory."""
        return self._picked(name, columns, np.asarray(self.indices(name)))

    def _picked(self, name: str, columns: Sequence[str], places: Places) -> Iterator[pa.RecordBatch]:
        """Yield some rows of a table, given by their places in stored order, ascending; few more than these are in memory."""
        start = 0
        for batch in self.stream(name, columns):
            first, last = np.searchsorted(places, [start, start + batch.num_rows])
            yield batch if last - first == batch.num_rows else batch.take(pa.array(places[first:last] - start))
            start += batch.num_rows

    def shared(self, name: str, columns: Sequence[str], keys: Fingerprints, owners: Fingerprints) -> pa.Table:
        """Return the current rows that share a key with another owner's; keys and owners as fingerprints of all current rows."""
        places = shared_in(keys, owners)
        rows = self._picked(name, columns, np.asarray(self.indices(name))[places]) if len(places) else ()
        schema = self.contract(name).arrow()
        return pa.Table.from_batches(rows, pa.schema([schema.field(column) for column in columns]))

    def condensed(self, name: str, keys: Sequence[Key], others: Sequence[str] = ()) -> Condensed:
        """Return the current rows of a table, reduced to fingerprints of some columns, and to other columns: read in one go."""
        return self._currency.current(name, keys, others)

    def fingerprints(self, name: str, key: Key, where: pc.Expression | None = None) -> Fingerprints:
        """Return the fingerprints of the current rows of a table.

        Args:
            where: filter of the rows that are looked at, for tables whose rows never change.
        """
        currency = self._currency
        return currency.fingerprints(name, key) if where is None else currency.current_where(name, where, key)

    def outlines(self, columns: Sequence[str] | None = None, spec_ids: Sequence[str] = ()) -> pa.Table:
        """Return the current rows of `rois` that are outlines, people's and found ones: regions derived of them are left out."""
        names = list(self.contract("rois").arrow().names if columns is None else columns)
        return self.rows("rois", list(dict.fromkeys([*names, REGION])), spec_ids).filter(IS_OUTLINE).select(names)

    def in_groups(self, name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield all rows of a table in stored order, some columns at a time as memory is meant to hold; see `Table.in_groups`."""
        pin = self.pin(name)
        return iter(()) if pin is None else self._tables[name].in_groups(columns, pin, GROUP_BYTES)

    def in_order(self, name: str, columns: Sequence[str], indices: pa.Array) -> Iterator[pa.Table] | None:
        """Return some rows of a table, in their order, a part of rows and of columns of numbers at a time; see `Table.in_order`."""
        pin = self.pin(name)
        return None if pin is None else self._tables[name].in_order(columns, np.asarray(indices), pin, PART_BYTES)

    def in_parts(self, name: str, column: str, keys: pa.Table) -> Iterator[pa.Array]:
        """Yield a column of some rows of a table whose keys have one row each for ever, in their order, some rows at a time.

        Args:
            keys: the keys, sorted, so that neighbours lie in few files.
        """
        key = self.contract(name).key
        for start in range(0, keys.num_rows, PART_ROWS):
            part = keys.slice(start, PART_ROWS)
            rows = self.read(name, [*key, column], None, part["roi_key"].unique())
            places = pc.index_in(as_text(part, key), value_set=as_text(rows, key))
            if places.null_count:
                raise InternalError("rows_missing", f"{places.null_count} rows of table {name} were not found again")
            yield rows[column].take(places).combine_chunks()

    def indices(self, name: str, where: pc.Expression | None = None) -> pa.Array:
        """Return which rows of a table are current.

        Args:
            where: filter of the rows that are looked at, for tables whose rows never change.
        """
        currency = self._currency
        return pa.array(currency.places(name) if where is None else currency.places_where(name, where))

    @cached_property
    def _currency(self) -> Currency:
        return Currency(self.contract, self.reduced, self._restrictions())

    def _restrictions(self) -> dict[str, list[str]]:
        """Return the values that the selection leaves, by column; none where it does not restrict that column."""
        chosen = self._selection
        by_kind: dict[str, list[str]] = {column: [] for column in SPEC_COLUMNS}
        if chosen.spec_ids:
            for spec_id, spec in self.specs().items():
                if spec_id in chosen.spec_ids:
                    by_kind[spec_column(spec.kind)].append(spec_id)
        return {"center": list(chosen.centers), "roi": list(chosen.rois), **by_kind}

    def radiomics(
        self,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table:
        """Return the current radiomics rows of one specification; see `FeatureStore.radiomics`."""
        return self.features(contracts.RADIOMICS, columns, where, spec, roi_keys)

    def features(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table:
        """Return the current rows of one specification of a table of features; see `FeatureStore.features`."""
        return self._of_one_spec(table, "radiomics", columns, where, spec, roi_keys)

    def embeddings(
        self,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table:
        """Return the current embedding rows of one specification, or of several fused; see `FeatureStore.embeddings`."""

        def read(wanted: Sequence[str], spec_ids: Sequence[str]) -> pa.Table:
            return self._of_one_spec("embeddings", "embedding", wanted, where, spec_ids, roi_keys)

        names = check_columns(columns, self.contract("embeddings").arrow().names)
        return read_embeddings(read, names, [spec] if isinstance(spec, str) else list(spec or ()), self.specs_with)

    def described(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current rows of one specification of a table that describes outlines, e.g. signs; see `FeatureStore.signs`."""
        return self._of_one_spec(table, table, columns, where, spec, None)

    def _of_one_spec(
        self,
        name: str,
        kind: str,
        columns: Sequence[str] | None,
        where: pc.Expression | None,
        spec: str | Sequence[str] | None,
        roi_keys: pa.Array | None,
    ) -> pa.Table:
        """Return current rows of a table, labelled, once it is sure that they are of one specification.

        Args:
            kind: of the specification, "radiomics", "embedding", or a table that describes outlines.
        """
        contract = self.contract(name)
        wanted = check_columns(columns, contract.arrow().names)
        chosen = self._restriction_to(name, kind, spec)
        where = chosen if where is None else where if chosen is None else where & chosen
        rows = self.read(name, list(dict.fromkeys([*wanted, *deciding(contract)])), where, roi_keys)
        indices = self._currency.places_among(name, rows)
        rows = rows if len(indices) == rows.num_rows else take_rows(rows, pa.array(indices))
        spec_ids = rows[spec_column(kind)].unique().to_pylist()
        if len(spec_ids) > 1:
            raise self.several_specs(kind, sorted(spec_ids))
        found = {spec_column(kind): spec_id for spec_id in spec_ids}
        return self._labelled(rows.select(wanted), contract.features, found)

    def _restriction_to(self, name: str, kind: str, spec: str | Sequence[str] | None) -> pc.Expression | None:
        """Return the filter of a table's rows of the named specifications: of this kind, or built on a volume specification.

        Raises:
            InputError: there is no such specification, or its rows are in another table.
        """
        spec_ids = parts_of([spec] if isinstance(spec, str) else spec or ())
        if not spec_ids:
            return None
        if kind == "radiomics":
            require_table(self.specs_with(spec_ids), spec_ids, name)
        where = pc.field(spec_column("volume")).isin(pa.array(self._chosen("volume", spec_ids), pa.string()))
        if chosen := self._chosen(kind, spec_ids):
            where &= pc.field(spec_column(kind)).isin(pa.array(chosen, pa.string()))
        return where

    def _chosen(self, kind: str, spec_ids: Sequence[str]) -> list[str]:
        """Return those of some specifications, and of what they build on, that are of a kind.

        Raises:
            InputError: there is no such specification.
        """
        specs, own = self.specs_with(spec_ids), parts_of(spec_ids)
        chain = {*own, *(specs[spec_id].parent_id for spec_id in own)}
        return sorted(spec_id for spec_id in chain if spec_id in specs and specs[spec_id].kind == kind)

    def several_specs(self, kind: str, spec_ids: Sequence[str]) -> InputError:
        """Return the error of rows of several specifications, with what tells these apart."""
        specs = self.specs()
        first = spec_ids[0]
        lines = [
            f"{first} and {other} differ in {'; '.join(map(str, differences(specs, first, other)))}"
            for other in spec_ids[1:]
        ]
        return InputError(
            "several_specs",
            f"there are {kind} rows of {len(spec_ids)} specifications, which do not mix: name one of "
            f"{', '.join(spec_ids)} (--spec, spec=)"
            f"{f', or fuse them: {FUSE.join(spec_ids)}' if kind == 'embedding' else ''}\n" + "\n".join(lines),
        )

    def _labelled(self, rows: pa.Table, features: Sequence[str], spec_ids: Mapping[str, str]) -> pa.Table:
        """Return rows whose features say class, image type and unit, and which say themselves where they come from."""
        specs = self.specs()
        spec_id = spec_ids.get("radiomics_spec_id", "")
        spec = specs.get(spec_id)
        if spec is not None and spec.spec_id != spec_id:
            raise FormatError("store_damaged", f"the settings of specification {spec_id} are not what was written")
        # A unit that is not sure is not given: normalised voxels have none.
        calibrated = spec is not None and spec.content()["settings"].get("normalize") is False
        known = frozenset(features)
        fields = [
            field.with_metadata(contracts.feature_metadata(field.name, calibrated)) if field.name in known else field
            for field in rows.schema
        ]
        origin = {"cvtbatch": json.dumps({**self.label, **spec_ids})}
        return rows.cast(pa.schema(fields, metadata=origin))
