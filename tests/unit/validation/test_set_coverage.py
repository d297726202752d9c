"""What sets of classes hold at a centre, counted by hand; shares are statsmodels'."""

from dataclasses import replace

import pytest
from statsmodels.stats.proportion import proportion_confint

from cvtbatch.validation.inputs import Case
from cvtbatch.validation.set_coverage import set_coverage
from cvtbatch.validation.values import Estimate, Interval, NotComputable

# Outcome, and whether the set holds the event and the other class.
SETS = [
    *[(True, (True, False))] * 5,
    *[(True, (False, True))] * 2,
    *[(True, (True, True))] * 3,
    (True, None),
    *[(False, (False, True))] * 8,
    (False, (False, False)),
    (None, (True, False)),
]
CASES = [
    Case(key=f"C2/{number}", patient=f"P{number}", outcome=outcome, scores={}, clinical={}, may_be=may_be)
    for number, (outcome, may_be) in enumerate(SETS)
]


def test_sets_are_counted_by_the_class_that_cases_have() -> None:
    event, other = set_coverage(CASES)
    assert (event.event, event.n, event.unknown, event.alone, event.both, event.empty) == (True, 10, 1, 7, 3, 0)
    assert (other.event, other.n, other.unknown, other.alone, other.both, other.empty) == (False, 9, 0, 8, 0, 1)
    for found, held, count in ((event, 8, 10), (other, 8, 9)):
        assert isinstance(found.held, Estimate)
        assert isinstance(found.held.interval, Interval)
        low, high = proportion_confint(held, count, method="wilson")
        assert found.held.value == held / count
        assert (found.held.interval.low, found.held.interval.high) == pytest.approx((low, high), abs=1e-12)


def test_scans_of_a_patient_count_together_and_without_sets_there_is_nothing() -> None:
    twice = [replace(case, key=f"{case.key}-{scan}") for case in CASES for scan in (1, 2)]
    single, double = (set_coverage(cases)[0].held for cases in (CASES, twice))
    assert isinstance(single, Estimate)
    assert isinstance(double, Estimate)
    assert double.value == single.value
    assert isinstance(single.interval, Interval)
    assert isinstance(double.interval, Interval)
    assert double.interval.low <= single.interval.low + 1e-9
    assert set_coverage([replace(case, may_be=None) for case in CASES]) == ()
    [_, other] = set_coverage([case for case in CASES if case.outcome])
    assert isinstance(other.held, NotComputable)
