"""Patients with several scans: how many there are, and one scan of each for what takes cases as independent."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from cvtbatch.validation.inputs import Case, CenterCohort


@dataclass(frozen=True, slots=True)
class Repeats:
    """How many scans patients have, where one has several.

    Attributes:
        several: patients with more than one scan.
        most: scans of one patient.
    """

    cases: int
    patients: int
    several: int
    most: int


def count_repeats(cases: tuple[Case, ...]) -> Repeats | None:
    """Return how many scans patients have; None where none has several."""
    scans = Counter(case.patient for case in cases)
    several = sum(count > 1 for count in scans.values())
    return Repeats(len(cases), len(scans), several, max(scans.values())) if several else None


def first_scans(cohort: CenterCohort) -> CenterCohort:
    """Return the cohort with one scan a patient: the earliest after onset, and of equal or unknown times the first by key."""
    earliest: dict[str, int] = {}
    for place in sorted(range(len(cohort.cases)), key=lambda place: _time(cohort.cases[place])):
        earliest.setdefault(cohort.cases[place].patient, place)
    places = np.array(sorted(earliest.values()), dtype=np.int64)
    return replace(
        cohort,
        cases=tuple(cohort.cases[place] for place in places),
        features={name: values[places] for name, values in cohort.features.items()},
        embedding=None if cohort.embedding is None else cohort.embedding[places],
    )


def _time(case: Case) -> tuple[float, str]:
    hours = case.clinical.get("onset_to_ct_h")
    return (float("inf") if hours is None else float(hours), case.key)
