"""Estimates with no more digits than their standard error bears, and shares of few cases as counts."""

import pytest

from cvtbatch.validation.decisions import wilson
from cvtbatch.validation.report.digits import Counted, decimals, estimate_text, span_text, value_text
from cvtbatch.validation.report.tables import Column, tabulate
from cvtbatch.validation.values import Estimate, Interval, NotComputable


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        # Cole 2015: 22.68 (7.51 to 73.67) has too many; "23 (7.5 to 74), or even 23 (8 to 70)".
        (22.68, 7.51, 73.67, "23 (95 % CI 8 to 74)"),
        (0.75, 0.260, 1.0, "0.75 (95 % CI 0.26 to 1.00)"),
        (0.8341, 0.8012, 0.8671, "0.834 (95 % CI 0.801 to 0.867)"),
        (0.83412, 0.83402, 0.83422, "0.834 (95 % CI 0.834 to 0.834)"),
        (3.61, -3.54, 10.76, "3.6 (95 % CI −3.5 to 10.8)"),
        (1.0, 1.0, 1.0, "1.000 (95 % CI 1.000 to 1.000)"),
        # A limit that is cut off at 1 does not make the error smaller.
        (0.893, 0.661, 1.0, "0.89 (95 % CI 0.66 to 1.00)"),
        # An odds ratio is never 0.
        (940.0, 0.4861, 1.8e6, "940 (95 % CI 0.49 to 1.8e+06)"),
    ],
)
def test_an_estimate_has_the_decimals_of_two_digits_of_its_error(
    value: float, low: float, high: float, shown: str
) -> None:
    assert estimate_text(Estimate(value, Interval(low, high))) == shown


def test_a_table_s_own_decimals_are_the_most() -> None:
    estimate = Estimate(0.8341, Interval(0.8012, 0.8671))
    assert (decimals(estimate, 2), value_text(estimate, 2), span_text(estimate, 2)) == (2, "0.83", "0.80 to 0.87")


def test_without_an_interval_there_are_two_decimals_and_the_reason() -> None:
    told = estimate_text(Estimate(0.66667, NotComputable("too few: 1 of 3 cases")))
    assert told == "0.67 (no interval: too few: 1 of 3 cases)"


def test_a_share_of_few_cases_is_a_count_with_its_interval() -> None:
    assert estimate_text(Counted(wilson(1, 2), 1, 2), 2) == "1 of 2 (95 % CI 0.09 to 0.91)"
    assert estimate_text(Counted(wilson(15, 20), 15, 20), 2) == "0.75 (95 % CI 0.53 to 0.89; 15 of 20)"


def test_tables_show_counts_and_their_files_hold_numbers() -> None:
    rows = [Counted(wilson(1, 2), 1, 2), Counted(wilson(15, 20), 15, 20)]
    table = tabulate("shares", "Shares", (Column("share", lambda row: row, 2),), rows, place="")
    assert [(cell.text, cell.span) for [cell] in table.shown()] == [
        ("1 of 2", "(0.09 to 0.91)"),
        ("0.75", "(0.53 to 0.89)"),
    ]
    assert table.leans_right(0)
    header, first, _ = table.to_csv().splitlines()
    assert header == '"share","share, low","share, high"'.replace('"share",', "share,", 1)
    assert [float(cell) for cell in first.split(",")] == pytest.approx([0.5, 0.0945, 0.9055], abs=1e-4)
