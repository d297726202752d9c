"""Who is trained on: eligible cases of the training centres that lack nothing, and a reason for each of the others."""

import pyarrow as pa

from cvtbatch.pipelines.models.eligible_cases import select_cases, select_rows


def case(key: str, cvt: int | None = 1, **more: object) -> dict[str, object]:
    center, case_id = key.split("/")
    return {"case_key": key, "center": center, "case_id": case_id, "cvt": cvt, **more}


CASES = [
    case("A/2"),
    case("A/1", 0),
    case("A/3", None),
    case("A/4", traumatic=1),
    case("A/5"),
    case("A/6"),
    case("B/1"),
]
OUTCOMES = {str(one["case_key"]): one["cvt"] for one in CASES}


def test_cases_of_other_centres_are_not_even_counted() -> None:
    found = select_cases(CASES, ["A"], lambda row: "asked_for" if row["case_id"] == "5" else "")
    assert list(found.taken) == ["A/1", "A/2", "A/3", "A/6"]
    assert found.left_out == {"asked_for": 1, "traumatic": 1}


def test_a_criterion_comes_before_what_a_case_lacks() -> None:
    assert select_cases(CASES, {"A"}, lambda _: "lacking").left_out == {"lacking": 5, "traumatic": 1}


def test_rows_need_an_outcome_and_an_embedding() -> None:
    keys = ["A/1", "A/2", "A/2", "A/3", "A/4", "A/5", "B/1"]
    embedding = [[1.0], [2.0], None, [3.0], [4.0], None, [5.0]]
    rows = pa.table({"case_key": keys, "number": range(len(keys)), "embedding": embedding})
    kept, left_out = select_rows(rows, CASES, ("A",), {}, OUTCOMES)
    assert kept["number"].to_pylist() == [0, 1]
    assert left_out == {"no_embedding": 1, "no_features": 1, "no_outcome": 1, "traumatic": 1}


def test_a_refused_row_has_the_reason_of_its_refusal_unless_it_lacks_more() -> None:
    rows = pa.table({"case_key": ["A/1", "A/2", "A/3", "A/4"], "embedding": [[1.0]] * 4})
    refused = dict.fromkeys(["A/2", "A/3", "A/4", "A/5"], "outline_to_redo")
    kept, left_out = select_rows(rows, CASES, ("A",), refused, OUTCOMES)
    assert kept["case_key"].to_pylist() == ["A/1"]
    assert left_out == {"no_features": 2, "no_outcome": 1, "outline_to_redo": 1, "traumatic": 1}
