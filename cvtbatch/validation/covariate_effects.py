"""What acquisition explains of a score beyond the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cvtbatch.validation.baseline import Value
from cvtbatch.validation.multiple_tests import holm
from cvtbatch.validation.values import Floats, Maybe, NotComputable, Significance, finite


@dataclass(frozen=True, slots=True)
class CovariateEffect:
    """What an acquisition covariate explains of the score beyond the outcome.

    Attributes:
        explained: share of the score's variance (partial R squared).
        test: partial F; its P is Holm's over the covariates.
    """

    covariate: str
    n: int
    explained: Maybe[float]
    test: Maybe[Significance]


def covariate_effects(
    score: Floats, outcome: Floats, covariates: Mapping[str, Sequence[Value]]
) -> tuple[CovariateEffect, ...]:
    """Say what covariates explain of a score (log odds) beyond the outcome: partial F of a linear model, Holm-adjusted.

    Args:
        score, outcome: float (n,); the outcome 0, 1, or NaN where unknown.
        covariates: numbers, or texts as categories; None where unknown.
    """
    effects = [_effect(name, score, outcome, values) for name, values in covariates.items()]
    adjusted = iter(holm([effect.test.p_value for effect in effects if isinstance(effect.test, Significance)]))
    return tuple(
        replace(effect, test=replace(effect.test, p_value=next(adjusted)))
        if isinstance(effect.test, Significance)
        else effect
        for effect in effects
    )


def _effect(name: str, score: Floats, outcome: Floats, values: Sequence[Value]) -> CovariateEffect:
    known = np.isfinite(outcome) & np.array([value is not None for value in values], dtype=bool)
    used = [value for value, keep in zip(values, known, strict=True) if keep]
    n = len(used)

    def no(reason: str) -> CovariateEffect:
        return CovariateEffect(name, n, NotComputable(reason), NotComputable(reason))

    if len(set(used)) < 2:
        return no("the same in all cases" if used else "unknown in all cases with an outcome")
    columns = _design(used)
    base = np.column_stack([np.ones(n), outcome[known]])
    full = np.column_stack([base, columns])
    left = n - int(np.linalg.matrix_rank(full))
    gained = int(np.linalg.matrix_rank(full)) - int(np.linalg.matrix_rank(base))
    if left < 10:
        return no(f"too few cases: {n} for {columns.shape[1]} terms")
    if gained == 0:
        return no("it follows from the outcome")
    before, after = (_residual(part, score[known]) for part in (base, full))
    if before <= 0 or after <= 0:
        return no("the score does not vary")
    f = (before - after) / gained / (after / left)
    test = Significance(f"partial F ({gained}, {left})", finite(f), finite(stats.f.sf(f, gained, left)))
    return CovariateEffect(name, n, max(0.0, finite((before - after) / before)), test)


def _design(values: Sequence[Value]) -> Floats:
    """Return columns (n, terms): the number itself, or an indicator for each level but the first."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, dtype=np.float64)[:, None]
    levels = sorted({str(value) for value in values})[1:]
    return np.array([[str(value) == level for level in levels] for value in values], dtype=np.float64)


def _residual(design: Floats, score: Floats) -> float:
    coefficients, *_ = np.linalg.lstsq(design, score, rcond=None)
    return float(((score - design @ coefficients) ** 2).sum())
