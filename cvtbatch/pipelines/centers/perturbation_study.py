"""Which features survive an outline that another reader might have drawn: stored outlines perturbed by rule, ICC by feature.

ICC(1,1), one-way, as MIRP takes it: perturbations are drawn for each outline, and have no order. A worker reads an outline with its
volume, computes the features of every perturbed outline, and returns mean and spread alone, so that the study of a registry fits
into the memory of whoever asks for it. The stored features are not among the readings: they are of the outline that was drawn.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts, engine
from cvtbatch.engine import Cluster, Done, NeedsMemory, require_memory
from cvtbatch.errors import CvtbatchError, InputError, lacks_memory
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.manifest import Reading
from cvtbatch.outlining.perturbation import draw_perturbations, perturb
from cvtbatch.pipelines.extraction.limits import CASE_SECONDS, OUTLINE_SECONDS, feature_bytes
from cvtbatch.pipelines.extraction.set_settings import grid_of, specified_set, specify_set
from cvtbatch.pipelines.models.eligible_cases import Row
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.shared.unfinished import why_undone
from cvtbatch.radiomics import Engine, FeatureSet, profile_of, roi_features, study_settings
from cvtbatch.spec import radiomics_spec
from cvtbatch.store import IS_OUTLINE, FeatureStore, StoredArray, View, set_contract
from cvtbatch.validation.agreement import icc_one_way
from cvtbatch.validation.readers import FEWEST, FeatureAgreement, dice, feature_agreements
from cvtbatch.validation.values import Floats, NotComputable

FEWEST_PERTURBATIONS = 2


@dataclass(frozen=True, slots=True)
class PerturbedOutline:
    """An outline to perturb, and how its features are computed."""

    store_url: str
    roi_key: str
    case_key: str
    volume: StoredArray
    mask: StoredArray
    grid: Grid
    voxels: int
    profile: FeatureSet
    count: int

    @property
    def engine(self) -> Engine:
        """What computes its features."""
        return "pyradiomics" if self.profile.stock_reasons() else "fast"


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """The features of an outline's perturbations.

    Attributes:
        mean: (p,), in the order of the features.
        within: (p,) sums of the squared deviations from them.
        dice: median overlap with the outline itself.
    """

    mean: Floats
    within: Floats
    dice: float


@dataclass(frozen=True, slots=True)
class FailedOutline:
    """An outline of which a perturbation has no features; it is no part of the study.

    Attributes:
        kind: as `schemas/failure_kinds.json` lists them.
        private: paths and foreign texts, for the user's own terminal.
    """

    roi_key: str
    kind: str
    message: str
    private: str


@dataclass(frozen=True, slots=True)
class PerturbationStudy:
    """What perturbations do to the features.

    Attributes:
        reading: whose outlines.
        cases: outlines in the study, one a case.
        several_outlines: cases that have more than one by that reader, and are left out.
        dice: of each outline, the median overlap of its perturbations with it.
    """

    snapshot: str
    snapshot_digest: str
    radiomics_spec_id: str
    reading: Reading
    perturbations: int
    cases: tuple[str, ...]
    several_outlines: int
    failed: tuple[FailedOutline, ...]
    dice: tuple[float, ...]
    features: tuple[FeatureAgreement, ...]


def study_perturbations(
    store_url: str,
    count: int,
    reading: Reading,
    centers: Sequence[str],
    snapshot: str | None,
    spec_ids: Sequence[str],
    cluster: Cluster,
    on_progress: Callable[[int, int, int], None] = lambda *_: None,
) -> PerturbationStudy:
    """Perturb the current outlines of a reading that have features, and say how far each feature agrees with itself.

    Args:
        count: perturbations of each outline.
        centers: of these alone; of all where none is named.
        snapshot: by default one that is recorded for this.
        spec_ids: specifications to which the features are restricted.
        on_progress: called after every outline with how many are done, all of them, and how many of them failed.

    Raises:
        InputError: fewer than two perturbations, or FEWEST cases; features of several specifications, or of a revision of the
            engine that is not this one; there is no such snapshot or specification.
    """
    if count < FEWEST_PERTURBATIONS:
        raise InputError("too_few_readings", f"{count} perturbations: an ICC takes {FEWEST_PERTURBATIONS}")
    pinned = open_pinned(store_url, snapshot, "agreement")
    outlines, spec_id, several = _outlines(
        pinned.view, pinned.store.location.url, count, reading, list(centers), spec_ids
    )
    _require_enough(len(outlines), reading, "have one outline with features")
    spreads: dict[str, Spread] = {}
    failed: list[FailedOutline] = []
    for outcome in engine.run(cluster, perturbed_spread, outlines, limit_s=_limit_s):
        if not isinstance(outcome, Done):
            failed.append(_failed(outcome.item.roi_key, why_undone(outcome, "this outline")))
        elif isinstance(outcome.result, FailedOutline):
            failed.append(outcome.result)
        else:
            spreads[outcome.item.case_key] = outcome.result
        on_progress(len(spreads) + len(failed), len(outlines), len(failed))
    _require_enough(len(spreads), reading, f"are left: {len(failed)} failed{_kinds(failed)}")
    cases, names = tuple(sorted(spreads)), outlines[0].profile.names()
    return PerturbationStudy(
        snapshot=pinned.name,
        snapshot_digest=pinned.content_digest,
        radiomics_spec_id=spec_id,
        reading=reading,
        perturbations=count,
        cases=cases,
        several_outlines=several,
        failed=tuple(sorted(failed, key=lambda failure: failure.roi_key)),
        dice=tuple(spreads[case].dice for case in cases),
        features=_agreement(names, [spreads[case] for case in cases], count),
    )


def perturbed_spread(outline: PerturbedOutline) -> Spread | FailedOutline:
    """Return what perturbations do to the features of an outline; of one without features, why."""
    try:
        require_memory(feature_bytes(outline.voxels, outline.engine))
        return _spread(outline)
    except NeedsMemory:
        raise
    except Exception as error:
        return _failed(outline.roi_key, error)


def _spread(outline: PerturbedOutline) -> Spread:
    store = _store(outline.store_url)
    hu_zyx = np.asarray(store.read_array(outline.volume), dtype=np.int16)
    mask_zyx = np.asarray(store.read_array(outline.mask), dtype=np.uint8)
    ct, names = to_image(hu_zyx, outline.grid), outline.profile.names()
    values, overlaps = np.empty((outline.count, len(names))), []
    for number, how in enumerate(draw_perturbations(outline.roi_key, outline.count)):
        changed = perturb(mask_zyx, hu_zyx, outline.grid.spacing_mm[::-1], how).astype(np.uint8)
        features = roi_features(ct, to_image(changed, outline.grid), outline.profile, outline.engine).values
        values[number] = [features[name] for name in names]
        overlap = dice(mask_zyx, changed)
        overlaps.append(0.0 if isinstance(overlap, NotComputable) else overlap)
    # Counted from the first: of equal values nothing is left, not even round-off.
    from_first = values - values[0]
    mean = from_first.mean(axis=0)
    return Spread(values[0] + mean, ((from_first - mean) ** 2).sum(axis=0), median(overlaps))


@lru_cache(maxsize=1)
def _store(url: str) -> FeatureStore:
    """Return a store that this process has opened before."""
    return FeatureStore(url)


def _limit_s(outline: PerturbedOutline) -> float:
    return CASE_SECONDS + OUTLINE_SECONDS * outline.count


def _failed(roi_key: str, error: Exception) -> FailedOutline:
    """Return the failure that an exception means; the text of a foreign one is private."""
    if isinstance(error, CvtbatchError):
        return FailedOutline(roi_key, error.kind, error.message, error.private)
    kind = "out_of_memory" if lacks_memory(error) else "internal_error"
    return FailedOutline(roi_key, kind, type(error).__name__, "".join(traceback.format_exception(error)))


def _kinds(failed: Sequence[FailedOutline]) -> str:
    kinds = sorted({failure.kind for failure in failed})
    return f" ({', '.join(kinds)})" if kinds else ""


def _require_enough(cases: int, reading: Reading, what: str) -> None:
    if cases < FEWEST:
        raise InputError("too_few_readings", f"{cases} cases of {reading} {what}; it takes {FEWEST}")


def _outlines(
    view: View, store_url: str, count: int, reading: Reading, centers: list[str], spec_ids: Sequence[str]
) -> tuple[list[PerturbedOutline], str, int]:
    """Return a reading's outlines with features, one a case; the specification of these; cases with several outlines."""
    where = IS_OUTLINE & (pc.field("reader") == reading.reader) & (pc.field("reading") == reading.number)
    if centers:
        where &= pc.field("center").isin(pa.array(centers, pa.string()))
    tables = [view.specs_with(spec_ids)[spec_id] for spec_id in spec_ids]
    contract = next(filter(None, map(set_contract, tables)), view.contract(contracts.RADIOMICS))
    featured = view.features(contract.name, ["roi_key", "case_key", "radiomics_spec_id"], where, list(spec_ids))
    _require_enough(featured.num_rows, reading, "have features")
    spec_id: str = featured["radiomics_spec_id"][0].as_py()
    keys = featured["case_key"].to_pylist()
    outlines = Counter(keys)
    single = {key: roi for key, roi in zip(keys, featured["roi_key"].to_pylist(), strict=True) if outlines[key] == 1}
    rois = {row["roi_key"]: row for row in view.outlines(None, [spec_id]).to_pylist()}
    volumes = {row["case_key"]: row for row in view.rows("volumes", None, [spec_id]).to_pylist()}
    profile = _profile(view, spec_id)
    found = [_outline(store_url, rois[roi], volumes[case], profile, count) for case, roi in sorted(single.items())]
    return found, spec_id, len(outlines) - len(single)


def _profile(view: View, spec_id: str) -> FeatureSet:
    """Return the settings of a specification, once it is sure that this engine's values are of it.

    Raises:
        InputError: "other_revision"; "source_grid": they are computed on a grid where no stored outline lies.
    """
    specs = view.specs_with([spec_id])
    spec = specs[spec_id]
    parent = specs[spec.parent_id]
    if spec.feature_set:
        if grid_of(spec) == "source":
            raise InputError(
                "source_grid",
                f"feature set {spec.feature_set} is computed of the sources, and perturbed outlines lie on the stored grid: "
                "name a set of the stored grid, or the study's features",
            )
        profile = specified_set(spec)
        own = specify_set(spec.feature_set, profile, parent)
    else:
        profile = profile_of(spec.content()["settings"])
        own = radiomics_spec(parent, study_settings(profile), contracts.feature_names())
    if own.spec_id != spec_id:
        raise InputError(
            "other_revision",
            f"the features of {spec_id} were computed by another revision of cvtbatch, and perturbed ones would not compare; "
            "extract them anew",
        )
    return profile


def _outline(store_url: str, roi: Row, volume: Row, profile: FeatureSet, count: int) -> PerturbedOutline:
    x, y, z = volume["size_xyz"]
    x_mm, y_mm, z_mm = volume["spacing_mm"]
    first_x, first_y, first_z = volume["origin_mm"]
    return PerturbedOutline(
        store_url=store_url,
        roi_key=roi["roi_key"],
        case_key=roi["case_key"],
        volume=StoredArray(volume["path"], volume["checksum"]),
        mask=StoredArray(roi["path"], roi["checksum"]),
        grid=Grid((x, y, z), (x_mm, y_mm, z_mm), (first_x, first_y, first_z), tuple(volume["direction"])),
        voxels=roi["voxels"],
        profile=profile,
        count=count,
    )


def _agreement(names: Sequence[str], spreads: Sequence[Spread], count: int) -> tuple[FeatureAgreement, ...]:
    means, within = (np.array([getattr(spread, name) for spread in spreads]) for name in ("mean", "within"))
    counts = np.isfinite(means + within).sum(axis=0)
    return feature_agreements(names, icc_one_way(means, within, count), counts)
