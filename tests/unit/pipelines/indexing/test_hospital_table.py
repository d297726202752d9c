"""Tables as spreadsheets save them: every separator and encoding gives the same cells; what is no table is refused."""

import zipfile
from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.indexing.hospital_table import read_hospital_table

TEXT = 'id,name,note\n007,Müller,"a, b; c"\n\n 8 ,,x\n,,\n'
SEMICOLONS = 'id;name;note\n007;Müller;"a, b; c"\n\n 8 ;;x\n;;\n'
TABS = (
    SEMICOLONS.replace(";\n", "\t\n").replace("id;name;note", "id\tname\tnote").replace("007;Müller;", "007\tMüller\t")
)
TABS = TABS.replace(" 8 ;;x", " 8 \t\tx").replace(";\t", "\t\t")


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("cp1252"),
        TEXT.replace("\n", "\r\n").encode(),
        SEMICOLONS.encode("utf-8-sig"),
        SEMICOLONS.encode("cp1252"),
        ("sep=;\r\n" + SEMICOLONS).encode(),
        TABS.encode("utf-16"),
        TEXT.replace("note\n", "note,,\n").encode(),
    ],
    ids=["utf-8", "mark", "windows", "crlf", "semicolons", "german-excel", "sep", "unicode-text", "empty-columns"],
)
def test_every_way_of_saving_gives_the_same_cells(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    table = read_hospital_table(path, "the table")
    assert table.header == ("id", "name", "note")
    assert table.rows == (("007", "Müller", "a, b; c"), ("8", "", "x"))
    assert table.numbers == (1, 3)
    assert table.column("id") == ("007", "8")


def test_a_workbook_is_refused_with_what_to_save(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(InputError, match=r"the table cannot be used.*save it as 'CSV UTF-8'") as raised:
        read_hospital_table(path, "the table")
    assert raised.value.kind == "bad_table"


@pytest.mark.parametrize(("content", "why"), [(b"", "header"), (b"a,b\n\x00\x01", "binary"), (b'a,b\n"x', "no CSV")])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_hospital_table(path, "the table")


def test_uneven_rows_and_double_columns_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,a\n1,2,3\n1,2\n1,2,3,4\n")
    with pytest.raises(ProblemsError, match=r"(?s)row 2: 2 cells.*row 3: 4 cells.*'a' stands 2 times"):
        read_hospital_table(path, "the table")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file") as raised:
        read_hospital_table(tmp_path / "none.csv", "the table")
    assert raised.value.kind == "no_table"
