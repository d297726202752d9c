"""Terms that would recalibrate a model to a centre: offered, never applied silently."""

from dataclasses import dataclass
from typing import Literal

from cvtbatch.validation.calibration import Terms
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, Scored

Method = Literal["intercept", "intercept-slope"]
TERMS: dict[Method, int] = {"intercept": 1, "intercept-slope": 2}
"""The methods, and how many terms each estimates."""
CASES_PER_TERM = 10
"""Patients of the rarer outcome, for each term: with fewer, estimates mislead (Peduzzi et al., J Clin Epidemiol 1996;49:1373)."""
FEW_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Recalibration:
    """New log odds = intercept + slope x old log odds (Steyerberg et al., Stat Med 2004;23:2567, methods 2 and 3).

    Attributes:
        slope: None where the intercept alone is fitted: it is 1.
        caution: what speaks against it here, or an empty text.
    """

    method: Method
    intercept: Estimate
    slope: Estimate | None
    caution: str


def recalibrations(terms: Terms, scored: Scored) -> dict[Method, Maybe[Recalibration]]:
    """Return what calibration terms offer, by method.

    Args:
        scored: cases that the terms were fitted on.
    """
    return {method: _offer(method, terms, scored) for method in TERMS}


def _offer(method: Method, terms: Terms, scored: Scored) -> Maybe[Recalibration]:
    events, others = (scored.where(members).patients for members in (scored.outcome, ~scored.outcome))
    needed = CASES_PER_TERM * TERMS[method]
    if scored.rarer < needed:
        unit = "patients" if scored.repeated else "cases"
        return NotComputable(
            f"too few: {events} {unit} with and {others} without the event, and it takes {needed} of each "
            f"({CASES_PER_TERM} for each term)"
        )
    caution = f"fitted on {events} events only; " if events < FEW_EVENTS else ""
    caution += "judge it on other cases"
    if method == "intercept":
        alone = terms.intercept
        return alone if isinstance(alone, NotComputable) else Recalibration(method, alone, None, caution)
    intercept, slope = terms.slope_intercept, terms.slope
    if isinstance(intercept, NotComputable):
        return intercept
    if isinstance(slope, NotComputable):
        return slope
    if slope.value <= 0:
        return NotComputable("the slope is not positive: recalibration would turn the ranking round")
    return Recalibration(method, intercept, slope, caution)
