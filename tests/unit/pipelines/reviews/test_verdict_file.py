"""A file of verdicts: every bad row is named, and what other programs do to a CSV file does no harm."""

import datetime
from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.reviews.verdict_file import COLUMNS, read_verdicts
from cvtbatch.reviewing.verdicts import Verdict

HEADER = ",".join(COLUMNS)
AT = "2026-11-29T03:04:05.678Z"


def _file(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "review.csv"
    path.write_bytes("\r\n".join([header, *lines, ""]).encode())
    return path


def test_rows_are_read_as_they_were_exported(tmp_path: Path) -> None:
    lines = [f'C/1,C/1/h/A/1,d1,redo,"too small, ""left"" side",{AT}', f"C/2,,i2,no_hematoma,,{AT}", ",,,,,"]
    first, second = read_verdicts(_file(tmp_path, *lines, header=f"\ufeff{HEADER}"))
    assert (first.row, first.verdict, first.comment) == (1, Verdict.REDO, 'too small, "left" side')
    assert first.reviewed_at == datetime.datetime(2026, 11, 29, 3, 4, 5, 678000, datetime.UTC)
    assert (second.row, second.case_key, second.roi_key, second.input_digest) == (2, "C/2", "", "i2")
    assert second.verdict is Verdict.NO_HEMATOMA


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    header = "verdict,comment,reviewed_at,case_key,roi_key,input_digest"
    [found] = read_verdicts(_file(tmp_path, f"accept,,{AT},C/1,C/1/h/A/1,d1", header=header))
    assert (found.case_key, found.verdict, found.input_digest) == ("C/1", Verdict.ACCEPT, "d1")


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    lines = [
        f"C/1,C/1/h/A/1,d1,perfect,,{AT}",
        f"C/2,C/2/h/A/1,d2,accept,,{AT}",
        f"C/3,,i3,accept,,{AT}",
        f"C/4,C/4/h/A/1,d4,no_hematoma,,{AT}",
        "C/5,C/5/h/A/1,d5,accept,,yesterday",
        "C/6,C/6/h/A/1,d6,accept,,2026-11-29T03:04:05",
        f"C/2,C/2/h/A/1,d2,redo,,{AT}",
        f"C/8,C/8/h/A/1,d8,accept,{'x' * 501},{AT}",
        f"C/9,C/9/h/A/1,d9,accept,a\u202eb,{AT}",
    ]
    with pytest.raises(ProblemsError) as raised:
        read_verdicts(_file(tmp_path, *lines))
    assert raised.value.kind == "bad_review"
    problems = raised.value.private.splitlines()
    assert [line.split(":")[0] for line in problems] == [f"row {row}" for row in (1, 3, 4, 5, 6, 8, 9, 7)]
    text = "\n".join(problems)
    for words in (
        "'perfect' is none of accept, redo, not_hematoma",
        "'accept' is none of outline_needed, no_hematoma, which a case without an outline can have",
        "'yesterday' is no moment",
        "has no time zone",
        "has a verdict in row 2 already",
        "501 characters",
        "U+202E",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", "bad_review", "columns"),
        (HEADER.replace(",", ";").encode(), "bad_review", "columns"),
        (b"case_key,verdict\nC/1,accept\n", "bad_review", "columns"),
        (HEADER.encode() + b"\nC/\xff,,,,,\n", "bad_review", "no UTF-8"),
        (HEADER.encode() + b'\nC/1,"a,,,,\n', "bad_review", "no CSV"),
        (None, "no_review", "there is no file"),
    ],
)
def test_files_that_are_no_review_are_refused(content: bytes | None, kind: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says) as raised:
        read_verdicts(path)
    assert raised.value.kind == kind
