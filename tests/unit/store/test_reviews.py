"""Which reviews are current, that a snapshot freezes them, and that a forgotten case takes them along."""

from pathlib import Path

import pytest

from cvtbatch.store import (
    FeatureStore,
    Selection,
    automatic_snapshot,
    create_snapshot,
    erase_case,
    read_snapshot,
    verify_snapshot,
)
from tests.support.store_rows import EMBEDDING_SPEC, VOLUME_SPEC, Row, add_cases, add_specs, case_rows, row


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a store of three cases with an outline each, and one without."""
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    add_specs(store, VOLUME_SPEC, EMBEDDING_SPEC)
    cases = [case_rows(store, number, "AB"[number % 2], specs=()) for number in range(4)]
    for name in ("rois", "embeddings"):
        cases[3][name] = []
    add_cases(store, *cases)
    return store


def _review(number: int, verdict: str = "accept", **values: object) -> Row:
    center = "AB"[number % 2]
    identity = {"case_key": f"{center}/{number}", "center": center, "case_id": str(number), "reader": "A"}
    seen = {"roi_key": f"{center}/{number}/hematoma/A/1", "input_digest": f"input-{center}-{number}"}
    return row("reviews", **{**identity, **seen, "verdict": verdict, **values})


def _current(store: FeatureStore, snapshot: str | None = None) -> list[tuple[str, str, str]]:
    rows = store.at(snapshot).rows("reviews", ["case_key", "roi_key", "verdict"]).to_pylist()
    return sorted((entry["case_key"], entry["roi_key"], entry["verdict"]) for entry in rows)


AWAITED = {"roi_key": "", "reader": "", "input_digest": "image-B-3"}


def test_a_review_is_current_while_what_was_looked_at_is(store: FeatureStore) -> None:
    store.table("reviews").append([_review(0), _review(1, "redo"), _review(3, "outline_needed", **AWAITED)])
    of_others = [
        _review(2, input_digest="input-A-0"),
        _review(3, "no_hematoma", **{**AWAITED, "input_digest": "other"}),
    ]
    store.table("reviews").append(of_others)
    expected = [
        ("A/0", "A/0/hematoma/A/1", "accept"),
        ("B/1", "B/1/hematoma/A/1", "redo"),
        ("B/3", "", "outline_needed"),
    ]
    assert _current(store) == expected
    # Another verdict on the same replaces it.
    store.table("reviews").append([_review(1, "accept")])
    assert ("B/1", "B/1/hematoma/A/1", "accept") in _current(store)
    # The outline is drawn anew, and then as it was.
    drawn = store.rois().to_pylist()[0]
    store.table("rois").append([{**drawn, "input_digest": "input-new", "mask_digest": "mask-new"}])
    assert [case for case, *_ in _current(store)] == ["B/1", "B/3"]
    store.table("rois").append([drawn])
    assert [case for case, *_ in _current(store)] == ["A/0", "B/1", "B/3"]
    # And the awaited case is scanned anew.
    volume = next(found for found in store.current("volumes").to_pylist() if found["case_key"] == "B/3")
    store.table("volumes").append([{**volume, "image_digest": "image-new"}])
    assert [case for case, *_ in _current(store)] == ["A/0", "B/1"]


def test_a_snapshot_freezes_reviews_and_a_command_takes_a_new_one_for_new_reviews(store: FeatureStore) -> None:
    plain = automatic_snapshot(store, "test")
    store.table("reviews").append([_review(0), _review(1)])
    reviewed = automatic_snapshot(store, "test")
    assert reviewed.name != plain.name
    assert reviewed.tables["reviews"].rows == 2
    create_snapshot(store, "frozen", Selection(), "test")
    create_snapshot(store, "of-B", Selection(centers=("B",)), "test")
    store.table("reviews").append([_review(0, "redo"), _review(2)])
    assert _current(store, plain.name) == []
    assert [verdict for *_, verdict in _current(store, "frozen")] == ["accept", "accept"]
    assert [case for case, *_ in _current(store, "of-B")] == ["B/1"]
    assert len(_current(store)) == 3
    assert verify_snapshot(store, read_snapshot(store, "frozen"), checksums=False) == []


def test_a_store_without_reviews_has_the_digest_that_it_had_before_there_were_any(store: FeatureStore) -> None:
    """A snapshot of a store of an earlier version has no such table, and is the automatic one still."""
    found = automatic_snapshot(store, "test")
    without = {name: frozen for name, frozen in found.tables.items() if name != "reviews"}
    assert found.tables["reviews"].rows == 0
    assert set(without) >= {"rois", "volumes", "cases"}
    assert store.view({name: frozen.pin for name, frozen in without.items()}).rows("reviews").num_rows == 0


@pytest.mark.parametrize("from_snapshots", [False, True])
def test_a_forgotten_case_takes_its_reviews_along(store: FeatureStore, from_snapshots: bool) -> None:
    store.table("reviews").append([_review(0, comment="told of this case"), _review(1)])
    create_snapshot(store, "frozen", Selection(), "test")
    done = erase_case(store, "A/0", from_snapshots)
    assert done.rows["reviews"] == 1
    again = FeatureStore(store.location.path)
    assert [case for case, *_ in _current(again)] == ["B/1"]
    assert [case for case, *_ in _current(again, "frozen")] == (["B/1"] if from_snapshots else ["A/0", "B/1"])
    assert verify_snapshot(again, read_snapshot(again, "frozen"), checksums=False) == []
