"""What a store knows of a case, under the specifications of a run: values that a plan is made of, and that a task takes along."""

from dataclasses import dataclass, field

from cvtbatch.geometry import Grid
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.store import StoredArray


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
        outline_spec_id: settings that found it; empty where a person drew it.
    """

    image_digest: str
    input_digest: str
    fingerprint: str
    stored: StoredArray
    generation: int
    slices: int
    outline_spec_id: str = ""


@dataclass(frozen=True, slots=True)
class KnownOutline:
    """What the run's method found in a volume: the names of its outlines, none where there is no hemorrhage."""

    image_digest: str
    rois: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownRegion:
    """What became of a region: of which input, and whether it has no voxels."""

    input_digest: str
    empty: bool


@dataclass(slots=True)
class KnownCase:
    """Everything of one case.

    Attributes:
        outline: what the run's method found; None before it looked, or where the run has none.
        rois: by roi_key, of people and of every method, and regions of these.
        regions: by roi_key, of the run's specifications.
        featured: by roi_key and specification, the input digests that have features, or what else describes the outline.
        embedded: by roi_key and specification, the input digests whose largest slice has an embedding.
        embedded_whole: those all of whose slices have one.
        failures: live failures by key.
    """

    clinical_digest: str = ""
    volume: KnownVolume | None = None
    outline: KnownOutline | None = None
    rois: dict[str, KnownRoi] = field(default_factory=dict)
    regions: dict[str, KnownRegion] = field(default_factory=dict)
    featured: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    embedded: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    embedded_whole: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    failures: dict[FailureKey, KnownFailure] = field(default_factory=dict)
