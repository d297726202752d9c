"""Which clinical terms enter the nomogram: those that the job names, and candidates that pass a test on the training cases.

A candidate is tested as the baseline table tests it (`cvtbatch.validation.baseline`): a category, and a number of 0 and 1 alone,
by chi-square without correction, or Fisher's exact test where an expected count is below 5; another number by Welch's t-test where
both classes look normal, else Mann-Whitney. Of several classes the table has a row for each (Fisher's test is then Freeman and
Halton's), and numbers are tested by Welch's analysis of variance, else Kruskal-Wallis. Each fold chooses anew on its own training
cases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers, Texts
from cvtbatch.dlrn.clinical_terms import ClinicalColumns, ClinicalTerm, Kind, are_numbers, are_texts, unknown
from cvtbatch.dlrn.description import Candidate
from cvtbatch.dlrn.settings import ClinicalSettings
from cvtbatch.errors import InputError
from cvtbatch.validation.baseline import significance_of_levels, significance_of_numbers
from cvtbatch.validation.splines import knots_of
from cvtbatch.validation.values import Maybe, NotComputable, Significance

MOST_LEVELS = 10


@dataclass(frozen=True, slots=True)
class ChosenTerms:
    """The clinical terms of a nomogram, and what became of the candidates."""

    terms: tuple[ClinicalTerm, ...]
    candidates: tuple[Candidate, ...]

    def entered(self) -> tuple[str, ...]:
        """Return the candidates that entered."""
        return tuple(candidate.name for candidate in self.candidates if candidate.entered)


def rows_of(columns: ClinicalColumns, rows: Integers) -> ClinicalColumns:
    """Return the values of some rows."""
    return {name: values[rows] for name, values in columns.items()}


def require_terms(columns: ClinicalColumns, outcome: Integers, settings: ClinicalSettings) -> None:
    """Refuse terms of a job that tell no training case from another, before anything is fitted.

    Raises:
        InputError: "constant_term", "too_many_levels" or "too_few_patients".
    """
    for name in settings.terms:
        known = ~unknown(columns[name])
        if len(found := set(columns[name][known].tolist())) < 2:
            value = next(iter(found), None)
            told = f"{value:g}" if isinstance(value, float) else repr(value)
            of_all = f"{told} in all {int(known.sum())} training cases where it is known" if found else ""
            rest = ", ".join(other for other in settings.terms if other != name)
            raise InputError(
                "constant_term",
                f"the clinical term {name} is {of_all or 'unknown in all training cases'}: leave it out of the terms, e.g. --set "
                f"'fit.clinical.terms=[{rest}]'",
            )
    known = _complete(columns, settings.terms, len(outcome))
    if len(np.unique(outcome[known])) < (classes := max(2, len(np.unique(outcome)))):
        raise InputError(
            "too_few_patients",
            f"{' and '.join(settings.terms)} known in {int(known.sum())} training cases, not in "
            f"{'all classes' if classes > 2 else 'both outcomes'}",
        )
    for name in settings.columns:
        _require_few_levels(name, columns[name])
        if name in settings.splines and are_texts(columns[name]):
            raise InputError("bad_spline", f"fit.clinical.splines names {name}, which is a category")


def choose_terms(columns: ClinicalColumns, outcome: Integers, settings: ClinicalSettings) -> ChosenTerms:
    """Return the terms for some training cases: the job's own, then candidates that pass, each in the job's order.

    What is the same in all cases, or in all those that know every other term, enters in no fit: it would be the intercept.

    Args:
        columns: (n,) values of these cases.
        outcome: (n,) 0 or 1, or of several classes 0 to K - 1.

    Raises:
        InputError: "too_many_levels"; "bad_spline": a spline of a category, or of a number with too few values for its knots.
    """
    candidates = tuple(_tested(name, columns[name], outcome, settings.p_value) for name in settings.candidates)
    names = [*settings.terms, *(candidate.name for candidate in candidates if candidate.entered)]
    known = _complete(columns, names, len(outcome))
    terms: list[ClinicalTerm] = []
    for name in names:
        values = columns[name][known]
        if are_texts(values):
            terms += _category(name, values)
        elif are_numbers(values):
            terms += _number(name, values, settings)
    there = {term.name for term in terms}
    same = "the same in all cases that know every term"
    return ChosenTerms(
        tuple(terms),
        tuple(
            candidate
            if candidate.name in there or not candidate.entered
            else Candidate(candidate.name, candidate.test, candidate.p_value, False, same)
            for candidate in candidates
        ),
    )


def with_stability(candidates: Sequence[Candidate], folds: Sequence[Sequence[str]]) -> tuple[Candidate, ...]:
    """Return candidates with the share of the outer folds in which each entered.

    Args:
        folds: the candidates that entered in each; none without nested cross-validation.
    """
    share: Mapping[str, float | None] = {
        candidate.name: float(np.mean([candidate.name in fold for fold in folds])) if folds else None
        for candidate in candidates
    }
    return tuple(
        Candidate(found.name, found.test, found.p_value, found.entered, found.reason, share[found.name])
        for found in candidates
    )


def _complete(columns: ClinicalColumns, names: Sequence[str], count: int) -> Booleans:
    known = np.ones(count, np.bool_)
    for name in names:
        known &= ~unknown(columns[name])
    return known


def _tested(name: str, values: Floats | Texts, outcome: Integers, p_value: float) -> Candidate:
    found = _test(name, values, outcome)
    if isinstance(found, NotComputable):
        return Candidate(name, "none", None, False, found.reason)
    return Candidate(name, found.name, found.p_value, found.p_value < p_value)


def _test(name: str, values: Floats | Texts, outcome: Integers) -> Maybe[Significance]:
    groups = [outcome == label for label in reversed(range(max(2, int(outcome.max()) + 1)))]
    if are_texts(values):
        _require_few_levels(name, values)
        return significance_of_levels([values[own].tolist() for own in groups])
    if np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        texts = np.array([None if np.isnan(value) else f"{value:g}" for value in values], dtype=object)
        return significance_of_levels([texts[own].tolist() for own in groups])
    return significance_of_numbers([values[own] for own in groups])


def _require_few_levels(name: str, values: Floats | Texts) -> None:
    if are_numbers(values):
        return
    levels = sorted({value for value in values if value is not None})
    if len(levels) > MOST_LEVELS:
        numbers = [level for level in levels if _is_number(level)]
        odd = next(level for level in levels if level not in numbers) if numbers else ""
        hint = f"; if it is a number, {odd!r} is none" if odd else ""
        raise InputError(
            "too_many_levels",
            f"fit.clinical names {name}, a category of {len(levels)} levels ({', '.join(map(repr, levels[:3]))} ...); at most "
            f"{MOST_LEVELS} can be terms{hint}",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _category(name: str, values: Texts) -> list[ClinicalTerm]:
    """Return a term of each level but the reference, the most frequent one; of equally frequent ones the first by name."""
    found, counts = np.unique(values.astype(str), return_counts=True)
    if len(found) < 2:
        return []
    reference = str(found[np.argmax(counts)])
    others = [str(level) for level in found if level != reference]
    return [ClinicalTerm(name, Kind.LEVEL, 0.0, 1.0, level, reference) for level in others]


def _number(name: str, values: Floats, settings: ClinicalSettings) -> list[ClinicalTerm]:
    if len(values) == 0 or values.min() == values.max():
        return []
    low, high = float(values.min()), float(values.max())
    if name not in settings.splines:
        return [ClinicalTerm(name, Kind.LINEAR, low, high)]
    knots = knots_of(values, settings.knots)
    if len(np.unique(knots)) < settings.knots:
        raise InputError(
            "bad_spline",
            f"fit.clinical.splines names {name}, whose values in {len(values)} training cases give {len(np.unique(knots))} "
            f"different places to {settings.knots} knots: take fewer (fit.clinical.knots), or a line (leave it out of the splines)",
        )
    return [ClinicalTerm(name, Kind.SPLINE, low, high, knots=tuple(float(knot) for knot in knots))]
