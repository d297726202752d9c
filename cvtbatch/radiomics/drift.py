"""How far feature values move between two versions of the settings or of the engine, on the same ROIs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature over the ROIs that have it in both versions.

    Attributes:
        rois: ROIs in which both values are finite.
        equal: of those, how many are equal.
        only_one: ROIs in which one of the two is finite.
        median, largest: of the relative differences |b - a| / max(|a|, |b|), between 0 and 2; 0 where both are 0. NaN without ROIs.
        rank_correlation: Spearman's; NaN where a version has one value for all ROIs.
    """

    feature: str
    rois: int
    equal: int
    only_one: int
    median: float
    largest: float
    rank_correlation: float


@dataclass(frozen=True, slots=True)
class ClassDrift:
    """The features of one class.

    Attributes:
        features: how many.
        unchanged: how many of them are equal in every ROI.
        median: of the features' medians.
        largest: of the features' largest relative differences.
        lowest_rank_correlation: of the features that have one.
    """

    feature_class: str
    features: int
    unchanged: int
    median: float
    largest: float
    lowest_rank_correlation: float


def relative_differences(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return |b - a| / max(|a|, |b|) of finite values elementwise, 0 where both are 0."""
    scale = np.maximum(np.abs(a), np.abs(b))
    scale[scale == 0] = 1
    # Scaled first: the difference of two of the largest numbers is no number.
    relative: npt.NDArray[np.float64] = np.abs(b / scale - a / scale)
    return relative


def feature_drift(names: Sequence[str], a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> list[FeatureDrift]:
    """Compare two versions of features.

    Args:
        names: of the features (f).
        a, b: values (n, f) of the same ROIs, row by row.
    """
    found = []
    for index, name in enumerate(names):
        one, other = a[:, index], b[:, index]
        both = np.isfinite(one) & np.isfinite(other)
        differences = relative_differences(one[both], other[both])
        found.append(
            FeatureDrift(
                feature=name,
                rois=int(both.sum()),
                equal=int((one[both] == other[both]).sum()),
                only_one=int((np.isfinite(one) != np.isfinite(other)).sum()),
                median=float(np.median(differences)) if differences.size else np.nan,
                largest=float(differences.max()) if differences.size else np.nan,
                rank_correlation=rank_correlation(one[both], other[both]),
            )
        )
    return found


def rank_correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation of values (n); NaN where it has none: fewer than two, or all equal on one side."""
    from scipy import stats

    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])


def class_drift(features: Iterable[FeatureDrift], classes: Mapping[str, str]) -> list[ClassDrift]:
    """Summarise features by class.

    Args:
        classes: class by feature.
    """
    by_class: dict[str, list[FeatureDrift]] = {}
    for feature in features:
        by_class.setdefault(classes[feature.feature], []).append(feature)
    return [_summary(name, members) for name, members in by_class.items()]


def _summary(feature_class: str, members: Sequence[FeatureDrift]) -> ClassDrift:
    compared = [member for member in members if member.rois]
    correlations = [member.rank_correlation for member in members if not np.isnan(member.rank_correlation)]
    return ClassDrift(
        feature_class=feature_class,
        features=len(members),
        unchanged=sum(member.equal == member.rois and not member.only_one for member in members),
        median=float(np.median([member.median for member in compared])) if compared else float("nan"),
        largest=max((member.largest for member in compared), default=float("nan")),
        lowest_rank_correlation=min(correlations, default=float("nan")),
    )
