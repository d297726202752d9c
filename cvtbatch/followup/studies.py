"""In which order the studies of a patient were made, as far as anything tells it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

NO_NUMBER = "no timepoint, where another study of the patient has one"
NO_TIME = "neither timepoint nor onset_to_ct_h tells the order of the patient's studies"


@dataclass(frozen=True, slots=True)
class Study:
    """A study of a patient: its case, its number in the patient's series, and hours from onset; None where not known."""

    case_key: str
    case_id: str
    timepoint: int | None
    onset_to_ct_h: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """The studies of a patient.

    Attributes:
        studies: in the order in which they were made, the first is the baseline.
        left_out: how many are not among these.
        why: some are not; empty where all are.
        problem: what is wrong with what the manifest says, whose order is not to be relied on; empty where nothing is.
    """

    studies: tuple[Study, ...]
    left_out: int = 0
    why: str = ""
    problem: str = ""


def order_studies(studies: Sequence[Study]) -> Series:
    """Return the studies of a patient in their order.

    That is by `timepoint`, where any study has one: studies without one take no part. Else it is by hours from onset, where all
    have them and no two are equal; the study whose time is not known might be the first.
    """
    numbered = [(study.timepoint, study) for study in studies if study.timepoint is not None]
    if numbered:
        found = tuple(study for _, study in sorted(numbered, key=lambda one: (one[0], one[1].case_id)))
        absent = len(studies) - len(found)
        return Series(found, absent, NO_NUMBER if absent else "", _contradiction(found))
    timed = {study.onset_to_ct_h: study for study in studies if study.onset_to_ct_h is not None}
    if len(timed) < len(studies):
        return Series((), len(studies), NO_TIME)
    return Series(tuple(study for _, study in sorted(timed.items())))


def _contradiction(studies: Sequence[Study]) -> str:
    """Say which of some studies, by timepoint, have the same or were made in another order."""
    for one, other in pairwise(studies):
        if one.timepoint == other.timepoint:
            return f"cases {one.case_id} and {other.case_id} have the same timepoint {one.timepoint}"
    timed = [study for study in studies if study.onset_to_ct_h is not None]
    for one, other in pairwise(timed):
        if (one.onset_to_ct_h or 0.0) > (other.onset_to_ct_h or 0.0):
            return (
                f"case {one.case_id} has timepoint {one.timepoint} and onset_to_ct_h {one.onset_to_ct_h:g}, case {other.case_id} "
                f"timepoint {other.timepoint} and onset_to_ct_h {other.onset_to_ct_h:g}"
            )
    return ""
