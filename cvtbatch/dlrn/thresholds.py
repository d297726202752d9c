"""Thresholds of a score: at Youden's point, and at fixed sensitivities. A case is positive where its score is >= the threshold."""

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers

YOUDEN = "youden"
FIXED_SENSITIVITIES = {"sens90": 0.90, "sens95": 0.95}
THRESHOLDS = (YOUDEN, *FIXED_SENSITIVITIES)


def find_thresholds(outcome: Integers, score: Floats) -> dict[str, float]:
    """Return the thresholds by name.

    Youden's point is where sensitivity + specificity is largest; of several the highest threshold. At a fixed sensitivity it is the
    highest threshold that reaches it. Every threshold is one of the scores.

    Args:
        outcome: (n,) 0 or 1, both present.
        score: (n,) without NaN.
    """
    levels = np.unique(score)[::-1]
    above = score[None, :] >= levels[:, None]
    sensitivity = above[:, outcome == 1].mean(axis=1)
    fall_out = above[:, outcome == 0].mean(axis=1)
    found = {YOUDEN: float(levels[int((sensitivity - fall_out).argmax())])}
    for name, wanted in FIXED_SENSITIVITIES.items():
        found[name] = float(levels[int((sensitivity >= wanted).argmax())])
    return found


def operating_point(outcome: Integers, score: Floats, threshold: float) -> dict[str, float | int]:
    """Return sensitivity, specificity, accuracy and the four counts at a threshold; both outcomes are present."""
    positive = score >= threshold
    true_positive, false_negative = int((positive & (outcome == 1)).sum()), int((~positive & (outcome == 1)).sum())
    false_positive, true_negative = int((positive & (outcome == 0)).sum()), int((~positive & (outcome == 0)).sum())
    return {
        "sensitivity": true_positive / (true_positive + false_negative),
        "specificity": true_negative / (true_negative + false_positive),
        "accuracy": (true_positive + true_negative) / len(outcome),
        "true_positive": true_positive,
        "false_negative": false_negative,
        "false_positive": false_positive,
        "true_negative": true_negative,
    }
