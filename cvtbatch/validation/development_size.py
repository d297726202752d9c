"""How many cases the development of a model takes, from the number of its candidate parameters.

Riley et al., BMJ 2020;368:m441, with Stat Med 2019;38:1276 (`pmsampsize`): a shrinkage of at least 0.9, a difference of at most
0.05 between apparent and adjusted Nagelkerke R2, and the overall risk to within 0.05. The criteria are those of a regression of
all candidates; selection by screening and LASSO is no way round them.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import logit

from cvtbatch.validation.values import Maybe, NotComputable, Z

SHRINKAGE = 0.9
OPTIMISM = 0.05
RISK_MARGIN = 0.05
UNINFORMED_SHARE = 0.15
"""Of the largest Cox-Snell R2 that a share of events allows: what Riley et al. 2020 advise where nothing is known."""
NODES = 100


@dataclass(frozen=True, slots=True)
class DevelopmentCohort:
    """Whom a model was developed on, and from how many candidates.

    Attributes:
        patients: whose cases these are.
        parameters: candidates before any selection.
        auc: by nested cross-validation, or None.
    """

    cases: int
    patients: int
    events: int
    parameters: int
    auc: float | None


@dataclass(frozen=True, slots=True)
class DevelopmentCriterion:
    """A criterion and the cases that it takes."""

    name: str
    n: Maybe[int]
    events: Maybe[int]


@dataclass(frozen=True, slots=True)
class DevelopmentSize:
    """What the development had, and what it would take.

    Attributes:
        cox_snell: R2 that is anticipated.
        largest: Cox-Snell R2 that the share of events allows.
        anticipated: what `cox_snell` comes from, in words.
    """

    cohort: DevelopmentCohort
    cox_snell: float
    largest: float
    anticipated: str
    criteria: tuple[DevelopmentCriterion, ...]


def largest_cox_snell(share: float) -> float:
    """Return the largest Cox-Snell R2 that a share of events allows (Riley et al. 2019, equation 23)."""
    return 1 - math.exp(2 * _null_log_likelihood(share))


def cox_snell_of(auc: float, share: float) -> float:
    """Return the Cox-Snell R2 of a score that is normal in either class with equal variances, at an AUC of at least 0.5.

    Riley et al., Stat Med 2021;40:859, where it is simulated; here by Gauss-Hermite quadrature.
    """
    distance = math.sqrt(2) * float(stats.norm.ppf(auc))
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    # Log odds of a case whose score lies `nodes` from the mean of the others.
    events = logit(share) + distance * (nodes + distance) - distance**2 / 2
    others = logit(share) + distance * nodes - distance**2 / 2
    fitted = -share * (weights @ np.logaddexp(0, -events)) - (1 - share) * (weights @ np.logaddexp(0, others))
    return float(1 - math.exp(-2 * (fitted - _null_log_likelihood(share))))


def _null_log_likelihood(share: float) -> float:
    return share * math.log(share) + (1 - share) * math.log(1 - share)


def cases_for_shrinkage(parameters: int, cox_snell: float, shrinkage: float) -> Maybe[int]:
    """Return the n at which so many parameters have an expected shrinkage (Riley et al. 2019, equation 11)."""
    if not 0 < cox_snell < shrinkage < 1:
        return NotComputable(
            f"at an R2 of {cox_snell:.3g} and a shrinkage of {shrinkage:.3g} the formula has no answer"
        )
    return math.ceil(parameters / ((shrinkage - 1) * math.log(1 - cox_snell / shrinkage)))


def cases_for_overall_risk(share: float) -> int:
    """Return the n whose share of events has a 95 % interval of +- 0.05."""
    return math.ceil((Z / RISK_MARGIN) ** 2 * share * (1 - share))


def development_size(cohort: DevelopmentCohort) -> Maybe[DevelopmentSize]:
    """Return what a development would take at its share of events."""
    if not 0 < cohort.events < cohort.cases:
        return NotComputable("the training cohort has one class only")
    share = cohort.events / cohort.cases
    largest = largest_cox_snell(share)
    if cohort.auc is not None and 0.5 < cohort.auc < 1:
        cox_snell = cox_snell_of(cohort.auc, share)
        anticipated = f"an AUC of {cohort.auc:.3f}, by nested cross-validation in training"
    else:
        cox_snell = UNINFORMED_SHARE * largest
        anticipated = f"{UNINFORMED_SHARE:g} of the largest R2 that the share of events allows"
    optimism = cox_snell / (cox_snell + OPTIMISM * largest)
    found: tuple[tuple[str, Maybe[int]], ...] = (
        (f"shrinkage of {SHRINKAGE:g} or more", cases_for_shrinkage(cohort.parameters, cox_snell, SHRINKAGE)),
        (
            f"optimism of R2 (Nagelkerke) of {OPTIMISM:g} or less",
            cases_for_shrinkage(cohort.parameters, cox_snell, optimism),
        ),
        (f"overall risk to within {RISK_MARGIN:g}", cases_for_overall_risk(share)),
    )
    criteria = tuple(
        DevelopmentCriterion(name, n, n if isinstance(n, NotComputable) else math.ceil(n * share)) for name, n in found
    )
    return DevelopmentSize(cohort, cox_snell, largest, anticipated, criteria)
