"""Tables fit the terminal: columns that do not go on below."""

import pytest

from cvtbatch.cli.tables import print_table

HEADER = (
    "run",
    "state",
    "cases",
    "computed",
    "already done",
    "failed",
    "awaiting mask",
    "seconds",
    "cases/s",
    "worker",
)
ROWS = [
    (f"20261129T120406-d290a{number}", "completed", 40_000, 39_990, 0, 10, 0, 8.4, "0.71", "1,918 MB")
    for number in range(2)
]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_fits_and_loses_nothing(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table("Runs", HEADER, ROWS)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert all(name in out for name in HEADER), "a heading is broken"
    blocks = out.strip().partition("\n")[2].split("\n\n")
    assert (len(blocks) == 1) == (columns == 200)
    for block in blocks:
        assert all(row[0] in block for row in ROWS)
    assert out.count("40,000") == out.count("1,918 MB") == 2


def test_a_cell_that_is_wider_than_the_terminal_folds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table("Long", ("what", "value"), [("path", "x" * 150)])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert out.count("x") == 150


def test_a_pipe_is_wide_unless_columns_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table("Runs", HEADER, ROWS)
    assert len(capsys.readouterr().out.strip().split("\n\n")) == 1
