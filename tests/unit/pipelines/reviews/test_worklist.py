"""What there is to look at: cases with a volume, their outlines of some readers or all, with the store's verdicts."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.reviews.drawing import DrawTask, draw_case
from cvtbatch.pipelines.reviews.worklist import StoredCase, read_worklist
from cvtbatch.store import FeatureStore
from tests.support.found_outlines import READER, add_finding, add_found
from tests.support.store_rows import NOW, VOLUME_SPEC, add_cases, add_specs, case_rows, row

AXES = {"origin_mm": [0.0, 0.0, 0.0], "direction": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]}
BOX = {"box_start_zyx": [0, 0, 0], "box_size_zyx": [3, 4, 4], "volume_ml": 0.06}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return four cases: A/0 outlined by A and a method, B/1 by A, A/2 by nobody and nothing was found, B/3 by nobody."""
    store = FeatureStore.open_for_writing(str(tmp_path_factory.mktemp("worklist") / "store"))
    add_specs(store, VOLUME_SPEC)
    for number in range(4):
        rows = case_rows(store, number, "AB"[number % 2], specs=())
        rows["volumes"] = [{**rows["volumes"][0], **AXES, "flags": ["tilted"]}]
        rows["rois"] = [{**rows["rois"][0], **BOX}] if number < 2 else []
        add_cases(store, {**rows, "embeddings": []})
    add_found(store, "A/0", agreement=0.8, flags=["several"])
    add_finding(store, "A/2", "no_hemorrhage")
    seen = {
        "case_key": "B/1",
        "center": "B",
        "case_id": "1",
        "roi_key": "B/1/hematoma/A/1",
        "input_digest": "input-B-1",
    }
    store.table("reviews").append([row("reviews", **seen, reader="A", verdict="redo", reviewed_at=NOW)])
    return store


def _found(store: FeatureStore, **choice: object) -> dict[str, StoredCase]:
    return {entry.case.case_key: entry for entry in read_worklist(store.at(None), **choice)}  # type: ignore[arg-type]


def test_every_case_with_a_volume_is_there_with_its_outlines(store: FeatureStore) -> None:
    found = _found(store)
    assert sorted(found) == ["A/0", "A/2", "B/1", "B/3"]
    person, method = found["A/0"].case.outlines
    assert (person.reader, person.agreement, person.volume_ml, person.flags) == ("A", None, 1.0, ())
    assert (method.reader, method.agreement, method.flags) == (READER, 0.8, ("auto", "several"))
    assert found["A/0"].case.flags == ("tilted",)
    assert (found["A/2"].case.negative, found["B/3"].case.negative) == ((READER,), ())
    assert [item.input_digest for item in found["B/3"].case.items] == ["image-B-3"]
    given = found["B/1"].case.outlines[0].item.given
    assert given is not None
    assert given.verdict == "redo"


def test_choices_restrict_it(store: FeatureStore) -> None:
    assert sorted(_found(store, centers=["A"])) == ["A/0", "A/2"]
    of_method = _found(store, readers=["blast-ct"])
    assert of_method == _found(store, readers=[READER])
    assert sorted(of_method) == ["A/0", "A/2", "B/3"]
    assert [outline.reader for outline in of_method["A/0"].case.outlines] == [READER]
    assert sorted(_found(store, unreviewed=True)) == ["A/0", "A/2", "B/3"]
    for choice, says in (
        ({"centers": ["C"]}, "it has 'A', 'B'"),
        ({"readers": ["Z"]}, "'Z'; there are those of A, reading 1"),
    ):
        with pytest.raises(InputError, match=says):
            _found(store, **choice)


def test_a_case_whose_voxels_are_gone_has_a_problem_and_no_pictures(store: FeatureStore) -> None:
    entry = _found(store)["B/1"]
    whole = draw_case(DrawTask(store.location.path, entry))
    assert (whole.problem, whole.depth, len(whole.slices), sum(whole.histograms[0].counts)) == ("", 3, 3, 48)
    (Path(store.location.path) / entry.masks[0].array.path / "0/c/0/0/0").unlink()
    gone = draw_case(DrawTask(store.location.path, entry))
    assert (gone.problem, gone.slices, gone.histograms) == ("volume_missing", (), ())
