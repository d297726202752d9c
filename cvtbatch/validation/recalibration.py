"""Terms that would recalibrate a model to a centre: offered, never applied silently."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from cvtbatch.validation.calibration import Terms, log_odds
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable

FEW_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Recalibration:
    """New log odds = intercept + slope x old log odds (Steyerberg et al., Stat Med 2004;23:2567, methods 2 and 3).

    Attributes:
        caution: what speaks against it here, or an empty text.
    """

    method: Literal["intercept", "intercept and slope"]
    intercept: float
    slope: float
    caution: str

    def apply(self, probability: Floats) -> Floats:
        """Return recalibrated probabilities (n,)."""
        return np.asarray(expit(self.intercept + self.slope * log_odds(probability)), dtype=np.float64)


def recalibrations(terms: Terms, events: int) -> tuple[Maybe[Recalibration], Maybe[Recalibration]]:
    """Return the two recalibrations that calibration terms offer: of the intercept, and of intercept and slope."""
    few = f"fitted on {events} events only; judge it on other cases" if events < FEW_EVENTS else ""
    first: Maybe[Recalibration] = (
        Recalibration("intercept", terms.intercept.value, 1.0, few)
        if isinstance(terms.intercept, Estimate)
        else terms.intercept
    )
    if isinstance(terms.slope, NotComputable):
        return first, terms.slope
    if isinstance(terms.slope_intercept, NotComputable):
        return first, terms.slope_intercept
    if terms.slope.value <= 0:
        return first, NotComputable("the slope is not positive: recalibration would turn the ranking round")
    return first, Recalibration("intercept and slope", terms.slope_intercept.value, terms.slope.value, few)
