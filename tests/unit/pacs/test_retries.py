"""When an archive is asked again, and for how long."""

import datetime
import pickle

import pytest

from cvtbatch.errors import UnavailableError
from cvtbatch.pacs.retries import Retries, away, parse_retry_after

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def failing(*errors: UnavailableError) -> tuple[list[float], Retries, list[UnavailableError]]:
    waits: list[float] = []
    return (
        waits,
        Retries(attempts=4, first_s=1.0, longest_s=3.0, longest_wished_s=60.0, sleep=waits.append),
        list(errors),
    )


def attempt(left: list[UnavailableError]) -> str:
    if left:
        raise left.pop(0)
    return "answer"


def test_waits_double_and_end() -> None:
    waits, retries, left = failing(*(away("busy") for _ in range(3)))
    assert retries.run(lambda: attempt(left)) == "answer"
    for wait, longest in zip(waits, (1, 2, 3), strict=True):
        assert longest / 2 <= wait <= longest
    _, retries, left = failing(*(away(f"busy {number}") for number in range(9)))
    with pytest.raises(UnavailableError, match="busy 3"):
        retries.run(lambda: attempt(left))


def test_a_server_that_says_how_long_is_heeded_but_not_for_ever() -> None:
    waits, retries, left = failing(away("busy", wait_s=17.0))
    assert retries.run(lambda: attempt(left)) == "answer"
    assert waits == [17.0]
    waits, retries, left = failing(away("busy", wait_s=3600.0))
    with pytest.raises(UnavailableError):
        retries.run(lambda: attempt(left))
    assert waits == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("1e9", 0.0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:35 -0000", 30.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_the_error_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(away("busy", "pacs", 5.0)))
    assert (again.kind, again.message, again.private, again.wait_s) == ("pacs_unavailable", "busy", "pacs", 5.0)
