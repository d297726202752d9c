"""What a validation reads: a bundle, a snapshot of a store, and one centre in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import TableContract
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.clinical_columns import numbers_or_texts_of
from cvtbatch.dlrn.clinical_terms import numbers_among
from cvtbatch.dlrn.kernels import project
from cvtbatch.dlrn.scoring import read_slices
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading, name_centers, twins_of
from cvtbatch.pipelines.models.eligible_cases import Row
from cvtbatch.pipelines.models.own_cases import OwnCases, read_own_cases, with_own_cases
from cvtbatch.pipelines.models.score_keys import read_reading
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.shared.region_columns import lacking_regions
from cvtbatch.store import FeatureStore, View
from cvtbatch.validation.values import Floats

IDENTITY = ("roi_key", "case_key", "center", "input_digest")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a validation reads.

    Attributes:
        view: the rows that the snapshot froze.
        center: that is validated.
        bundle: knows the centre, where it was moved by its own cases when it was scored.
        reading: whose outlines of the centre are read; those that the bundle was fitted on may be another's.
        own_cases: what moves centres that the bundle was not fitted on.
    """

    store: FeatureStore
    view: View
    snapshot: str
    snapshot_digest: str
    bundle: Bundle
    center: str
    reading: Reading
    own_cases: tuple[OwnCases, ...] = ()

    @property
    def fitted(self) -> Reading:
        """Whose outlines the bundle was fitted on."""
        return self.bundle.description.primary

    @property
    def spec_ids(self) -> list[str]:
        """The bundle's specifications of features, of embeddings and of regions."""
        return self.bundle.specs.ids()

    @property
    def features(self) -> TableContract:
        """The table of the features that the bundle scores."""
        return self.view.contract(self.bundle.description.features_table)

    @property
    def training_centers(self) -> tuple[str, ...]:
        """Centres that the bundle was trained on."""
        return self.bundle.description.cohort.training_centers

    def cases(self, centers: Sequence[str]) -> list[Row]:
        """Return the current `cases` rows of some centres, by case_key."""
        rows = self.view.rows("cases")
        among = pc.is_in(rows["center"], value_set=pa.array(list(centers), pa.string()))
        found: list[Row] = rows.filter(among).sort_by("case_key").to_pylist()
        return found

    def wide(self, centers: Sequence[str], reading: Reading, columns: Sequence[str] = ()) -> pa.Table:
        """Return rows that the bundle can score, and more columns, by roi_key."""
        wanted = dict.fromkeys([*IDENTITY, *self.bundle.specs.by_column(), *self.bundle.needed_columns(), *columns])
        return self.store.wide(
            columns=list(wanted),
            where=pc.field("center").isin(pa.array(list(centers), pa.string())),
            snapshot=self.snapshot,
            spec=self.spec_ids,
            primary_reader=reading.reader,
            primary_reading=reading.number,
            features=self.bundle.description.features,
            pooling=self.bundle.model.pooling,
            regions=self.bundle.regions,
        ).sort_by("roi_key")

    def lacking_regions(self, rows: pa.Table, by: str) -> dict[str, str]:
        """Return why rows of `wide` lack a region that the bundle takes, by a column of IDENTITY."""
        return lacking_regions(self.view, rows, self.bundle.regions, by)

    def outlines(self) -> dict[str, Row]:
        """Return the current outlines under the bundle's specifications, by roi_key."""
        rows = self.view.outlines(None, [self.bundle.description.specs.volume_spec_id])
        return {row["roi_key"]: row for row in rows.to_pylist()}

    def by_key(self, table: str, key: str, columns: Sequence[str] | None = None) -> dict[str, Row]:
        """Return the current rows of a table under the bundle's specifications, by a key."""
        rows = self.view.rows(table, columns, [self.bundle.description.specs.volume_spec_id])
        return {row[key]: row for row in rows.to_pylist()}


def open_source(
    store_url: str, bundle: Bundle, center: str, snapshot: str | None, purpose: str, reader: str | None = None
) -> Source:
    """Return what to read of a centre.

    Args:
        snapshot: by default one that is recorded for the purpose, e.g. "validate".
        reader: whose outlines; by default those of whom the bundle was fitted on.

    Raises:
        InputError: there is no store, snapshot or reader.
    """
    pinned = open_pinned(store_url, snapshot, purpose)
    reading = read_reading(pinned.view, bundle, reader, (center,))
    own = read_own_cases(pinned.store, bundle, reading)
    moved = with_own_cases(bundle, own)
    return Source(pinned.store, pinned.view, pinned.name, pinned.content_digest, moved, center, reading, own)


def refuse_seen_center(bundle: Bundle, center: str) -> None:
    """Refuse a centre that a bundle was trained or recalibrated on, however it is spelled.

    Raises:
        InputError: "training_center" or "recalibration_center".
    """
    trained, recalibration = bundle.description.cohort, bundle.description.recalibration
    for kind, verb, seen in (
        ("training_center", "trained", trained.training_centers),
        ("recalibration_center", "recalibrated", (recalibration.center,) if recalibration else ()),
    ):
        if same := [center] if center in seen else twins_of(center, seen):
            spelled = name_centers([center])
            twin = "" if center in seen else f", from which {spelled} differs by capitals, blanks or Unicode form alone"
            raise InputError(
                kind,
                f"the bundle was {verb} on centre {name_centers(same)}{twin}: validate it on one that it has not seen",
            )


def seen_images(bundle: Bundle) -> set[str]:
    """Return the digests of the images that a bundle was trained or recalibrated on."""
    recalibration = bundle.description.recalibration
    return {*bundle.description.cohort.image_digests, *(recalibration.image_digests if recalibration else ())}


def model_columns(bundle: Bundle, rows: pa.Table) -> dict[str, Floats]:
    """Return the columns that the models use, by name, as they take them: centres made alike; NaN where unknown."""
    stored = [rows[name].cast(pa.float64()).to_numpy() for name in bundle.model.radiomics]
    radiomics = np.column_stack(stored or [np.empty((rows.num_rows, 0))])
    radiomics = bundle.model.harmonised(radiomics, rows["center"].to_pylist())
    values = {name: radiomics[:, place] for place, name in enumerate(bundle.model.radiomics)}
    embedding = embeddings(bundle, rows)
    components = project(embedding.astype(np.float32), bundle.model.loadings, bundle.model.offset)
    values |= {name: components[:, place] for place, name in enumerate(bundle.model.components)}
    return {name: values[name] for name in bundle.model.columns}


def selected_columns(bundle: Bundle, rows: pa.Table) -> dict[str, Floats]:
    """Return the columns that the DLR signature uses, by name; NaN where unknown."""
    values = model_columns(bundle, rows)
    return {name: values[name] for name in np.asarray(bundle.model.columns, dtype=object)[bundle.model.used[Model.DLR]]}


def beyond_training(bundle: Bundle, rows: pa.Table) -> list[dict[str, float]]:
    """Return how far beyond the training range columns and clinical numbers of each row lie, of those that do: see
    `validation.inputs.Case`.
    """
    columns = model_columns(bundle, rows)
    ranges = [*zip(bundle.model.columns, bundle.model.low, bundle.model.high, strict=True)]
    for term in numbers_among(bundle.model.clinical):
        columns[term.name] = numbers_or_texts_of(rows, term.name)
        ranges.append((term.name, term.low, term.high))
    found: list[dict[str, float]] = [{} for _ in range(rows.num_rows)]
    for name, low, high in ranges:
        if not high > low:
            continue
        values = columns[name]
        over = np.where(values > high, values - high, np.where(values < low, values - low, 0.0)) / (high - low)
        for place in np.flatnonzero(over):
            found[place][name] = float(over[place])
    return found


def embeddings(bundle: Bundle, rows: pa.Table) -> Floats:
    """Return the embeddings that the bundle scores (n, E), NaN where there is none."""
    return bundle.model.embedding(read_slices(rows, bundle.model)).astype(np.float64)
