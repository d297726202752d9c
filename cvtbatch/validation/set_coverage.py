"""How often sets of classes hold the class that a case has, at a centre: what is seen, where nothing is promised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.validation.decisions import proportion
from cvtbatch.validation.inputs import Case
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, Scored


@dataclass(frozen=True, slots=True)
class SetCoverage:
    """The sets of the cases of one class.

    Attributes:
        event: whether it is the class with the event.
        n: cases of this class that have a set.
        unknown: cases of this class without one.
        held: share of the sets that hold the class; Wilson's interval, a patient's scans counted together.
        alone, both, empty: sets that hold one class alone, both, and none.
    """

    event: bool
    n: int
    unknown: int
    held: Maybe[Estimate]
    alone: int
    both: int
    empty: int


def set_coverage(cases: Sequence[Case]) -> tuple[SetCoverage, ...]:
    """Return what is seen of the sets, of cases with the event first; nothing where no case has one."""
    if all(case.may_be is None for case in cases):
        return ()
    return tuple(_of_class(cases, event) for event in (True, False))


def _of_class(cases: Sequence[Case], event: bool) -> SetCoverage:
    own = [case for case in cases if case.outcome is event]
    sets = [case.may_be for case in own if case.may_be is not None]
    patients = list(dict.fromkeys(case.patient for case in own))
    patient = np.array([patients.index(case.patient) for case in own if case.may_be is not None], np.int64)
    held = np.array([may_be_event if event else may_be_other for may_be_event, may_be_other in sets], np.bool_)
    sizes = [sum(may_be) for may_be in sets]
    scored = Scored(np.full(len(held), event), held.astype(np.float64), patient)
    return SetCoverage(
        event=event,
        n=len(sets),
        unknown=len(own) - len(sets),
        held=proportion(held, scored) if sets else NotComputable("no case of this class has a set"),
        alone=sizes.count(1),
        both=sizes.count(2),
        empty=sizes.count(0),
    )
