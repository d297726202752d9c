"""`cvtbatch index --clinical`: values of a hospital's table find their rows, and nothing of a person's work is lost."""

from pathlib import Path

import pytest

from tests.support.commands import cvtbatch
from tests.support.index_runs import own_state, rows_of, run_index
from tests.support.studies import add_series


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_state(tmp_path, monkeypatch)


def test_the_first_scan_after_the_onset_is_taken(tmp_path: Path) -> None:
    root, table = tmp_path / "nas", tmp_path / "clinical.csv"
    for day in ("20240530", "20240601", "20240603"):
        add_series(root / day, "s", "17", StudyDate=day, StudyTime="101500")
    add_series(root / "other", "s", "18")
    table.write_text("id,onset,age,epilepsy\n17,2024-06-01 08:00,54,1\n")
    clinical = ("--clinical", table, "--on", "id")
    document = run_index(root, *clinical, "--first-after-onset")
    assert document["left_out"] == {"before_onset": 1, "later_scan": 1}
    assert document["onset_unknown"] == document["without_clinical"] == 1
    rows = {Path(row["image"]).parts[1]: row for row in rows_of(root)}
    assert sorted(rows) == ["20240601", "other"]
    assert (rows["20240601"]["age"], rows["20240601"]["epilepsy"], rows["other"]["age"]) == ("54", "1", "")
    table.write_text("id,age\n17,54\n")
    arguments = ("index", root, "--center", "B", "--out", tmp_path / "n.csv", *clinical, "--first-after-onset")
    assert "column 'onset'" in cvtbatch(*arguments).stderr


def test_a_clinical_table_is_refused_before_anything_is_written_and_told_where_rows_stand_that_differ(
    tmp_path: Path,
) -> None:
    root, table, out = tmp_path / "nas", tmp_path / "clinical.csv", tmp_path / "n.csv"
    for patient in ("0017", "0018"):
        add_series(root / patient, "s", patient)
    begun = ("index", root, "--center", "B", "--out", out, "--workers", 0, "--clinical", table, "--on", "id")
    for text, told in (("id,age\n17,54\n", "dropped zeros"), ("id,x_state\n0017,mine\n", "x_state")):
        table.write_text(text)
        result = cvtbatch(*begun)
        assert (result.returncode, told in result.stderr, out.exists()) == (1, True, False)
    table.write_text("id,age\n0017,54\n")
    assert cvtbatch(*begun).returncode == 0
    written = out.read_bytes()
    table.write_text("id,age\n0017,55\n")
    result = cvtbatch(*begun)
    assert "1 case with other values than the clinical table, which stand as they are" in result.stdout
    assert out.read_bytes() == written


def test_a_clinical_table_that_comes_later_fills_what_is_empty_and_nothing_else(tmp_path: Path) -> None:
    root, table, out = tmp_path / "nas", tmp_path / "clinical.csv", tmp_path / "m.csv"
    for patient in ("17", "18", "19"):
        add_series(root / patient, "s", patient)
    run_index(root)
    head, *lines = out.read_bytes().splitlines()
    # A person's note with a comma, a cell by hand, another end of lines, and an empty line.
    edited = [head + b",x_note,age,", lines[0] + b',"seen, by me",,', b"", lines[1] + b",,41", lines[2] + b",,,"]
    out.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(edited))
    table.write_text('id,age,epilepsy,x_ward\n17,54,1,"North, 2"\n18,60,0,\n')
    document = run_index(root, "--clinical", table, "--on", "id")
    told = [document[name] for name in ("rows_added", "rows_kept", "rows_filled", "clinical_differing")]
    assert told == [0, 4, 2, 1]  # an empty line counts as a row
    written = b"\xef\xbb\xbf" + b"\r\n".join(
        [
            head + b",x_note,age,epilepsy,x_ward",
            lines[0] + b',"seen, by me",54,1,"North, 2"',
            b"",
            lines[1] + b",,41,0,",
            lines[2] + b",,,,",
        ]
    )
    assert out.read_bytes() == written
    assert cvtbatch("check", out).returncode == 0
    assert run_index(root, "--clinical", table, "--on", "id")["rows_filled"] == 0
    assert out.read_bytes() == written


def test_a_table_of_which_no_row_fits_stops_before_anything_is_written(tmp_path: Path) -> None:
    root, table, out = tmp_path / "nas", tmp_path / "clinical.csv", tmp_path / "m.csv"
    for patient in ("0047101_Mustermann", "0047102_Musterfrau"):
        add_series(root / "B" / patient, "s", "other")
    table.write_text("id,age\n0047101,54\n0047103,60\n")
    begun = ("index", root, "--out", out, "--workers", 0, "--clinical", table, "--on", "id", "--pattern")
    result = cvtbatch(*begun, "{center}/{patient}")
    assert (result.returncode, out.exists()) == (1, False)
    assert "none of 2 rows of the clinical table fits any of 2 patients" in result.stderr
    assert "'0047101_Mustermann'" in result.stderr
    told = cvtbatch(*begun, "{center}/{patient}_*").stdout
    assert "1 of 2 rows of the clinical table fit no study: rows 2 (without the header)" in told
    assert "1 of 2 studies has no row in the clinical table" in told
    assert [row["age"] for row in rows_of(root)] == ["54", ""]


def test_columns_without_a_name_behind_the_header_make_room_for_new_ones(tmp_path: Path) -> None:
    root, table, out = tmp_path / "nas", tmp_path / "clinical.csv", tmp_path / "m.csv"
    add_series(root / "17", "s", "17")
    run_index(root)
    table.write_text("id,age\n17,54\n")
    head, line = out.read_bytes().splitlines()
    out.write_bytes(head + b',,""\n' + line + b",,\n")
    result = cvtbatch("index", root, "--center", "B", "--out", out, "--workers", 0, "--clinical", table, "--on", "id")
    assert (result.returncode, "columns without a name: delete them" in result.stderr) == (1, True)
    out.write_bytes(head + b",,\n" + line + b",,\n")
    assert run_index(root, "--clinical", table, "--on", "id")["rows_filled"] == 1
    assert [row["age"] for row in rows_of(root)] == ["54"]
    assert out.read_bytes().startswith(head + b",age\n")
