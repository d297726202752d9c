"""Cases that may be of one patient: which rows are looked at, what is said of them, and how much of it is shown."""

from pathlib import Path

import pytest

from cvtbatch.cli.status_display import SHOWN_DUPLICATES, print_duplicates
from cvtbatch.pipelines.stores.duplicates import CASE, IMAGE, OF_CASES, OF_VOLUMES, find_duplicates
from cvtbatch.store import FeatureStore
from tests.support.store_rows import row

VOLUMES = (("A", 0, "one", "x"), ("A", 0, "two", "x"), ("A", 1, "one", "y"), ("B", 2, "one", "y"), ("B", 2, "two", "y"))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a store with cases on volumes of two specifications, each of which has its image twice."""
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    for center, number, spec_id, image in VOLUMES:
        case = {"case_key": f"{center}/{number}", "center": center, "case_id": str(number)}
        store.table("volumes").append([row("volumes", **case, volume_spec_id=spec_id, image_digest=image)])
        store.table("cases").append([row("cases", **case, patient="twin", clinical_digest="c")])
    return store


def test_a_case_on_two_volumes_is_no_duplicate_and_is_not_read(store: FeatureStore) -> None:
    view = store.view()
    volumes = view.condensed("volumes", OF_VOLUMES).keys
    read = view.shared("volumes", ["case_key", "volume_spec_id"], volumes[IMAGE], volumes[CASE])
    assert sorted(read["case_key"].to_pylist()) == ["A/1", "B/2", "B/2"]
    assert find_duplicates(view, volumes, view.condensed("cases", OF_CASES).keys) == {
        "same_image": [{"cases": ["A/1", "B/2"], "across_centers": True}],
        "same_patient_text": [{"cases": ["A/0", "A/1", "B/2"]}],
    }


def test_the_first_of_many_are_shown_with_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    few = [{"cases": [f"A/{number}", f"B/{number}"], "across_centers": True} for number in range(SHOWN_DUPLICATES)]
    print_duplicates({"same_image": few, "same_patient_text": few})
    shown = capsys.readouterr().out
    assert (
        shown.count("the same image, across centres: A/") == shown.count("perhaps the same patient") == SHOWN_DUPLICATES
    )
    assert "more" not in shown
    many = [*few, {"cases": ["C/1", "C/2", "C/3"], "across_centers": False}]
    large = [{"cases": [f"A/{number}" for number in range(1234 + SHOWN_DUPLICATES)]}]
    print_duplicates({"same_image": many, "same_patient_text": large})
    shown = capsys.readouterr().out
    assert "C/1" not in shown
    assert "and 1 more groups of the same image: 21 of 43 cases in all (--json lists them)" in shown
    assert f"A/{SHOWN_DUPLICATES - 1} and 1,234 more (--json lists all)" in shown
    assert f"A/{SHOWN_DUPLICATES}," not in shown
