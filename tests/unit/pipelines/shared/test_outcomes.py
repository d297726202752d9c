"""What is told of a case: CVT, an x_ column in words, or whether the hematoma expanded until the first later study."""

import json

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.shared.outcomes import read_outcomes
from cvtbatch.store import FeatureStore, View
from tests.support.paired_studies import CASES, fill_pairs

A, B = Reading("A", 1), Reading("B", 1)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    """Return a view of patients with several studies."""
    store: FeatureStore = fill_pairs(str(tmp_path_factory.mktemp("outcomes") / "store"), CASES)
    return store.view()


def cases(**cells: str | None) -> list[dict[str, object]]:
    """Return cases by id, each with a cell of x_poor, or without."""
    return [
        {"case_key": f"C/{name}", "cvt": None, "extra": json.dumps({} if cell is None else {"x_poor": cell})}
        for name, cell in cells.items()
    ]


def test_a_column_says_yes_or_no_in_any_capitals_or_nothing(view: View) -> None:
    given = cases(a="1", b="YES", c="true", d="0", e="No", f="FALSE", g=None)
    found = read_outcomes(view, given, "x_poor", A)
    assert found == {"C/a": 1, "C/b": 1, "C/c": 1, "C/d": 0, "C/e": 0, "C/f": 0, "C/g": None}
    assert read_outcomes(view, [{**given[0], "cvt": 0}], "cvt", A) == {"C/a": 0}


def test_every_cell_that_says_neither_is_told(view: View) -> None:
    with pytest.raises(ProblemsError, match="column x_poor, the outcome, has 2 problems") as raised:
        read_outcomes(view, cases(a="1", b="2", c="maybe"), "x_poor", A)
    assert raised.value.kind == "bad_outcome"
    assert raised.value.private.splitlines() == [
        "case C/b: '2' is neither 1, yes or true, with the event, nor 0, no or false, without",
        "case C/c: 'maybe' is neither 1, yes or true, with the event, nor 0, no or false, without",
    ]


def test_expansion_is_the_first_study_s_by_the_first_later_one_with_its_outline(view: View) -> None:
    found = read_outcomes(view, view.rows("cases").to_pylist(), "expansion", A)
    # p1 grew by 25 % until its second study, and by 35 % until its third, which does not count.
    assert {key: value for key, value in found.items() if value is not None} == {
        "C1/p1-a": 0,
        "C1/p2-z": 0,
        "C1/p3-a": 0,
    }
    assert len(found) == len(CASES)


@pytest.mark.parametrize(
    ("column", "reading", "told"),
    [
        ("x_por", A, "column x_por, which none of these cases has; did you mean .x_poor."),
        ("expansion", B, "no patient has two studies with an outline by B, reading 1"),
    ],
)
def test_an_outcome_that_no_case_has_is_refused(view: View, column: str, reading: Reading, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        read_outcomes(view, [*cases(a="1"), *view.rows("cases").to_pylist()], column, reading)
    assert raised.value.kind == "no_such_outcome"
