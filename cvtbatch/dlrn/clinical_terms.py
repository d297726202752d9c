"""Clinical terms of the nomogram: from values of cases to the columns that the logistic model multiplies. Pure.

A number enters as it is, or as a restricted cubic spline; a category as an indicator of each level but the reference. Coefficients
are named as R's rms names them: `age`, `age'` (of a spline's second column), `location=deep`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

import numpy as np

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.arrays import Booleans, Floats, Texts
from cvtbatch.validation.splines import spline_basis

EPILEPSY = "epilepsy"
# Values of cases by column: numbers with NaN, or texts.
ClinicalColumns = Mapping[str, Floats | Texts]


class Kind(StrEnum):
    """How a column enters the nomogram: a number as it is or as a spline, or one level of a category."""

    LINEAR = "linear"
    SPLINE = "spline"
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class ClinicalTerm:
    """A clinical term of the nomogram, as a bundle keeps it.

    Attributes:
        name: column of the manifest.
        low, high: lowest and highest value of the cases that it was fitted on; of a level 0 and 1.
        level: that the term stands for; None of a number.
        reference: the level that has no term of its own; None of a number.
        knots: of a spline.
    """

    name: str
    kind: Kind
    low: float
    high: float
    level: str | None = None
    reference: str | None = None
    knots: tuple[float, ...] = ()

    def labels(self) -> tuple[str, ...]:
        """Return the names of its coefficients, at least one."""
        if self.kind is Kind.LEVEL:
            return (f"{self.name}={self.level}",)
        return tuple(self.name + "'" * place for place in range(max(1, len(self.knots) - 1)))

    def to_document(self) -> JsonObject:
        """Return the term as a JSON object, without what it does not have."""
        own: JsonObject = {"name": self.name, "kind": str(self.kind), "low": self.low, "high": self.high}
        if self.kind is Kind.LEVEL:
            own |= {"level": self.level, "reference": self.reference}
        return own | ({"knots": list(self.knots)} if self.knots else {})


DEFAULT_TERMS = (ClinicalTerm(EPILEPSY, Kind.LINEAR, 0, 1),)
"""Those of the study, and of every bundle that names none."""


def names_of(terms: Iterable[ClinicalTerm]) -> tuple[str, ...]:
    """Return the columns that some terms are made of, each once, in order."""
    return tuple(dict.fromkeys(term.name for term in terms))


def labels_of(terms: Iterable[ClinicalTerm]) -> tuple[str, ...]:
    """Return the names of the coefficients, in order."""
    return tuple(label for term in terms for label in term.labels())


def levels_of(terms: Iterable[ClinicalTerm], name: str) -> tuple[str, ...]:
    """Return the levels that training had of a category, the reference first; empty for a number."""
    own = [term for term in terms if term.name == name and term.kind is Kind.LEVEL]
    return (str(own[0].reference), *(str(term.level) for term in own)) if own else ()


def numbers_among(terms: Iterable[ClinicalTerm]) -> tuple[ClinicalTerm, ...]:
    """Return the terms that are numbers, and so have a training range."""
    return tuple(term for term in terms if term.kind is not Kind.LEVEL)


def is_yes_or_no(name: str) -> bool:
    """Say whether the manifest allows 0 and 1 alone in a column."""
    field = contracts.manifest_fields().get(name)
    return field is not None and (field.type, field.minimum, field.maximum) == ("integer", 0, 1)


def are_texts(values: Floats | Texts) -> TypeGuard[Texts]:
    """Say whether values are a category's."""
    return values.dtype == np.object_


def are_numbers(values: Floats | Texts) -> TypeGuard[Floats]:
    """Say whether values are numbers."""
    return values.dtype != np.object_


def design(terms: Sequence[ClinicalTerm], columns: ClinicalColumns, count: int) -> Floats:
    """Return what coefficients multiply: (count, t), NaN where a value is unknown, or of a level that training did not have."""
    parts = [np.empty((count, 0))]
    for term in terms:
        values = columns[term.name]
        if term.kind is Kind.SPLINE:
            with np.errstate(over="ignore", invalid="ignore"):
                parts.append(spline_basis(np.asarray(values, np.float64), np.array(term.knots)))
        elif term.kind is Kind.LINEAR:
            parts.append(np.asarray(values, np.float64)[:, None])
        else:
            of_level = {level: float(level == term.level) for level in levels_of(terms, term.name)}
            parts.append(np.array([of_level.get(value, np.nan) for value in values], np.float64)[:, None])
    return np.concatenate(parts, axis=1)


def unknown(values: Floats | Texts) -> Booleans:
    """Say which values are unknown: (n,)."""
    if are_numbers(values):
        return np.isnan(values)
    return np.array([value is None for value in values], np.bool_)


def outside_range(terms: Sequence[ClinicalTerm], columns: ClinicalColumns, count: int) -> Booleans:
    """Say which numbers lie outside the training range: (count, number of `numbers_among`)."""
    found = np.zeros((count, len(numbers_among(terms))), np.bool_)
    for place, term in enumerate(numbers_among(terms)):
        values = np.asarray(columns[term.name], np.float64)
        found[:, place] = (values < term.low) | (values > term.high)
    return found
