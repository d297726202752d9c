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


@dataclass(frozen=True, slots=True)
class ClassSetCoverage:
    """The sets of the cases of one of several classes.

    Attributes:
        name: of the class.
        n, unknown, held: as `SetCoverage` has them.
        sizes: sets that hold no class, one, and so on to all.
    """

    name: str
    n: int
    unknown: int
    held: Maybe[Estimate]
    sizes: tuple[int, ...]


def set_coverage(cases: Sequence[Case]) -> tuple[SetCoverage, ...]:
    """Return what is seen of the sets, of cases with the event first; nothing where no case has one."""
    if all(case.may_be is None for case in cases):
        return ()
    return tuple(_of_outcome(cases, event) for event in (True, False))


def class_set_coverage(
    name: str, sets: Sequence[Sequence[str] | None], patients: Sequence[str], classes: Sequence[str]
) -> ClassSetCoverage:
    """Return what is seen of the sets of the cases of one of several classes.

    Args:
        sets: of each of its cases, the classes that the set holds; None of a case without one.
        patients: whose those cases are.
    """
    sizes = [len(held) for held in sets if held is not None]
    return ClassSetCoverage(
        name=name,
        n=len(sizes),
        unknown=len(sets) - len(sizes),
        held=_share([None if held is None else name in held for held in sets], patients),
        sizes=tuple(sizes.count(size) for size in range(len(classes) + 1)),
    )


def _of_outcome(cases: Sequence[Case], event: bool) -> SetCoverage:
    own = [case for case in cases if case.outcome is event]
    sets = [case.may_be for case in own]
    sizes = [sum(may_be) for may_be in sets if may_be is not None]
    return SetCoverage(
        event=event,
        n=len(sizes),
        unknown=len(own) - len(sizes),
        held=_share(
            [None if may_be is None else may_be[0 if event else 1] for may_be in sets], [case.patient for case in own]
        ),
        alone=sizes.count(1),
        both=sizes.count(2),
        empty=sizes.count(0),
    )


def _share(held: Sequence[bool | None], patients: Sequence[str]) -> Maybe[Estimate]:
    """Return the share of a class's sets that hold it; None stands for a case without a set."""
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    pairs = [(own, numbers[patient]) for own, patient in zip(held, patients, strict=True) if own is not None]
    if not pairs:
        return NotComputable("no case of this class has a set")
    success, patient = np.array([own for own, _ in pairs]), np.array([number for _, number in pairs], np.int64)
    return proportion(success, Scored(np.ones(len(pairs), np.bool_), success.astype(np.float64), patient))
