"""Hours of the night over midnight, bytes a second over several threads, and an end to every wait."""

import datetime
import threading
import time

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.shared.pull_pace import Hours, Pace, StoppedError


def at(clock: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"2024-05-01T{clock}")


@pytest.mark.parametrize(
    ("hours", "clock", "left_s"),
    [
        ("20:00-06:00", "20:00:00", 0),
        ("20:00-06:00", "23:59:59", 0),
        ("20:00-06:00", "05:59:59", 0),
        ("20:00-06:00", "06:00:00", 14 * 3600),
        ("20:00-06:00", "19:59:30", 30),
        ("01:30-04:00", "01:29:00", 60),
        ("01:30-04:00", "03:59:00", 0),
        ("01:30-04:00", "04:00:00", 21.5 * 3600),
    ],
)
def test_hours_of_a_day(hours: str, clock: str, left_s: float) -> None:
    assert Hours.parse(hours).seconds_until(at(clock)) == left_s


@pytest.mark.parametrize("text", ["", "20-6", "24:00-06:00", "20:00-20:00", "20:60-06:00", "20:00-06:00 "])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no hours of a day"):
        Hours.parse(text)


def test_threads_share_the_bytes_of_a_second() -> None:
    pace = Pace(100_000)
    threads = [threading.Thread(target=lambda: [pace.spend(2000) for _ in range(5)]) for _ in range(3)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 0.3


def test_a_stop_ends_waits() -> None:
    waits: list[float] = []
    now = datetime.datetime.now()
    later = (now + datetime.timedelta(hours=2)).strftime("%H:%M")
    pace = Pace(1000, Hours.parse(f"{later}-{now:%H:%M}"), waits.append)
    threading.Timer(0.05, pace.stop).start()
    with pytest.raises(StoppedError):
        pace.begin()
    assert waits == [pytest.approx(7200, abs=120)]
    with pytest.raises(StoppedError):
        pace.spend(10**9)
