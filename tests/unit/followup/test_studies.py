"""The order of a patient's studies: by numbers, else by hours, and never guessed."""

import itertools

import pytest

from cvtbatch.followup.studies import NO_NUMBER, NO_TIME, Study, order_studies


def study(name: str, timepoint: int | None = None, hours: float | None = None) -> Study:
    return Study(f"C/{name}", name, timepoint, hours)


def names(*studies: Study) -> str:
    """Return the ids in their order, which is that of any order in which they are given."""
    found = {tuple(one.case_id for one in order_studies(given).studies) for given in itertools.permutations(studies)}
    [order] = found
    return "".join(order)


def test_numbers_tell_the_order_and_hours_where_there_are_none() -> None:
    assert names(study("a", 7), study("b", 0), study("c", 3)) == "bca"
    assert names(study("a", None, 24.5), study("b", None, 1.5), study("c", None, 3.0)) == "bca"
    assert names(study("a", 1, 30.0), study("b", 0, 2.0)) == "ba"


def test_studies_without_a_number_take_no_part_where_another_has_one() -> None:
    found = order_studies([study("a", 1), study("b", 0), study("c", None, 0.5)])
    assert [one.case_id for one in found.studies] == ["b", "a"]
    assert (found.left_out, found.why, found.problem) == (1, NO_NUMBER, "")


@pytest.mark.parametrize(
    "studies",
    [
        [study("a"), study("b")],
        [study("a", None, 3.0), study("b")],  # b may be the first
        [study("a", None, 3.0), study("b", None, 3.0), study("c", None, 9.0)],  # two series of one study?
    ],
)
def test_an_order_that_nothing_tells_is_not_guessed(studies: list[Study]) -> None:
    found = order_studies(studies)
    assert (found.studies, found.left_out, found.why) == ((), len(studies), NO_TIME)


@pytest.mark.parametrize(
    ("studies", "told"),
    [
        ([study("a", 1), study("b", 0), study("c", 1)], "cases a and c have the same timepoint 1"),
        (
            [study("a", 0, 12.0), study("b", 1, 2.5)],
            "case a has timepoint 0 and onset_to_ct_h 12, case b timepoint 1 and onset_to_ct_h 2.5",
        ),
        # Who has no hours between two that have does not hide it.
        ([study("a", 0, 12.0), study("x", 1), study("b", 2, 2.5)], "case a has timepoint 0"),
    ],
)
def test_contradictions_are_told(studies: list[Study], told: str) -> None:
    assert told in order_studies(studies).problem
    assert not order_studies([study("a", 0, 2.0), study("b", 1, 2.0)]).problem
