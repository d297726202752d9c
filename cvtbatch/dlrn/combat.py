"""ComBat: columns of several centres on the scale of one of them, so that no centre is told by its scanners.

Johnson, Li and Rabinovic (Biostatistics 2007, 8:118-127): each column of a centre has a shift and a spread of its own against the
reference, and what is believed of them is drawn towards what the centre's other columns show (parametric empirical Bayes). Here
with a reference centre and without covariates, as neuroCombat 0.2.12 computes it with `ref_batch`, to the same step of the same
iteration. What a centre is found to do is applied to rows that were not looked at: value -> (value - location) / scale.

A centre that came later is moved by its own cases in the same way, where that is asked for (`ReferenceScale.moved`): mean and
deviation of each column are kept of the reference for it.

No outcome is looked at. The price: where centres differ in their share of events, a part of what the disease does is taken away
with what the scanner does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats
from cvtbatch.dlrn.univariate import unusable_reasons
from cvtbatch.errors import InputError

# Change of an iteration's values, relative to the former ones, at which it ends.
CONVERGED = 1e-4
# A spread takes two rows; what is believed of columns together takes two columns.
FEWEST = 2
# Of a centre in a whole cohort, and of one that is moved by its own cases.
FEWEST_CASES = 20


class NewCenters(StrEnum):
    """What becomes of centres that a model was not fitted on: they stay, or their own cases say what moves them."""

    AS_THEY_ARE = "as_they_are"
    OWN_CASES = "own_cases"


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceScale:
    """The scale of the reference centre.

    Attributes:
        columns: (p,) that have one: no missing value in any case, and not constant at the reference.
        mean, sd: (p,) of the reference's cases.
    """

    columns: tuple[str, ...]
    mean: Floats
    sd: Floats

    def moved(self, values: Floats, columns: Sequence[str]) -> tuple[Floats, Floats]:
        """Return location and scale of some columns, (q,) both, of a centre with these values (n, p); NaN where one is missing.

        Raises:
            InputError: "no_usable_column": fewer than two columns have no missing value.
        """
        whole = np.isfinite(values).all(axis=0)
        if whole.sum() < FEWEST:
            raise InputError(
                "no_usable_column", "ComBat learns what a centre does from many columns without missing values"
            )
        location, scale = np.full((2, len(self.columns)), np.nan)
        location[whole], scale[whole] = _move(values[:, whole], self.mean[whole], self.sd[whole])
        places = [self.columns.index(column) for column in columns]
        return location[places], np.where(np.isnan(scale), 1.0, scale)[places]


@dataclass(frozen=True, slots=True, eq=False)
class Harmonisation:
    """What makes centres alike.

    Attributes:
        centers: (B,) names, in order, the reference among them.
        reference: the centre whose values stay as they are.
        location, scale: (B, p) of each centre and column: 0 and 1 of the reference.
        base: what moves centres that come later; None where they stay as they are.
        later: those of the centres that came later.
    """

    centers: tuple[str, ...]
    reference: str
    location: Floats
    scale: Floats
    base: ReferenceScale | None = None
    later: tuple[str, ...] = ()

    def knows(self, centers: Sequence[str | None]) -> Booleans:
        """Say of which rows the centre is known: (n,)."""
        return np.array([center in self.centers for center in centers], np.bool_)

    def apply(self, values: Floats, centers: Sequence[str | None]) -> Floats:
        """Return values (n, p) on the reference's scale; rows of other centres, and of none, as they are."""
        known = self.knows(centers)
        places = [self.centers.index(center) for center in centers if center in self.centers]
        alike = values.copy()
        alike[known] = (values[known] - self.location[places]) / self.scale[places]
        return alike

    def of_columns(self, columns: Sequence[int]) -> "Harmonisation":
        """Return what it does to some columns."""
        location, scale = (np.ascontiguousarray(array[:, list(columns)]) for array in (self.location, self.scale))
        return replace(self, location=location, scale=scale)

    @property
    def as_fitted(self) -> "Harmonisation":
        """What it does without the centres that came later."""
        count = len(self.centers) - len(self.later)
        location, scale = self.location[:count], self.scale[:count]
        return replace(self, centers=self.centers[:count], location=location, scale=scale, later=())

    def with_center(self, center: str, location: Floats, scale: Floats) -> "Harmonisation":
        """Return what it does with one more centre, which it does not know, and which moves like this: (p,) both."""
        return replace(
            self,
            centers=(*self.centers, center),
            location=np.concatenate([self.location, location[None]]),
            scale=np.concatenate([self.scale, scale[None]]),
            later=(*self.later, center),
        )


@dataclass(frozen=True, slots=True)
class HarmonisedCenters:
    """What bundle.json says of a harmonisation; locations and scales are arrays of the bundle.

    Attributes:
        centers: those that it was fitted on, the reference among them.
        columns: the radiomics columns in use.
        new_centers: what becomes of rows of other centres.
        reference_columns: those whose mean and deviation at the reference are kept for them.
    """

    method: str
    centers: tuple[str, ...]
    reference: str
    columns: tuple[str, ...]
    new_centers: NewCenters = NewCenters.AS_THEY_ARE
    reference_columns: tuple[str, ...] = ()


def require_centers(centers: Sequence[str], reference: str | None) -> None:
    """Refuse a cohort whose centres cannot be made alike.

    Args:
        centers: (n,) of each case.

    Raises:
        InputError: "bad_job": they are of one centre; "no_such_center": none is the reference; "too_few_patients": a centre has
            fewer than FEWEST_CASES.
    """
    counts = Counter(centers)
    if len(counts) < 2:
        raise InputError("bad_job", "fit.harmonise makes training centres alike, and cohort.training_centers names one")
    if reference is not None and reference not in counts:
        raise InputError(
            "no_such_center",
            f"fit.harmonise.reference is {reference!r}, and the training cases are of {', '.join(sorted(counts))}",
        )
    if few := [f"{center} {count}" for center, count in sorted(counts.items()) if count < FEWEST_CASES]:
        raise InputError(
            "too_few_patients",
            f"fit.harmonise takes {FEWEST_CASES} training cases of each centre, so that every fold knows it; of {', '.join(few)}: "
            "leave it out of cohort.training_centers, or set fit.harmonise.method=none",
        )


def fit_combat(values: Floats, centers: Sequence[str], reference: str | None = None) -> Harmonisation:
    """Return what puts rows on the scale of a reference centre.

    A column with missing values, or constant at the reference, has no scale there: away from it, it becomes NaN. A centre with
    fewer than two rows is not known afterwards.

    Args:
        values: (n, p).
        centers: (n,) of each row.
        reference: by default, and where it has fewer than two rows, the centre with most rows, of several the first by name.

    Raises:
        InputError: "no_usable_column": fewer than two columns have a scale.
    """
    labels = np.asarray(centers, dtype=object)
    rows = {center: np.flatnonzero(labels == center) for center in sorted(set(centers))}
    rows = {center: own for center, own in rows.items() if len(own) >= FEWEST}
    if reference not in rows:
        reference = max(rows, key=lambda center: len(rows[center]))
    location, scale = np.zeros((len(rows), values.shape[1])), np.ones((len(rows), values.shape[1]))
    whole = np.isfinite(values).all(axis=0)
    usable = whole & np.array([not reason for reason in unusable_reasons(values[rows[reference]])])
    if len(rows) > 1 and usable.sum() < FEWEST:
        raise InputError(
            "no_usable_column",
            f"ComBat learns what a centre does from many columns, and {int(usable.sum())} have no missing value and vary at "
            f"centre {reference!r}: name another fit.harmonise.reference, or more features",
        )
    of_reference = values[np.ix_(rows[reference], usable)]
    mean, sd = of_reference.mean(axis=0), of_reference.std(axis=0)
    for place, (center, own) in enumerate(rows.items()):
        if center == reference:
            continue
        location[place, ~usable] = np.nan
        location[place, usable], scale[place, usable] = _move(values[np.ix_(own, usable)], mean, sd)
    return Harmonisation(tuple(rows), reference, location, scale)


def reference_scale(values: Floats, centers: Sequence[str], reference: str, columns: Sequence[str]) -> ReferenceScale:
    """Return the scale of a fit's reference; arguments as `fit_combat` had and found them, with the columns' names."""
    rows = np.flatnonzero(np.asarray(centers, dtype=object) == reference)
    usable = np.isfinite(values).all(axis=0) & np.array([not reason for reason in unusable_reasons(values[rows])])
    names = tuple(name for name, has in zip(columns, usable.tolist(), strict=True) if has)
    own = values[np.ix_(rows, usable)]
    return ReferenceScale(names, own.mean(axis=0), own.std(axis=0))


def _move(values: Floats, mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Return location and scale (p,) of a centre's values (n, p) against a reference's mean and deviation (p,)."""
    shift, variance = _posterior((values - mean) / sd)
    scale = np.sqrt(variance)
    return mean * (1 - scale) + sd * shift, scale


def _posterior(values: Floats) -> tuple[Floats, Floats]:
    """Return shift and variance of each column of a centre's z-scores (n, p), drawn towards those of all: (p,) both.

    Normal prior of shifts, inverse gamma of variances, their parameters by moments over the columns.
    """
    count = len(values)
    shifts, variances = values.mean(axis=0), values.var(axis=0, ddof=1)
    spread = (count - 1) * variances
    variances = np.where(variances == 0, 1.0, variances)
    mean, mean_of_variance = shifts.mean(), variances.mean()
    of_shifts, of_variances = shifts.var(ddof=1), variances.var(ddof=1)
    shift, variance, change = shifts, variances, np.inf
    while change > CONVERGED:
        former = shift, variance
        shift = (of_shifts * count * shifts + variance * mean) / (of_shifts * count + variance)
        squares = spread + count * (shifts - shift) ** 2
        # The prior's a = (2 v + m^2) / v and b = (m v + m^3) / v, both times v, which may be 0.
        above = of_variances * squares / 2 + mean_of_variance * of_variances + mean_of_variance**3
        variance = above / (of_variances * count / 2 + of_variances + mean_of_variance**2)
        # A shift below 0 does not count in it: so in sva and neuroCombat, whose values these are.
        with np.errstate(divide="ignore", invalid="ignore"):
            changes = [np.abs(new - old) / old for new, old in zip((shift, variance), former, strict=True)]
        change = max(np.nan_to_num(part, nan=0.0).max() for part in changes)
    return shift, variance
