"""Whether a model works alike in subgroups: each with its size, its events and all its intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cvtbatch.validation.calibration import Terms, observed_over_expected, terms
from cvtbatch.validation.inputs import Case, scored_cases
from cvtbatch.validation.roc import auc
from cvtbatch.validation.values import Estimate, Maybe, Scored

AGE_EDGES = (50.0, 65.0)
VOLUME_EDGES_ML = (10.0, 30.0)
"""30 ml: the volume of the ICH score (Hemphill et al., Stroke 2001;32:891)."""
UNKNOWN = "unknown"
"""Level of cases of which a variable is not known."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One level of a variable."""

    variable: str
    level: str
    n: int
    events: int
    auc: Maybe[Estimate]
    observed_over_expected: Maybe[Estimate]
    terms: Terms


def bands(values: Sequence[float | None], edges: Sequence[float], unit: str) -> list[str | None]:
    """Name the band of each value: below the first edge, between edges (upper edge excluded), from the last edge on."""
    names = [f"below {edges[0]:g} {unit}"]
    names += [f"{low:g} to below {high:g} {unit}" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]:g} {unit} and more")
    return [None if value is None else names[int(np.searchsorted(edges, value, side="right"))] for value in values]


def subgroups(cases: tuple[Case, ...], model: str) -> tuple[Subgroup, ...]:
    """Judge a model in the subgroups of a report: age, sex, location, hematoma volume, scanner."""
    scored, kept = scored_cases(cases, model)
    if scored.n == 0:
        return ()

    def numbers(name: str) -> list[float | None]:
        values = [case.clinical.get(name) for case in kept]
        return [None if value is None else float(value) for value in values]

    def texts(name: str, source: str = "clinical") -> list[str | None]:
        values = [getattr(case, source).get(name) for case in kept]
        return [None if value is None else str(value) for value in values]

    variables = {
        "age": bands(numbers("age"), AGE_EDGES, "years"),
        "sex": texts("sex"),
        "location": texts("location"),
        "hematoma volume": bands(numbers("volume_ml"), VOLUME_EDGES_ML, "ml"),
        "scanner": texts("scanner", "acquisition"),
    }
    return in_subgroups(scored, variables)


def in_subgroups(scored: Scored, variables: Mapping[str, Sequence[str | None]]) -> tuple[Subgroup, ...]:
    """Judge a model in each level of each variable; unknown is a level of its own.

    Args:
        variables: levels of the cases of `scored`, in order.
    """
    found = []
    for variable, values in variables.items():
        named = np.array([UNKNOWN if value is None else value for value in values], dtype=object)
        for level in _in_order(values):
            inside = scored.where(named == level)
            found.append(
                Subgroup(
                    variable, level, inside.n, inside.events, auc(inside), observed_over_expected(inside), terms(inside)
                )
            )
    return tuple(found)


def _in_order(values: Sequence[str | None]) -> list[str]:
    """Return levels as people read them: "below" first, numbers ascending, "unknown" last."""

    def place(level: str) -> tuple[bool, float, str]:
        if level.startswith("below "):
            return False, -1.0, level
        head = level.split(" ", 1)[0]
        return level == UNKNOWN, float(head) if head.replace(".", "", 1).isdigit() else 0.0, level

    return sorted({UNKNOWN if value is None else value for value in values}, key=place)
