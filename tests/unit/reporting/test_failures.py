"""What failed, grouped for a page and written for a spreadsheet."""

import csv
import io
from collections.abc import Sequence

from cvtbatch import contracts
from cvtbatch.reporting.failures import COLUMNS, SHOWN, STAGE_WORDS, FailedItem, group_failures, write_table


def failed(row: int, kind: str = "missing_slices", case_id: str = "", **changed: object) -> FailedItem:
    own = {"x_site": "Porto", "x_age": 70}
    values = (row, "A", case_id or f"{row:04d}", "", "read", kind, "3 slices are missing", f"/a/{row}", "")
    item = FailedItem(*values, own)
    return FailedItem(**{**{name: getattr(item, name) for name in FailedItem.__slots__}, **changed})


def write(*items: FailedItem, own_columns: Sequence[str] | None = ("x_age", "x_site")) -> list[list[str]]:
    file = io.StringIO(newline="")
    assert list(write_table(iter(items), file, own_columns)) == list(items)
    assert file.getvalue().count("\r\n") == len(items) + 1
    return list(csv.reader(io.StringIO(file.getvalue(), newline="")))


def test_kinds_are_counted_by_failures_and_cases_and_the_most_frequent_comes_first() -> None:
    items = [failed(1, "empty_mask", "one"), failed(2, "empty_mask", "one"), failed(3, "empty_mask")]
    groups = group_failures([failed(9), *items])
    assert [(group.kind.name, group.items, group.cases, group.more) for group in groups] == [
        ("empty_mask", 3, 2, 0),
        ("missing_slices", 1, 1, 0),
    ]
    assert (groups[0].kind.who, groups[1].kind.who) == ("reader", "PACS team")


def test_a_page_shows_the_first_of_a_kind() -> None:
    [group] = group_failures(failed(row) for row in range(1, 40))
    assert ([item.row for item in group.shown], group.more) == ([*range(1, SHOWN + 1)], 39 - SHOWN)


def test_a_row_says_who_can_do_what_and_holds_the_users_own_columns() -> None:
    header, row = write(failed(7))
    assert header == [*COLUMNS, "x_age", "x_site", "path", "detail"]
    cells = dict(zip(header, row, strict=True))
    assert (cells["row"], cells["centre"], cells["case"], cells["stage"]) == ("7", "A", "0007", "reading the image")
    assert (cells["who"], cells["x_site"], cells["x_age"], cells["path"]) == ("PACS team", "Porto", "70", "/a/7")
    assert cells["what to do"] == contracts.failure_kinds()["missing_slices"].do
    assert not [name for name in header if "spec" in name or "digest" in name or "key" in name]


def test_a_table_that_may_be_passed_on_has_the_row_and_no_path() -> None:
    whole = write(failed(7, detail="cut off in slice 3"))
    without = write(failed(7, detail="cut off in slice 3"), own_columns=None)
    assert without == [row[: len(COLUMNS)] for row in whole]
    assert not {"Porto", "/a/7", "cut off in slice 3"} & {*without[1]}


def test_no_cell_is_a_formula_or_spreads_over_lines() -> None:
    evil = failed(1, own={"x_site": "=1+1", "x_age": None}, detail="first\nsecond\u202e", path="+cmd")
    cells = write(evil)[1]
    assert cells[-4:] == ["", "'=1+1", "'+cmd", r"first second\u202e"]


def test_a_kind_of_another_version_is_told_all_the_same() -> None:
    [group] = group_failures([failed(1, "not_invented_yet")])
    assert group.kind.meaning
    assert write(failed(1, "not_invented_yet"))[1][8] == "you"


def test_every_stage_has_words() -> None:
    stages = next(field.enum for field in contracts.table("failures").fields if field.name == "stage")
    assert set(STAGE_WORDS) == set(stages)
