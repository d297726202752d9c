"""What a store already knows of the cases, under the specifications of a run: the one half of a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow.compute as pc

from cvtbatch.geometry import Grid
from cvtbatch.store import FeatureStore, StoredArray

# What a failure is about: roi_key, empty for the whole case; spec_id; "extraction" or "audit"; for an audit, input_digest.
FailureKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class KnownVolume:
    """The current volume of a case."""

    image_digest: str
    fingerprint: str
    stored: StoredArray
    grid: Grid
    generation: int


@dataclass(frozen=True, slots=True)
class KnownRoi:
    """The current mask of an ROI.

    Attributes:
        slices: that its box spans.
    """

    image_digest: str
    input_digest: str
    fingerprint: str
    stored: StoredArray
    generation: int
    slices: int


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A live failure, and the sources that it was about."""

    fingerprint: str
    stage: str
    kind: str


@dataclass(slots=True)
class KnownCase:
    """Everything of one case.

    Attributes:
        rois: by roi_key.
        featured: by roi_key, the input digests that have features.
        embedded: by roi_key, the input digests that have embeddings.
        failures: live failures by key.
    """

    clinical_digest: str = ""
    volume: KnownVolume | None = None
    rois: dict[str, KnownRoi] = field(default_factory=dict)
    featured: dict[str, frozenset[str]] = field(default_factory=dict)
    embedded: dict[str, frozenset[str]] = field(default_factory=dict)
    failures: dict[FailureKey, KnownFailure] = field(default_factory=dict)


def read_known(
    store: FeatureStore, volume_spec_id: str, radiomics_spec_id: str, embedding_spec_id: str = ""
) -> Mapping[str, KnownCase]:
    """Return what the store knows, by case_key.

    Args:
        embedding_spec_id: empty where embeddings are not asked for.
    """
    known: dict[str, KnownCase] = {}

    def case(row: Mapping[str, str]) -> KnownCase:
        return known.setdefault(row["case_key"], KnownCase())

    for row in store.table("cases").current(["case_key", "clinical_digest"]).to_pylist():
        case(row).clinical_digest = row["clinical_digest"]
    volumes = store.table("volumes").current()
    for row in volumes.filter(pc.equal(volumes["volume_spec_id"], volume_spec_id)).to_pylist():
        grid = Grid(tuple(row["size_xyz"]), tuple(row["spacing_mm"]), tuple(row["origin_mm"]), tuple(row["direction"]))
        stored = StoredArray(row["path"], row["checksum"])
        case(row).volume = KnownVolume(row["image_digest"], row["image_fingerprint"], stored, grid, row["generation"])
    rois = store.table("rois").current()
    for row in rois.filter(pc.equal(rois["volume_spec_id"], volume_spec_id)).to_pylist():
        stored = StoredArray(row["path"], row["checksum"])
        case(row).rois[row["roi_key"]] = KnownRoi(
            image_digest=row["image_digest"],
            input_digest=row["input_digest"],
            fingerprint=row["mask_fingerprint"],
            stored=stored,
            generation=row["generation"],
            slices=row["box_size_zyx"][0],
        )
    columns = ["case_key", "roi_key", "input_digest"]
    for row in store.table("radiomics").read(columns, pc.field("radiomics_spec_id") == radiomics_spec_id).to_pylist():
        _add(case(row).featured, row)
    if embedding_spec_id:
        # All rows of an ROI come in one append, so that its largest slice stands for them.
        of_spec = (pc.field("embedding_spec_id") == embedding_spec_id) & pc.field("is_largest")
        for row in store.table("embeddings").read(columns, of_spec).to_pylist():
            _add(case(row).embedded, row)
    for row in store.failures().to_pylist():
        if row["spec_id"] in {volume_spec_id, radiomics_spec_id, embedding_spec_id}:
            failure = KnownFailure(row["source_fingerprint"], row["stage"], row["kind"])
            case(row).failures[row["roi_key"], row["spec_id"], row["scope"], row["input_digest"]] = failure
    return known


def _add(digests: dict[str, frozenset[str]], row: Mapping[str, str]) -> None:
    digests[row["roi_key"]] = digests.get(row["roi_key"], frozenset()) | {row["input_digest"]}
