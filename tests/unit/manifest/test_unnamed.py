"""Files as pandas and spreadsheets write them: a separator line, an index, columns without a name."""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest import Case, read_manifest

HEADER, BODY = "center,case_id,image,age", ("A,1,ct.nii.gz,50", "A,2,ct.nii.gz,51")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ct.nii.gz").touch()
    return tmp_path


def read(folder: Path, text: str, encoding: str = "utf-8") -> list[Case]:
    (folder / "m.csv").write_text(text, encoding=encoding)
    return list(read_manifest(folder / "m.csv"))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ProblemsError) as raised:
        read(folder, text)
    return raised.value.private.splitlines()


def lines(*given: str) -> str:
    return "".join(f"{line}\r\n" for line in given)


def widened(before: str, after: str) -> str:
    return lines(f"{before}{HEADER}{after}", *(f"{before and ','}{line}{after}" for line in BODY))


@pytest.mark.parametrize("first", ["sep=,", '"sep=,"', "SEP=,", "sep=,,,"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_excels_separator_line_is_no_header(folder: Path, first: str, encoding: str) -> None:
    found = read(folder, lines(first, HEADER, *BODY), encoding)
    assert found == read(folder, lines(HEADER, *BODY))
    assert [case.manifest_row for case in found] == [1, 2]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_separator_line_of_another_separator_is_named(folder: Path, mark: str) -> None:
    with pytest.raises(InputError, match=f"separated by {mark!r}".replace("\\", r"\\")) as raised:
        read(folder, lines(f"sep={mark}", HEADER.replace(",", mark)))
    assert raised.value.kind == "manifest_not_csv"


@pytest.mark.parametrize(("before", "after"), [("", ","), ("", ",,,"), (",", ""), (",", ",,"), ("", ",  ,")])
def test_empty_columns_without_a_name_are_dropped(folder: Path, before: str, after: str) -> None:
    assert read(folder, widened(before, after)) == read(folder, lines(HEADER, *BODY))


def test_rows_may_end_where_named_columns_do_or_in_empty_cells(folder: Path) -> None:
    expected = read(folder, lines(HEADER, *BODY))
    assert read(folder, lines(f"{HEADER},,", *BODY)) == expected
    assert read(folder, lines(HEADER, *(f"{line},,," for line in BODY))) == expected
    assert problems(folder, lines(f"{HEADER},,", "A,1,ct.nii.gz")) == ["row 1: 3 cells, where the header has 6"]
    assert problems(folder, lines(HEADER, f"{BODY[0]},x")) == ["row 1: 5 cells, where the header has 4"]


def test_an_unnamed_column_in_the_middle_is_dropped_if_empty(folder: Path) -> None:
    text = lines("center,,case_id,image,age", "A,,1,ct.nii.gz,50", "A,,2,ct.nii.gz,51")
    assert read(folder, text) == read(folder, lines(HEADER, *BODY))


def test_a_cell_below_no_name_is_told_with_its_place(folder: Path) -> None:
    text = lines(f"{HEADER},,", f"{BODY[0]},,", f"{BODY[1]},,see letter", "A,3,ct.nii.gz,old,,")
    assert problems(folder, text) == [
        "row 2, cell 6: 'see letter' stands in a column without a name: empty the cell, or name the column; columns of your own "
        "begin with 'x_'",
        "row 3, column age: 'old' is not a number",
    ]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_row_numbers_of_pandas_are_passed_over(folder: Path, name: str) -> None:
    text = lines(f"{name},{HEADER}", *(f"{number},{line}" for number, line in enumerate(BODY)))
    assert read(folder, text) == read(folder, lines(HEADER, *BODY))
    twice = lines(f"Unnamed: 0.1,{name},{HEADER}", *(f"7,{number},{line}" for number, line in enumerate(BODY)))
    assert read(folder, twice) == read(folder, lines(HEADER, *BODY))
    empty_row = lines(f"{name},{HEADER}", f"0,{BODY[0]}", "1,,,,", f"2,{BODY[1]}")
    assert [case.manifest_row for case in read(folder, empty_row)] == [1, 3]


def test_an_index_that_says_something_is_not(folder: Path) -> None:
    found = problems(folder, lines(f",{HEADER}", f"left,{BODY[0]}"))
    assert found[0].startswith("row 1, cell 1: 'left' stands in a column without a name")
    [beside] = problems(folder, lines(f"{HEADER},Unnamed: 4", f"{BODY[0]},7"))
    assert beside.startswith("row 1, cell 5: '7' stands in a column without a name")


def test_the_index_that_pandas_writes_to_parquet_is_passed_over(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(lines(HEADER, *BODY))))
    expected = read(folder, lines(HEADER, *BODY))
    for index in ([0, 1], ["left", "right"]):
        columns = {name: [entry[name] for entry in rows] for name in rows[0]} | {"__index_level_0__": index}
        pq.write_table(pa.table(columns), folder / "m.parquet")
        assert list(read_manifest(folder / "m.parquet")) == expected


def test_text_in_parquet_that_is_none_is_said(folder: Path) -> None:
    damaged = pa.array([b"A\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"center": damaged, "case_id": ["1"], "image": ["ct.nii.gz"]}), folder / "m.parquet")
    with pytest.raises(InputError) as raised:
        read_manifest(folder / "m.parquet")
    assert raised.value.kind == "manifest_not_parquet"


def test_a_column_of_an_unknown_name_is_still_a_problem(folder: Path) -> None:
    assert problems(folder, lines(f"{HEADER},index,", *(f"{line},," for line in BODY))) == [
        "column 'index' is unknown; columns of your own begin with 'x_'"
    ]
