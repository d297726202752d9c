"""What readers' differences do: to features, to the outline itself, to score and decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvtbatch.validation.agreement import Agreement
from cvtbatch.validation.values import Estimate, Floats, Interval, Maybe, NotComputable, Z, finite

STRONG_ICC = 0.80
FEWEST = 3
"""Cases that a study needs: below that an ICC says nothing."""
Kind = Literal["intra-reader", "inter-reader", "method-reader", "inter-method"]


@dataclass(frozen=True, slots=True)
class FeatureAgreement:
    """Agreement of one feature between outlines of the same cases.

    Attributes:
        n: cases of which every outline has a value.
    """

    feature: str
    icc: Maybe[Estimate]
    n: int

    @property
    def strong(self) -> bool:
        """Whether the ICC exceeds 0.80."""
        return isinstance(self.icc, Estimate) and self.icc.value > STRONG_ICC


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """Agreement of the features of one class.

    Attributes:
        strong: share of the computable ones whose ICC exceeds 0.80.
    """

    feature_class: str
    features: int
    not_computable: int
    median_icc: Maybe[float]
    strong: Maybe[float]


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Differences, second less first: their mean and the limits of agreement (Bland and Altman, Lancet 1986;1:307)."""

    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScoreAgreement:
    """What a second outline does to a model's score and decision."""

    model: str
    n: int
    differences: Maybe[BlandAltman]
    largest: float
    changed_decisions: int
    kappa: Maybe[float]


@dataclass(frozen=True, slots=True)
class OtherReading:
    """Outlines of a centre that are not scored here: another person's or method's, a correction, or a second reading.

    Attributes:
        reader: e.g. "corrected, reading 1".
        outlines: how many.
        shared: cases that have one of the reading that is scored too.
    """

    reader: str
    outlines: int
    shared: int


@dataclass(frozen=True, slots=True)
class ReaderStudy:
    """Two outlines of the same cases: of one reader at two times (intra), of two readers (inter), one a method, or both methods."""

    kind: Kind
    first: str
    second: str
    cases: int
    features: tuple[FeatureAgreement, ...]
    classes: tuple[ClassAgreement, ...]
    dice: tuple[float, ...]
    volume_ml: Maybe[BlandAltman]
    scores: tuple[ScoreAgreement, ...]


def feature_class(feature: str) -> str:
    """Return the class in a feature's name, e.g. "glcm" of "wavelet-LLH_glcm_Contrast"; "embedding" for a plain name."""
    parts = feature.split("_")
    return parts[1] if len(parts) == 3 else "embedding"


def feature_agreements(
    names: Sequence[str], found: Agreement, counts: npt.NDArray[np.int64]
) -> tuple[FeatureAgreement, ...]:
    """Return the ICC of each feature as values.

    Args:
        found: (p,) of each feature, NaN where it cannot be computed.
        counts: (p,) cases of which every outline has a value of the feature.
    """
    columns = zip(names, found.icc.tolist(), found.low.tolist(), found.high.tolist(), counts.tolist(), strict=True)
    return tuple(FeatureAgreement(name, _estimate(icc, low, high), n) for name, icc, low, high, n in columns)


def _estimate(icc: float, low: float, high: float) -> Maybe[Estimate]:
    if not np.isfinite(icc):
        return NotComputable("a value is missing, or the feature does not vary")
    if not (np.isfinite(low) and np.isfinite(high)):
        return Estimate(icc, NotComputable("the interval's degrees of freedom vanish"))
    return Estimate(icc, Interval(min(low, high), max(low, high)))


def by_class(features: Sequence[FeatureAgreement]) -> tuple[ClassAgreement, ...]:
    """Sum agreement up, class by class."""
    found = []
    for name in dict.fromkeys(feature_class(row.feature) for row in features):
        rows = [row for row in features if feature_class(row.feature) == name]
        values = np.array([row.icc.value for row in rows if isinstance(row.icc, Estimate)])
        none = NotComputable("no feature of the class has an ICC")
        median: Maybe[float] = float(np.median(values)) if len(values) else none
        strong: Maybe[float] = float((values > STRONG_ICC).mean()) if len(values) else none
        found.append(ClassAgreement(name, len(rows), len(rows) - len(values), median, strong))
    return tuple(found)


def weakest_first(features: Sequence[FeatureAgreement]) -> list[FeatureAgreement]:
    """Return the features without an ICC above 0.80: those without one, then by ICC."""
    weak = [row for row in features if not row.strong]
    return sorted(weak, key=lambda row: (True, row.icc.value) if isinstance(row.icc, Estimate) else (False, 0.0))


def dice(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> Maybe[float]:
    """Return Dice's overlap of two masks on one grid (Ecology 1945;26:297)."""
    total = int((first > 0).sum()) + int((second > 0).sum())
    if total == 0:
        return NotComputable("both masks are empty")
    return 2 * int(((first > 0) & (second > 0)).sum()) / total


def bland_altman(first: Floats, second: Floats) -> Maybe[BlandAltman]:
    """Return mean difference and 95 % limits of agreement, second less first."""
    differences = second - first
    if len(differences) < 2:
        return NotComputable(f"too few: {len(differences)} pairs")
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    return BlandAltman(len(differences), finite(mean), finite(mean - Z * spread), finite(mean + Z * spread))


def score_agreement(model: str, first: Floats, second: Floats, threshold: float) -> Maybe[ScoreAgreement]:
    """Compare a model's scores of two outlines; kappa: Cohen, Educ Psychol Meas 1960;20:37."""
    if len(first) == 0:
        return NotComputable("no case has a score from both outlines")
    decisions = first >= threshold, second >= threshold
    kappa: Maybe[float] = NotComputable("both outlines give all cases the same decision: kappa is not defined")
    if len(set(decisions[0].tolist()) | set(decisions[1].tolist())) == 2:
        from sklearn.metrics import cohen_kappa_score

        kappa = finite(cohen_kappa_score(*decisions))
    return ScoreAgreement(
        model=model,
        n=len(first),
        differences=bland_altman(first, second),
        largest=finite(float(np.abs(second - first).max())),
        changed_decisions=int((decisions[0] != decisions[1]).sum()),
        kappa=kappa,
    )


def reader_study(
    kind: Kind,
    names: tuple[str, str],
    features: Sequence[FeatureAgreement],
    dices: Sequence[float],
    volumes_ml: tuple[Floats, Floats],
    scores: Sequence[Maybe[ScoreAgreement]],
) -> ReaderStudy:
    """Join the parts of a reader study.

    Args:
        names: of the outlines, e.g. ("A, reading 1", "B, reading 1").
        volumes_ml: of the first and the second outline, in one order of cases.
    """
    return ReaderStudy(
        kind=kind,
        first=names[0],
        second=names[1],
        cases=len(volumes_ml[0]),
        features=tuple(features),
        classes=by_class(features),
        dice=tuple(dices),
        volume_ml=bland_altman(*volumes_ml),
        scores=tuple(score for score in scores if isinstance(score, ScoreAgreement)),
    )
