"""Patients with several scans: how many there are, and one scan of each for what takes cases as independent."""

from collections import Counter
from collections.abc import Iterable
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
    places = np.array(first_places(map(_scan, cohort.cases)), dtype=np.int64)
    return replace(
        cohort,
        cases=tuple(cohort.cases[place] for place in places),
        features={name: values[places] for name, values in cohort.features.items()},
        embedding=None if cohort.embedding is None else cohort.embedding[places],
    )


def first_places(scans: Iterable[tuple[str, float | None, str]]) -> list[int]:
    """Return the places of one scan a patient, ascending: of the earliest, and of equal or unknown times the first by key.

    Args:
        scans: patient, hours from onset to the scan, and key of each.
    """
    first: dict[str, tuple[float, str, int]] = {}
    for place, (patient, hours, key) in enumerate(scans):
        found = (float("inf") if hours is None else hours, key, place)
        first[patient] = min(found, first.get(patient, found))
    return sorted(place for _, _, place in first.values())


def _scan(case: Case) -> tuple[str, float | None, str]:
    hours = case.clinical.get("onset_to_ct_h")
    return case.patient, None if hours is None else float(hours), case.key
