"""How many cases give a 95 % interval of a width, measure by measure.

The criteria for an external validation are those of Riley et al., Stat Med 2021;40:4230 (`pmvalsampsize`): the widths of O/E,
calibration slope, AUC and net benefit.
"""

import math
from collections.abc import Callable

from scipy.special import expit

from cvtbatch.validation.values import Floats, Maybe, NotComputable, Z

LARGEST_N = 10_000_000


def auc_standard_error(auc: float, events: float, others: float) -> float:
    """Return the standard error of an AUC that Newcombe's formula expects (Stat Med 2006;25:559, method 4).

    As in Riley et al., Stat Med 2021;40:4230, equation 11.
    """
    half = (events + others) / 2 - 1
    spread = 1 + half * (1 - auc) / (2 - auc) + half * auc / (1 + auc)
    return math.sqrt(auc * (1 - auc) * spread / (events * others))


def cases_for_auc(auc: float, share: float, width: float) -> Maybe[int]:
    """Return the smallest n whose 95 % interval of the AUC has at most this width, at a share of events."""
    if not (0 < share < 1 and 0 < auc < 1):
        return NotComputable(f"at an AUC of {auc:g} and a share of events of {share:g} the formula has no answer")

    def wide_enough(n: int) -> bool:
        return 2 * Z * auc_standard_error(auc, n * share, n * (1 - share)) <= width

    return _smallest(wide_enough)


def cases_for_observed_over_expected(share: float, width: float) -> Maybe[int]:
    """Return the smallest n whose 95 % interval of O/E about 1 has at most this width.

    Riley et al., Stat Med 2021;40:4230, equations 1 and 2: log interval with SE sqrt((1 - share) / (n share)).
    """
    if not 0 < share < 1:
        return NotComputable("without both classes the formula has no answer")
    # exp(Z SE) - exp(-Z SE) = 2 sinh(Z SE) = width
    error = math.asinh(width / 2) / Z
    return _whole((1 - share) / (share * error**2))


def cases_for_slope(log_odds: Floats, width: float) -> Maybe[int]:
    """Return the smallest n whose 95 % interval of the calibration slope has at most this width, where it is 1.

    Riley et al. 2021, section 3.2: by the information of a well calibrated model, averaged over its log odds.

    Args:
        log_odds: (n,) as they are expected in the validation.
    """
    probability = expit(log_odds)
    weight = probability * (1 - probability)
    alone, both, slope = (float((weight * log_odds**power).mean()) if len(weight) else 0.0 for power in (0, 1, 2))
    information = alone * slope - both**2
    if information <= 1e-12 * alone * slope:
        return NotComputable("all cases have the same probability: no number of them gives a slope")
    return _whole(alone / (information * (width / (2 * Z)) ** 2))


def cases_for_net_benefit(
    sensitivity: float, specificity: float, share: float, threshold: float, width: float
) -> Maybe[int]:
    """Return the smallest n whose 95 % interval of the net benefit, divided by the share of events, has at most this width.

    Riley et al. 2021, section 3.4 (after Marsh, Janes and Pepe, Biometrics 2020;76:843).

    Args:
        threshold: a probability, which weighs a false positive by its odds.
    """
    if not (0 < share < 1 and 0 < threshold < 1):
        return NotComputable(
            f"at a share of events of {share:g} and a threshold of {threshold:g} the formula has no answer"
        )
    weight = (1 - share) / share * threshold / (1 - threshold)
    of_events = sensitivity * (1 - sensitivity) / share
    of_others = specificity * (1 - specificity) / (1 - share) + (1 - specificity) ** 2 / (share * (1 - share))
    variance = of_events + weight**2 * of_others
    if variance == 0:
        return NotComputable("no decision was wrong: the formula has no answer")
    return _whole(variance * (2 * Z / width) ** 2)


def cases_for_proportion(value: float, share: float, width: float) -> Maybe[int]:
    """Return the smallest n whose Wilson interval of a proportion among `share` of the cases has at most this width."""
    if share <= 0:
        return NotComputable("no case of that class: the formula has no answer")

    def wide_enough(n: int) -> bool:
        trials = n * share
        return (
            trials >= 1
            and 2 * Z * math.sqrt(value * (1 - value) / trials + (Z / trials) ** 2 / 4) / (1 + Z**2 / trials) <= width
        )

    return _smallest(wide_enough)


def _whole(n: float) -> Maybe[int]:
    return math.ceil(n) if n <= LARGEST_N else NotComputable(f"more than {LARGEST_N:,} cases")


def _smallest(enough: Callable[[int], bool]) -> Maybe[int]:
    """Return the smallest n that is enough, by bisection: a larger n is never worse."""
    if not enough(LARGEST_N):
        return NotComputable(f"more than {LARGEST_N:,} cases")
    low, high = 1, LARGEST_N
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
