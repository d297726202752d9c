"""Ids of runs."""

import datetime

import pytest

from cvtbatch.run_id import make_run_id, started_at


def test_an_id_says_when_its_run_started_and_is_no_other_runs() -> None:
    moment = datetime.datetime(2026, 11, 28, 14, 30, 0, 999_999, tzinfo=datetime.UTC)
    one, other = make_run_id(moment), make_run_id(moment)
    assert one.startswith("20261128T143000-")
    assert one != other
    assert started_at(one) == started_at(other) == moment.replace(microsecond=0)


def test_another_text_is_no_id() -> None:
    with pytest.raises(ValueError, match="does not match format"):
        started_at("yesterday-9f3a1c")
