"""The thresholds that a bundle freezes: at Youden's point, and at fixed sensitivities (rules: `validation.operating_points`)."""

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.validation.operating_points import confusion_matrix, sensitivity_threshold, youden_threshold
from cvtbatch.validation.values import Scored

YOUDEN = "youden"
FIXED_SENSITIVITIES = {"sens90": 0.90, "sens95": 0.95}
THRESHOLDS = (YOUDEN, *FIXED_SENSITIVITIES)


def find_thresholds(outcome: Integers, score: Floats) -> dict[str, float]:
    """Return the thresholds by name; at a fixed sensitivity it is the highest one that reaches it.

    Args:
        outcome: (n,) 0 or 1, both present.
        score: (n,) without NaN.
    """
    scored = Scored(outcome == 1, score)
    found = {YOUDEN: youden_threshold(scored)}
    for name, sensitivity in FIXED_SENSITIVITIES.items():
        found[name] = sensitivity_threshold(scored, sensitivity)
    return found


def operating_point(outcome: Integers, score: Floats, threshold: float) -> dict[str, float | int]:
    """Return what a bundle records of a threshold: three shares and four counts; both outcomes are present."""
    found = confusion_matrix(Scored(outcome == 1, score), threshold)
    return {
        "sensitivity": found.sensitivity,
        "specificity": found.specificity,
        "accuracy": found.accuracy,
        "true_positive": found.true_positive,
        "false_negative": found.false_negative,
        "false_positive": found.false_positive,
        "true_negative": found.true_negative,
    }
