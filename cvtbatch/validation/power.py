"""What a cohort of this size can show, and how large one would have to be."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cvtbatch.validation.values import Estimate, Maybe, NotComputable, Z

ENOUGH_EVENTS = 100
"""With and without the event, for an external validation (Vergouwe et al., J Clin Epidemiol 2005;58:475)."""
LARGEST_N = 10_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """How many cases give a 95 % interval of a width.

    Attributes:
        anticipated: the value that the calculation assumes, as found here.
        width: asked for.
        now: the width here.
        n, events: that would give it at this cohort's share of events.
    """

    measure: str
    anticipated: float
    width: float
    now: Maybe[float]
    n: Maybe[int]
    events: Maybe[int]


@dataclass(frozen=True, slots=True)
class Power:
    """A verdict in words, and the targets behind it."""

    n: int
    events: int
    verdict: str
    targets: tuple[Target, ...]


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
    return math.ceil((1 - share) / (share * error**2))


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


def _smallest(enough: Callable[[int], bool]) -> Maybe[int]:
    """Return the smallest n that is enough, by bisection: a larger n is never worse."""
    if not enough(LARGEST_N):
        return NotComputable(f"more than {LARGEST_N:,} cases")
    low, high = 1, LARGEST_N
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def power(
    n: int,
    events: int,
    auc: Maybe[Estimate],
    sensitivity: Maybe[Estimate],
    observed_over_expected: Maybe[Estimate],
    widths: tuple[float, float, float] = (0.1, 0.2, 0.5),
) -> Power:
    """Say what a cohort can show.

    Args:
        auc, sensitivity, observed_over_expected: as found, of the primary model at its frozen threshold.
        widths: of the 95 % intervals asked for, in this order.
    """
    share = events / n if n else 0.0
    found = (("AUC", auc), ("sensitivity", sensitivity), ("observed / expected", observed_over_expected))
    targets = []
    for (measure, estimate), width in zip(found, widths, strict=True):
        if isinstance(estimate, NotComputable):
            continue
        if measure == "AUC":
            needed = cases_for_auc(estimate.value, share, width)
        elif measure == "sensitivity":
            needed = cases_for_proportion(estimate.value, share, width)
        else:
            needed = cases_for_observed_over_expected(share, width)
        now = estimate.interval if isinstance(estimate.interval, NotComputable) else estimate.interval.width
        own = needed if isinstance(needed, NotComputable) else math.ceil(needed * share)
        targets.append(Target(measure, estimate.value, width, now, needed, own))
    return Power(n, events, _verdict(n, events), tuple(targets))


def _verdict(n: int, events: int) -> str:
    others = n - events
    if n == 0:
        return "No case has both an outcome and a score: nothing can be validated here."
    if events == 0 or others == 0:
        return f"All {n} cases are of one class: discrimination and calibration cannot be judged here."
    counts = f"{events} cases with and {others} without the event"
    if min(events, others) >= ENOUGH_EVENTS:
        return f"{counts}: at least {ENOUGH_EVENTS} of each, as is advised for an external validation."
    if min(events, others) < 10:
        return f"Only {counts}: far too few to judge a model; read every figure here as a description of these cases."
    return (
        f"Only {counts}, where at least {ENOUGH_EVENTS} of each are advised for an external validation: "
        "intervals are wide, and a difference that is not found may still be there."
    )
