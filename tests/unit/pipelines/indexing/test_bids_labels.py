"""Labels by their names, as tables of BIDS give them."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.indexing.bids_labels import find_label

TABLE = "index\tname\tabbreviation\n0\tBackground\tBG\n1\tEdema\tED\n3\tHematoma\tICH\n"


def _tree(root: Path, *tables: tuple[str, str]) -> Path:
    folder = root / "derivatives" / "manual" / "sub-01" / "ct"
    folder.mkdir(parents=True)
    (folder.parents[1] / "dataset_description.json").write_text("{}")
    for place, text in tables:
        (root / "derivatives" / place).write_text(text, encoding="utf-8")
    return folder / "sub-01_desc-manual_dseg.nii.gz"


@pytest.mark.parametrize(
    "place",
    [
        "manual/sub-01/ct/sub-01_desc-manual_dseg.tsv",
        "manual/sub-01/sub-01_dseg.tsv",
        "manual/desc-manual_dseg.tsv",
        "manual/dseg.tsv",
    ],
)
def test_a_table_lies_beside_the_map_or_higher_up_in_the_data_set(tmp_path: Path, place: str) -> None:
    label_map = _tree(tmp_path, (place, TABLE))
    assert [find_label(label_map, name) for name in ("Hematoma", "hematoma", "Edema")] == [3, 3, 1]


@pytest.mark.parametrize(
    "place", ["dseg.tsv", "manual/sub-02_dseg.tsv", "manual/sub-01/ct/sub-01_run-2_dseg.tsv", "manual/labels.tsv"]
)
def test_a_table_of_another_data_set_or_map_says_nothing(tmp_path: Path, place: str) -> None:
    assert find_label(_tree(tmp_path, (place, TABLE)), "Hematoma") is None


def test_the_nearest_table_counts_and_without_a_data_set_that_beside_the_map_alone(tmp_path: Path) -> None:
    near = ("manual/sub-01/ct/sub-01_desc-manual_dseg.tsv", "index\tname\n7\tHematoma\n")
    label_map = _tree(tmp_path, near, ("manual/dseg.tsv", TABLE))
    assert find_label(label_map, "Hematoma") == 7
    loose = tmp_path / "loose" / "sub-01_dseg.nii.gz"
    loose.parent.mkdir()
    (tmp_path / "dseg.tsv").write_text(TABLE)
    assert find_label(loose, "Hematoma") is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (TABLE, "no_such_segment"),
        ("index\tname\n1\tblood\n2\tblood\n", "no_such_segment"),
        ("index\tname\n1\tBlood\n2\tBLOOD\n", "no_such_segment"),
        ("0\tname\n1\tblood\n", "unreadable_file"),
        ("index\tname\none\tblood\n", "unreadable_file"),
        ("index\tname\n1\n", "unreadable_file"),
    ],
)
def test_a_name_that_is_not_there_once_is_told(tmp_path: Path, text: str, kind: str) -> None:
    with pytest.raises(InputError) as raised:
        find_label(_tree(tmp_path, ("manual/dseg.tsv", text)), "blood")
    assert raised.value.kind == kind
