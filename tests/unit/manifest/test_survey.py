"""A manifest with wrong rows: each is told, and the cases without one are there as if it were sound."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.manifest import Survey, read_manifest, survey_manifest
from tests.support.archives import write_rows

Rows = list[dict[str, object]]


def rows(count: int) -> Rows:
    return [
        {"center": f"C{number % 2}", "case_id": str(number), "image": "ct.nii.gz", "reader": "A", "age": "50"}
        for number in range(count)
    ]


def survey(folder: Path, own: Rows, more: str = "") -> Survey:
    (folder / "ct.nii.gz").touch()
    path = write_rows(folder / "m.csv", own)
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    return survey_manifest(path)


def test_a_sound_manifest_has_no_problem(tmp_path: Path) -> None:
    found = survey(tmp_path, rows(5))
    assert (found.problems, found.count, found.left_out) == ((), 0, 0)
    assert list(found.manifest) == list(read_manifest(tmp_path / "m.csv"))


def test_a_case_with_a_wrong_row_is_left_out_whole_and_all_others_stay(tmp_path: Path) -> None:
    own = rows(9)
    own[1] |= {"age": "old"}
    own[4] |= {"center": ""}
    own[6] |= {"reader": "blast-ct:0123abcd"}
    # Of two cases a second reader's row, one of them wrong; of a third a row that is there already, of a fourth one that differs.
    own += [
        {**own[2], "reader": "B"},
        {**own[3], "reader": "B", "age": "-1"},
        dict(own[5]),
        {**own[7], "reader": "B", "age": "51"},
    ]
    found = survey(tmp_path, own, "C0,8\n")
    assert sorted((problem.row, problem.kind) for problem in found.problems) == [
        (2, "bad_manifest"), (5, "bad_manifest"), (7, "reserved_reader"), (11, "bad_manifest"), (11, "bad_manifest"),
        (12, "bad_manifest"), (13, "bad_manifest"), (14, "bad_manifest"),
    ]  # fmt: skip
    assert (found.count, found.left_out) == (8, 6)
    sound = [(case.case_key, len(case.rois), case.manifest_row) for case in found.manifest]
    assert sound == [("C0/0", 1, 1), ("C0/2", 2, 3), ("C0/8", 1, 9)]
    assert found.manifest.centers == ("C0",)
    assert found.manifest.find([("C0", "8"), ("C0", "2"), ("C1", "1")]).tolist() == [2, 1, -1]
    case = found.manifest.case("C0", "2")
    assert case is not None
    assert [roi.reader for roi in case.rois] == ["A", "B"]


def test_a_row_of_another_length_is_of_no_case(tmp_path: Path) -> None:
    found = survey(tmp_path, rows(2), "C1,2,ct.nii.gz\nC1,3,ct.nii.gz,A,50\n")
    assert [(problem.row, problem.text) for problem in found.problems] == [
        (3, "row 3: 3 cells, where the header has 5")
    ]
    assert (found.left_out, [case.case_id for case in found.manifest]) == (0, ["0", "1", "3"])


def test_where_every_row_is_wrong_no_case_is_left(tmp_path: Path) -> None:
    found = survey(tmp_path, [{**row, "age": "old"} for row in rows(3)])
    assert (len(found.manifest), list(found.manifest), found.left_out, found.manifest.centers) == (0, [], 3, ())


def test_below_a_wrong_header_nothing_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 2 problems"):
        survey(tmp_path, [{"centre": "C1", "case_id": "1", "image": "ct.nii.gz"}])
