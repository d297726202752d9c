"""What a store already knows of the cases, under the specifications of a run: the one half of a plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.manifest import Case, Manifest
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import (
    KnownCase,
    KnownOutline,
    KnownRegion,
    KnownRoi,
    KnownVolume,
)
from cvtbatch.store import IS_LARGEST, STANDS_FOR_ALL, FeatureStore, Portions, StoredArray, View, Wanted

Key = TypeVar("Key")
# Cases that are planned together: what is known of one takes some kilobytes.
CASES_TOGETHER = 4096
VOLUME_COLUMNS = (
    "image_digest",
    "image_fingerprint",
    "path",
    "checksum",
    "size_xyz",
    "spacing_mm",
    "origin_mm",
    "direction",
    "generation",
)
ROI_COLUMNS = (
    "image_digest",
    "input_digest",
    "mask_fingerprint",
    "path",
    "checksum",
    "generation",
    "box_size_zyx",
    "outline_spec_id",
)


@dataclass(frozen=True, slots=True)
class SpecIds:
    """The specifications of a run; `outline` and `embeddings` are empty where they are not asked for.

    Attributes:
        features: and what else describes outlines, by the table of their rows, of those tables that the store has.
        without_table: those of feature sets that have no row yet: they may have failed.
    """

    volume: str
    features: Mapping[str, str]
    outline: str = ""
    embeddings: tuple[str, ...] = ()
    without_table: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def wanted(self) -> dict[str, Wanted]:
        """Return what a plan needs of a store, a row before what it stands on."""
        of_volume = pc.field("volume_spec_id") == self.volume
        features = (*self.features.values(), *self.without_table)
        spec_ids = {self.volume, *features, self.outline, *self.embeddings, *self.regions}
        failed = pc.field("spec_id").isin(sorted(spec_ids))
        wanted = {
            "cases": Wanted(("clinical_digest",)),
            "volumes": Wanted(VOLUME_COLUMNS, of_volume),
            "rois": Wanted(ROI_COLUMNS, of_volume),
            **{table: Wanted((), pc.field(_spec_column(table)) == spec_id) for table, spec_id in self.features.items()},
            "failures": Wanted(("source_fingerprint", "stage", "kind"), failed),
        }
        if self.outline:
            wanted["outlines"] = Wanted(("image_digest", "rois"), pc.field("outline_spec_id") == self.outline)
        if self.regions:
            of_specs = of_volume & pc.field("region_spec_id").isin(list(self.regions))
            wanted["regions"] = Wanted(("input_digest", "state"), of_specs)
        if self.embeddings:
            of_specs = pc.field("embedding_spec_id").isin(list(self.embeddings))
            columns = ("embedding_spec_id", "is_largest", "is_smallest")
            wanted["embeddings"] = Wanted(columns, of_specs & (IS_LARGEST | STANDS_FOR_ALL))
        return wanted


def _spec_column(table: str) -> str:
    """Return the column that says under which specification a row of features, or of what describes an outline, was made."""
    return f"{table}_spec_id" if table in contracts.description_tables() else f"{contracts.RADIOMICS}_spec_id"


class StoredCases:
    """What a store knows of a manifest's cases; in memory are those that are being planned."""

    def __init__(self, store: FeatureStore, manifest: Manifest, spec_ids: SpecIds) -> None:
        self._manifest, self._features = manifest, spec_ids.features
        self._portions = Portions(
            store.at(None), spec_ids.wanted(), lambda cases: manifest.find(cases) // CASES_TOGETHER
        )

    def __iter__(self) -> Iterator[tuple[Case, KnownCase | None]]:
        """Yield every case of the manifest, in its order, with what is known of it; None if nothing."""
        cases = iter(self._manifest)
        number = 0
        while chunk := list(islice(cases, CASES_TOGETHER)):
            known = read_known(self._portions.view(number), self._features)
            yield from ((case, known.get(case.case_key)) for case in chunk)
            number += 1


def read_known(view: View, features: Mapping[str, str]) -> Mapping[str, KnownCase]:
    """Return what a store knows, by case_key; the rows are of the run's specifications, see `SpecIds.wanted`.

    Args:
        features: specifications by the table of their rows.
    """
    known: dict[str, KnownCase] = {}

    def case(row: Mapping[str, str]) -> KnownCase:
        return known.setdefault(row["case_key"], KnownCase())

    for row in view.newest("cases").select(["case_key", "clinical_digest"]).to_pylist():
        case(row).clinical_digest = row["clinical_digest"]
    for row in view.newest("volumes").select(["case_key", *VOLUME_COLUMNS]).to_pylist():
        grid = Grid(tuple(row["size_xyz"]), tuple(row["spacing_mm"]), tuple(row["origin_mm"]), tuple(row["direction"]))
        stored = StoredArray(row["path"], row["checksum"])
        case(row).volume = KnownVolume(row["image_digest"], row["image_fingerprint"], stored, grid, row["generation"])
    for row in view.newest("rois").select(["case_key", "roi_key", *ROI_COLUMNS]).to_pylist():
        case(row).rois[row["roi_key"]] = KnownRoi(
            image_digest=row["image_digest"],
            input_digest=row["input_digest"],
            fingerprint=row["mask_fingerprint"],
            stored=StoredArray(row["path"], row["checksum"]),
            generation=row["generation"],
            slices=row["box_size_zyx"][0],
            outline_spec_id=row["outline_spec_id"] or "",
        )
    for row in view.newest("outlines").select(["case_key", "image_digest", "rois"]).to_pylist():
        case(row).outline = KnownOutline(row["image_digest"], tuple(row["rois"]))
    for row in view.newest("regions").select(["case_key", "roi_key", "input_digest", "state"]).to_pylist():
        case(row).regions[row["roi_key"]] = KnownRegion(row["input_digest"], row["state"] == "empty")
    columns = ["case_key", "roi_key", "input_digest"]
    for table, spec_id in features.items():
        for row in view.read(table, columns).to_pylist():
            _add(case(row).featured, (row["roi_key"], spec_id), row["input_digest"])
    columns.append("embedding_spec_id")
    for row in view.read("embeddings", columns, IS_LARGEST).to_pylist():
        _add(case(row).embedded, (row["roi_key"], row["embedding_spec_id"]), row["input_digest"])
    for row in view.read("embeddings", columns, STANDS_FOR_ALL).to_pylist():
        _add(case(row).embedded_whole, (row["roi_key"], row["embedding_spec_id"]), row["input_digest"])
    for row in view.rows("failures").to_pylist():
        failure = KnownFailure(row["source_fingerprint"], row["stage"], row["kind"], row["spec_id"])
        key = FailureKey(row["roi_key"], row["spec_id"], row["scope"], row["input_digest"])
        case(row).failures[key] = failure
    return known


def _add(digests: dict[Key, frozenset[str]], key: Key, input_digest: str) -> None:
    digests[key] = digests.get(key, frozenset()) | {input_digest}
