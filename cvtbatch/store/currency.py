"""Which rows of a store's tables are current: the newest of their keys that stand on current ones, and are among those selected."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.store.condensed import Condensed, Places
from cvtbatch.store.fingerprints import Fingerprints, Key, are_among, newest_of
from cvtbatch.store.row_keys import INPUT_KEYS, IS_OUTLINE, PARENT_KEYS, REGION, VOLUME_KEYS

# What rows of a table are compared by with those that they stand on: columns together, and columns alone. What describes outlines
# is compared by INPUT_KEYS.
OF_VOLUME, OF_REVIEW, LOOKED_AT = (
    ("case_key", *VOLUME_KEYS),
    ("case_key", "roi_key", "input_digest"),
    ("case_key", "input_digest"),
)
FAILED = ("roi_key", "input_digest")
DECIDED_BY: Mapping[str, tuple[tuple[Key, ...], tuple[str, ...]]] = {
    "volumes": ((OF_VOLUME,), ()),
    "rois": ((OF_VOLUME, INPUT_KEYS), (REGION,)),
    "outlines": ((OF_VOLUME,), ()),
    "regions": ((PARENT_KEYS, INPUT_KEYS), ()),
    "reviews": ((OF_REVIEW, LOOKED_AT), ("roi_key",)),
    "failures": ((FAILED,), ("scope", "resolved")),
}
# Of tables on whose rows many others stand; what others are compared by is learned with them.
STOOD_ON: Mapping[str, Key] = {"volumes": OF_VOLUME, "rois": INPUT_KEYS, "regions": INPUT_KEYS}
Flags = npt.NDArray[np.bool_]
# Yield what is made of some columns of a table's rows that pass a filter, part by part, in stored order.
Reduce = Callable[[str, Sequence[str], pc.Expression | None, Callable[[pa.Table], Condensed]], Iterator[Condensed]]


class Currency:
    """Tells which rows are current; a table is looked at before those that its rows stand on.

    Args:
        restrictions: the values that are left of a column, by column; none where it is not restricted.
    """

    def __init__(
        self,
        contract: Callable[[str], TableContract],
        reduce: Reduce,
        restrictions: Mapping[str, Sequence[str]],
    ) -> None:
        self._contract, self._reduce = contract, reduce
        self._restrictions = {column: values for column, values in restrictions.items() if values}
        self._places: dict[str, Places] = {}
        # Of current rows, by table and columns.
        self._standing: dict[tuple[str, Key], Fingerprints] = {}

    def places(self, name: str) -> Places:
        """Return which rows of a table are current, by their places in stored order, ascending."""
        if name not in self._places:
            self.current(name)
        return self._places[name]

    def current(self, name: str, keys: Sequence[Key] = (), others: Sequence[str] = ()) -> Condensed:
        """Return the current rows of a table, reduced to fingerprints of some columns, and to other columns, in stored order."""
        of_others = [STOOD_ON[name]] if name in STOOD_ON else []
        if name in self._places:
            rows = self._read(name, None, [*dict.fromkeys([*keys, *of_others])], others)
        else:
            rows = self._condensed(name, keys=[*keys, *of_others], others=others)
            self._places[name] = self._current(name, rows)
        rows = rows.select([*keys, *of_others], others).take(self._places[name])
        self._standing.update({(name, key): rows.keys[key] for key in of_others})
        return rows

    def current_where(self, name: str, where: pc.Expression, key: Key) -> Fingerprints:
        """Return the fingerprints of the current rows that pass a filter, of a table whose rows never change."""
        rows = self._condensed(name, where, keys=[key])
        return rows.keys[key][self._current(name, rows)]

    def fingerprints(self, name: str, columns: Key) -> Fingerprints:
        """Return the fingerprints of some columns of a table's current rows, in stored order."""
        # They may be learned with the places.
        places = self.places(name)
        if (name, columns) not in self._standing:
            self._standing[name, columns] = self._read(name, None, [columns], []).keys[columns][places]
        return self._standing[name, columns]

    def places_where(self, name: str, where: pc.Expression) -> Places:
        """Return which rows are current of those that pass a filter, of a table whose rows never change."""
        return self._current(name, self._condensed(name, where))

    def places_among(self, name: str, rows: pa.Table) -> Places:
        """Return which of some rows are current, that have the columns which decide on it (`deciding`)."""
        return self._current(name, self._condensed(name, rows=rows))

    def _condensed(
        self,
        name: str,
        where: pc.Expression | None = None,
        rows: pa.Table | None = None,
        keys: Sequence[Key] = (),
        others: Sequence[str] = (),
    ) -> Condensed:
        """Return what decides which rows of a table are current.

        Args:
            rows: that are in memory already, with the columns that decide on it; by default all.
            keys: columns of which fingerprints are wanted too.
            others: columns that are wanted too.
        """
        contract = self._contract(name)
        deciding_keys, deciding_others = self._decided_by(contract)
        keys = list(dict.fromkeys([*deciding_keys, *keys]))
        others = list(dict.fromkeys([*deciding_others, *others]))
        return self._read(name, where, keys, others) if rows is None else Condensed.of(rows, keys, others)

    def _read(self, name: str, where: pc.Expression | None, keys: Sequence[Key], others: Sequence[str]) -> Condensed:
        """Return the rows of a table, reduced where they are read, by several threads."""
        contract = self._contract(name)
        # Where nothing is looked at, rows are counted by one column.
        columns = list(dict.fromkeys([*(column for key in keys for column in key), *others])) or [contract.key[0]]
        parts = self._reduce(name, columns, where, lambda rows: Condensed.of(rows, keys, others))
        return Condensed.joined(parts, keys, pa.schema([contract.arrow().field(column) for column in others]))

    def _decided_by(self, contract: TableContract) -> tuple[list[Key], list[str]]:
        """Return by which columns together, and by which alone, it is decided which rows of a table are current."""
        names = contract.arrow().names
        describes = contract.features or contract.name in {"embeddings", *contracts.description_tables()}
        keys, others = ((INPUT_KEYS,), ()) if describes else DECIDED_BY.get(contract.name, ((), ()))
        restricted = [column for column in self._restrictions if column in names]
        if contract.appends == "when_changed":
            return [contract.key, *keys], [*dict.fromkeys([*others, *restricted, "sequence"])]
        return [*keys], [*dict.fromkeys([*others, *restricted])]

    def _current(self, name: str, rows: Condensed) -> Places:
        """Return which of some rows are current."""
        contract = self._contract(name)
        if contract.appends == "once":
            return np.flatnonzero(self._counts(name, rows))
        places = newest_of(rows.keys[contract.key], rows.others["sequence"].to_numpy())
        return places[self._counts(name, rows.take(places))]

    def _counts(self, name: str, rows: Condensed) -> Flags:
        """Say which rows, newest of their keys, stand on current ones and are among those selected."""
        counts = np.ones(rows.count, np.bool_)
        if not rows.count:
            # Nor is what they would stand on looked at.
            return counts
        if name in {"rois", "outlines"}:
            counts = self._on_volumes(rows)
            derived = np.asarray(rows.others[REGION].is_valid()) if name == "rois" else np.zeros(0, np.bool_)
            if derived.any():
                counts[derived] &= self._stand_on(rows.keys[INPUT_KEYS][derived], "regions", INPUT_KEYS)
        elif name == "regions":
            counts = are_among(rows.keys[PARENT_KEYS], self._parents())
        elif name == "reviews":
            of_outlines = self._stand_on(rows.keys[OF_REVIEW], "rois", OF_REVIEW)
            of_volumes = self._stand_on(rows.keys[LOOKED_AT], "volumes", ("case_key", "image_digest"))
            counts = of_outlines | np.asarray(pc.equal(rows.others["roi_key"], "")) & of_volumes
        elif name == "failures":
            of_cases = np.asarray(pc.equal(rows.others["scope"], "extraction"))
            counts = (of_cases | self._stand_on(rows.keys[FAILED], "rois", FAILED)) & ~np.asarray(
                rows.others["resolved"]
            )
        elif INPUT_KEYS in rows.keys:
            counts = self._stand_on(rows.keys[INPUT_KEYS], "rois", INPUT_KEYS)
        for column, values in self._restrictions.items():
            if column in rows.others.column_names:
                # What a person drew has no specification of outlines.
                given = rows.others[column]
                chosen = pc.or_(pc.is_null(given), pc.is_in(given, value_set=pa.array(values, pa.string())))
                counts = counts & np.asarray(chosen)
        return counts

    def _stand_on(self, keys: Fingerprints, name: str, columns: tuple[str, ...]) -> Flags:
        """Say which fingerprints are those of some columns of a table's current rows."""
        return are_among(keys, self.fingerprints(name, columns))

    def _on_volumes(self, rows: Condensed) -> Flags:
        """Say which rows lie on the current volume of their case."""
        return self._stand_on(rows.keys[OF_VOLUME], "volumes", OF_VOLUME)

    def _parents(self) -> Fingerprints:
        """Return the inputs that are outlines, of every reader, and current, whatever the view is restricted to."""
        rows = self._condensed("rois", IS_OUTLINE)
        rows = rows.take(newest_of(rows.keys[self._contract("rois").key], rows.others["sequence"].to_numpy()))
        return rows.keys[INPUT_KEYS][self._on_volumes(rows)]
