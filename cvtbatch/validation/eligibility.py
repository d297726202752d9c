"""Who belongs to the study: the inclusion criteria of the paper, as one pure function of a `cases` row.

Source: Sci Rep 2025, doi 10.1038/s41598-025-31206-8. In: acute non-traumatic intraparenchymal hemorrhage, non-enhanced CT within
24 h of onset, etiology confirmed by MRV, CTA or DSA. Out: substantial intraventricular or subarachnoid hemorrhage, hemorrhage of
cerebellum or brainstem, inadequate image quality. What a row leaves empty never excludes it; it is counted as unknown.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

LATEST_CT_H = 24


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion of the study: the column that it reads, the values that break it, and the reason's stable name."""

    reason: str
    column: str
    breaks: Callable[[object], bool]


CRITERIA = (
    Criterion("traumatic", "traumatic", lambda value: value == 1),
    Criterion("ct_after_24_h", "onset_to_ct_h", lambda value: isinstance(value, int | float) and value > LATEST_CT_H),
    Criterion("etiology_unconfirmed", "confirmed_by", lambda value: value == "NONE"),
    Criterion("intraventricular_hemorrhage", "ivh", lambda value: value == 1),
    Criterion("subarachnoid_hemorrhage", "sah", lambda value: value == 1),
    Criterion("infratentorial", "location", lambda value: value in {"cerebellum", "brainstem"}),
    Criterion("inadequate_quality", "quality", lambda value: value == "inadequate"),
)
"""In the order in which a flow diagram excludes."""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Where a case stands.

    Attributes:
        reasons: why it is excluded, in the order of `CRITERIA`; empty if it is included.
        unknown: columns that are empty, in that order.
    """

    reasons: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def included(self) -> bool:
        """Whether no criterion is known to be broken."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class InclusionFlow:
    """How many cases were screened, excluded and included.

    Attributes:
        excluded: cases by their first reason, in the order of `CRITERIA`, reasons without cases left out.
        unknown: of the included cases, how many leave a column empty.
    """

    screened: int
    excluded: Mapping[str, int]
    included: int
    unknown: Mapping[str, int]


def assess_eligibility(row: Mapping[str, object]) -> Eligibility:
    """Hold a `cases` row to the criteria; a missing column is an empty one."""
    reasons = tuple(criterion.reason for criterion in CRITERIA if criterion.breaks(row.get(criterion.column)))
    unknown = tuple(criterion.column for criterion in CRITERIA if row.get(criterion.column) is None)
    return Eligibility(reasons, unknown)


def inclusion_flow(rows: Iterable[Mapping[str, object]]) -> InclusionFlow:
    """Return the flow from screened to included over `cases` rows."""
    assessed = [assess_eligibility(row) for row in rows]
    first = Counter(case.reasons[0] for case in assessed if not case.included)
    unknown = Counter(column for case in assessed if case.included for column in case.unknown)
    return InclusionFlow(
        screened=len(assessed),
        excluded={c.reason: first[c.reason] for c in CRITERIA if first[c.reason]},
        included=sum(case.included for case in assessed),
        unknown={c.column: unknown[c.column] for c in CRITERIA if unknown[c.column]},
    )
