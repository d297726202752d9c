"""A feature store: its current rows, or those of a snapshot, its volumes and masks, and its weights."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.regions.rules import rules_of
from cvtbatch.store.design_matrix import Features, LeftOutWarning, design_matrix
from cvtbatch.store.filters import require_fitting, to_expression
from cvtbatch.store.opened import OpenedStore
from cvtbatch.store.pairs import pair_rows, pair_schema
from cvtbatch.store.reading import View
from cvtbatch.store.snapshots import read_snapshot, read_snapshots
from cvtbatch.store.wide import PRIMARY, wide_rows, wide_schema

if TYPE_CHECKING:
    import pandas as pd


class FeatureStore(OpenedStore):
    """An existing store.

    Its rows are Arrow tables (`to_pandas()`, or whatever else reads Arrow).

    Args:
        url: a folder, a file:// URL, or s3://BUCKET/PREFIX.

    Raises:
        StorageError: there is no store.
        FormatError: its format is newer than this version of cvtbatch knows.
    """

    def __repr__(self) -> str:
        return f"FeatureStore({self.location.url!r})"

    def at(self, snapshot: str | None) -> View:
        """Return the rows as a snapshot froze them, or as they are now.

        Raises:
            InputError: there is no such snapshot.
        """
        return self.view() if snapshot is None else read_snapshot(self, snapshot).view(self)

    def tables(self) -> pa.Table:
        """Return what the store holds: name of each table, and its number of rows, current or not (columns table, rows)."""
        names = self.table_names()
        return pa.table(
            {
                "table": pa.array(names, pa.string()),
                "rows": pa.array([self.table(name).count() for name in names], pa.int64()),
            }
        )

    def snapshots(self) -> pa.Table:
        """Return the snapshots, oldest first: name, recorded_at, made_by, centers, rois, content_digest and erased_cases."""
        rows = [
            {
                "name": found.name,
                "recorded_at": found.recorded_at,
                "made_by": found.made_by,
                "centers": list(found.selection.centers),
                "rois": list(found.selection.rois),
                "content_digest": found.content_digest,
                "erased_cases": found.erased_cases,
            }
            for found in read_snapshots(self)
        ]
        stored = contracts.table("snapshots").arrow()
        columns = ("name", "recorded_at", "made_by", "centers", "rois", "content_digest", "erased_cases")
        return pa.Table.from_pylist(rows, schema=pa.schema([stored.field(name) for name in columns]))

    def cases(self, *, snapshot: str | None = None, where: pc.Expression | str | None = None) -> pa.Table:
        """Return the cases as they are now, a row each: ids, clinical values, and what the manifest's x_ columns say.

        Args:
            snapshot: name of a snapshot; by default the rows as they are now.
            where: filter, as for `radiomics`.
        """
        return self._filtered("cases", snapshot, where)

    def scores(self, *, snapshot: str | None = None, where: pc.Expression | str | None = None) -> pa.Table:
        """Return what bundles scored, the newest row of each outline and bundle; arguments as for `cases`."""
        return self._filtered("scores", snapshot, where)

    def rois(self, snapshot: str | None = None, *, where: pc.Expression | str | None = None) -> pa.Table:
        """Return the current outlines, and regions that are derived of them (column `region`, null of an outline itself).

        That is the newest row of each, where it lies on the case's current volume.
        """
        return self._filtered("rois", snapshot, where)

    def _filtered(self, name: str, snapshot: str | None, where: pc.Expression | str | None) -> pa.Table:
        """Return the current rows of a table that pass a filter: first current, then filtered."""
        condition = to_expression(where, contracts.table(name).arrow())
        rows = self.at(snapshot).rows(name)
        if condition is None:
            return rows
        require_fitting(condition, rows.schema)
        return rows.filter(condition)

    def radiomics(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current radiomics rows of one specification: those whose input the current outline names.

        The input is the newest that could be read; a live failure says that a later one could not. Fields of features carry
        `feature_class`, `image_type` and, where it is sure, `unit`.

        Args:
            snapshot: name of a snapshot; by default the rows as they are now.
            columns: what to read, and all that is read from storage but for keys; all of them by default.
            where: filter: a text, e.g. "center = 'A' AND age > 60" (its grammar: `cvtbatch.store.filters`), of the columns that
                this table has, or an Arrow expression, e.g. `pc.field("center") == "A"`.
            spec: specifications, as `cvtbatch spec list` shows them, to which rows are restricted; emb-...+emb-... fuses two.

        Raises:
            InputError: the rows are of several specifications, which do not mix; there is no such snapshot, column or
                specification.
        """
        condition = to_expression(where, contracts.table("radiomics").arrow())
        return self.at(snapshot).radiomics(columns, condition, spec)

    def features(
        self,
        set: str,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current rows of a feature set of your own, in one specification of it.

        Columns are the keys of `radiomics`, and then the set's features as PyRadiomics calls them, in the order of its parameter
        file. Other arguments and errors are as for `radiomics`.

        Args:
            set: name of the set, as the job gave it (`radiomics.sets` or `radiomics.source_sets`).

        Raises:
            InputError: the store has no such set; of one whose settings were changed, rows of both are current and `spec` chooses.
        """
        contract = self.feature_set(set).contract
        return self.at(snapshot).features(contract.name, columns, to_expression(where, contract.arrow()), spec)

    def embeddings(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current embeddings of one specification, a row a slice; arguments and errors as for `radiomics`."""
        condition = to_expression(where, contracts.table("embeddings").arrow())
        return self.at(snapshot).embeddings(columns, condition, spec)

    def signs(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current signs and geometry of one specification, a row an outline; arguments and errors as for `radiomics`.

        They are there where the job asked for them (`describe: [signs]`).
        """
        condition = to_expression(where, contracts.table("signs").arrow())
        return self.at(snapshot).described("signs", columns, condition, spec)

    def locations(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return where hematomas lie by one specification, a row an outline; arguments and errors as for `radiomics`.

        They are there where the job asked for them (`describe: [locations]`).
        """
        condition = to_expression(where, contracts.table("locations").arrow())
        return self.at(snapshot).described("locations", columns, condition, spec)

    def pairs(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
        deltas: str | None = None,
    ) -> pa.Table:
        """Return how hematomas grew: a row a later study of a patient, beside the first, and an outline of both.

        Studies are in the order of `timepoint`, or where a patient has none of `onset_to_ct_h`; those whose order is not known are
        left out, and a `LeftOutWarning` counts them. Rules: docs/reference/pairs.md. Arguments and errors as for `radiomics`.

        Args:
            deltas: "radiomics", or the name of a feature set of your own: columns delta_NAME hold the later study's features less
                the first's. Without it there are none.

        Raises:
            InputError: a patient's timepoints are equal, or contradict `onset_to_ct_h`; the store has no such feature set.
        """
        table = None if deltas is None else self.features_of(deltas)
        found = pair_rows(self.at(snapshot), columns, to_expression(where, pair_schema(table)), spec, table)
        if found.left_out:
            warnings.warn(f"studies left out: {found.told()}", LeftOutWarning, stacklevel=2)
        return found.rows

    def wide(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        spec: str | Sequence[str] | None = None,
        primary_reader: str = PRIMARY.reader,
        primary_reading: int = PRIMARY.number,
        features: str = contracts.RADIOMICS,
        pooling: str = Pooling.LARGEST,
        region: str | None = None,
        regions: Sequence[str] = (),
    ) -> pa.Table:
        """Return clinical values, radiomics and the largest slice's embedding, one row a primary ROI that has features.

        Clinical values and embedding are null where there are none. Arguments and errors as for `radiomics`; `spec` may name a
        radiomics and an embedding specification.

        Args:
            primary_reader: whose outline counts.
            primary_reading: which of that reader's outlines.
            features: "radiomics", the study's, or the name of a feature set of your own, whose features stand in their place.
            pooling: "largest", or how all slices make one embedding, in a column that is called so: "area_mean"
                (embedding_area_mean), weighted by area, "mean_max", mean and maximum side by side, or "attention", all slices one
                behind the other, which a bundle weighs. It is null where a slice has no embedding.
            region: of these outlines the region of this name, e.g. "rim5", which has no embedding; by default they themselves.
            regions: whose features stand beside those of the outlines, e.g. ["rim5"]: columns rim5:original_firstorder_Mean ...,
                null where an outline has no such region, and rim5:region_spec_id. `spec` may name what derived them.

        Raises:
            InputError: the store has no such feature set; there is no such pooling or region; regions of several specifications.
        """
        if pooling not in list(Pooling):
            raise InputError("bad_argument", f"pooling={pooling!r} is none of {', '.join(Pooling)}")
        if region is not None and regions:
            raise InputError(
                "bad_argument", "region= gives regions in place of outlines, and regions= beside them: name one"
            )
        beside = tuple(rule.name for rule in rules_of(regions))
        table, way, primary = self.features_of(features), Pooling(pooling), Reading(primary_reader, primary_reading)
        return wide_rows(
            self.at(snapshot),
            columns,
            to_expression(where, wide_schema(table, way, beside)),
            spec,
            primary,
            features=table,
            pooling=way,
            region=region,
            regions=beside,
        )

    def X_y(
        self,
        target: str = "cvt",
        features: Features = "radiomics",
        *,
        center: str | Sequence[str] | None = None,
        where: pc.Expression | str | None = None,
        snapshot: str | None = None,
        spec: str | Sequence[str] | None = None,
        primary_reader: str = PRIMARY.reader,
        primary_reading: int = PRIMARY.number,
        region: str | None = None,
    ) -> "tuple[pd.DataFrame, pd.Series, pd.Series]":
        """Return what a model is fitted on: features, what they shall tell, and whose rows must stay together.

        The rows are those of `wide`: primary outlines, of one reader and one specification, in order of roi_key, without those
        whose target is unknown or, where embeddings are asked for, that have none; how many were left out is said by a
        `LeftOutWarning`. Nobody is left out for a criterion of the study (a hematoma after a trauma, a late scan): see
        `cvtbatch fit` for these, or name them in `where`.

        Args:
            target: column of `cases`.
            features: "radiomics", "embeddings" (emb_0000 ... of the slice with the largest hematoma), the name of a feature set of
                your own, or columns of `wide`.
            center: only these centres.
            where, snapshot, spec, primary_reader, primary_reading, region: as for `wide`.

        Returns:
            X, (n, p), by roi_key; a feature that is not defined for an outline is NaN.
            y, (n,), the target.
            groups, (n,), the patients: the same text at another centre is another patient.

        Raises:
            InputError: there is no such column, centre, snapshot or specification; the target is among the features; no row is
                left; several specifications.
            ResourceError: pandas is not installed here.
        """
        of_set = None
        if isinstance(features, str) and features in self.sets_asked_for():
            of_set = self.feature_set(features).contract
        view, condition = self.at(snapshot), to_expression(where, wide_schema(of_set))
        primary = Reading(primary_reader, primary_reading)
        return design_matrix(view, target, features, center, condition, spec, primary, of_set, region)

    def runs(self) -> pa.Table:
        """Return the runs as they stand, newest first."""
        return self.table("runs").current().sort_by([("sequence", "descending")])

    def failures(self, snapshot: str | None = None) -> pa.Table:
        """Return the live failures: those whose key has not succeeded since; audits, where they are about current values."""
        return self.at(snapshot).rows("failures")

    def current(self, name: str) -> pa.Table:
        """Return the current rows of any table, those of all specifications.

        Raises:
            InputError: there is no such table.
        """
        return self.at(None).rows(self.table(name).contract.name)
