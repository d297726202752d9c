"""Verdicts into the store: each on exactly what was looked at, once, or reported."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.reviews.apply import ApplyReport, apply_review
from cvtbatch.pipelines.reviews.verdict_file import COLUMNS
from cvtbatch.store import FeatureStore
from tests.support.store_rows import VOLUME_SPEC, add_cases, add_specs, case_rows

EARLY, LATE = "2026-11-29T03:00:00.000Z", "2026-11-29T04:00:00.000Z"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a store of three cases of centre A with an outline each, and one that awaits its own."""
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    add_specs(store, VOLUME_SPEC)
    cases = [case_rows(store, number, specs=()) for number in range(4)]
    for name in ("rois", "embeddings"):
        cases[3][name] = []
    add_cases(store, *cases)
    return store


def _line(number: int, verdict: str = "accept", at: str = EARLY, digest: str = "", comment: str = "") -> str:
    if number == 3:
        return f"A/3,,{digest or 'image-A-3'},{verdict},{comment},{at}"
    return f"A/{number},A/{number}/hematoma/A/1,{digest or f'input-A-{number}'},{verdict},{comment},{at}"


def _apply(store: FeatureStore, *lines: str, reviewer: str = "") -> ApplyReport:
    path = Path(store.location.path).parent / "review.csv"
    path.write_text("\n".join([",".join(COLUMNS), *lines, ""]), encoding="utf-8")
    return apply_review(store.location.path, path, reviewer)


def _rows(store: FeatureStore) -> dict[str, str]:
    rows = FeatureStore(store.location.path).current("reviews").to_pylist()
    return {row["case_key"]: row["verdict"] for row in rows}


def test_verdicts_are_written_with_whose_outline_and_who_looked(store: FeatureStore) -> None:
    done = _apply(store, _line(0, comment="good"), _line(1, "redo"), _line(3, "no_hematoma"), reviewer="reader 1")
    assert (done.rows, done.applied, done.already_applied, done.left_out) == (3, 3, 0, [])
    assert done.verdicts == {"accept": 1, "no_hematoma": 1, "redo": 1}
    assert done.accepted == {"A": 1}
    rows = {row["case_key"]: row for row in store.current("reviews").to_pylist()}
    own = rows["A/0"]
    assert (own["center"], own["case_id"], own["roi_key"], own["reader"]) == ("A", "0", "A/0/hematoma/A/1", "A")
    assert (own["verdict"], own["comment"], own["reviewer"]) == ("accept", "good", "reader 1")
    assert own["reviewed_at"].isoformat() == "2026-11-29T03:00:00+00:00"
    assert (rows["A/3"]["roi_key"], rows["A/3"]["reader"], rows["A/3"]["verdict"]) == ("", "", "no_hematoma")


def test_what_is_there_is_not_written_again_and_a_later_verdict_stays(store: FeatureStore) -> None:
    _apply(store, _line(0), _line(1))
    again = _apply(store, _line(0), _line(1))
    assert (again.applied, again.already_applied, again.left_out) == (0, 2, [])
    later = _apply(store, _line(0, "redo", LATE))
    assert (later.applied, _rows(store)) == (1, {"A/0": "redo", "A/1": "accept"})
    # The first file once more: its verdict on case 0 is not the last word.
    first = _apply(store, _line(0), _line(1))
    assert (first.applied, first.already_applied) == (0, 1)
    assert [(one.row, one.key, one.reason) for one in first.left_out] == [(1, "A/0/hematoma/A/1", "older")]
    assert _rows(store) == {"A/0": "redo", "A/1": "accept"}
    assert store.table("reviews").count() == 3


def test_what_has_changed_since_is_left_out_and_the_rest_applied(store: FeatureStore) -> None:
    rois = {row["case_key"]: row for row in store.rois().to_pylist()}
    volumes = {row["case_key"]: row for row in store.current("volumes").to_pylist()}
    store.table("rois").append([{**rois["A/0"], "input_digest": "drawn anew", "mask_digest": "m"}])
    # Scanned anew: its outline is none of a current volume any more.
    store.table("volumes").append([{**volumes["A/1"], "image_digest": "scanned anew"}])
    outlined = {**rois["A/2"], "case_key": "A/3", "case_id": "3", "roi_key": "A/3/hematoma/A/1"}
    store.table("rois").append([{**outlined, "image_digest": "image-A-3", "input_digest": "input-A-3"}])
    done = _apply(store, _line(0), _line(1), _line(2), _line(3, "no_hematoma"))
    assert [(one.row, one.reason) for one in done.left_out] == [(1, "changed"), (2, "changed"), (4, "outlined")]
    assert _rows(store) == {"A/2": "accept"}
    assert str(done.left_out[0]) == "row 1: A/0/hematoma/A/1 is not what was looked at any more: look again"


def test_a_file_with_what_the_store_does_not_have_is_refused_whole(store: FeatureStore) -> None:
    lines = [_line(0), _line(9), f"A/1,A/2/hematoma/A/1,input-A-2,accept,,{EARLY}", f"A/2,A/2/h,d,accept,,{EARLY}"]
    with pytest.raises(ProblemsError) as raised:
        _apply(store, *lines)
    assert raised.value.private.splitlines() == [
        "row 2: case_key: the store has no case 'A/9'",
        "row 3: roi_key: case A/1 has no outline 'A/2/hematoma/A/1'",
        "row 4: roi_key: case A/2 has no outline 'A/2/h'",
    ]
    assert _rows(store) == {}


def test_a_reviewer_whose_name_does_not_show_is_refused(store: FeatureStore) -> None:
    with pytest.raises(InputError, match=r"U\+200B"):
        _apply(store, _line(0), reviewer="a\u200bb")
