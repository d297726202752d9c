"""How fast, and at which hours, an archive is read, so that it is there for its own users."""

import datetime
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cvtbatch.errors import InputError

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DAY_MINUTES = 24 * 60
# A clock may be set, and a machine may sleep: it is looked at again.
_LOOK_SECONDS = 60.0


class StoppedError(Exception):
    """Somebody else has ended the work of which this is a part."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of the day, by this machine's clock; it may go over midnight.

    Attributes:
        first, last: minutes since midnight; at `last` it is over.
    """

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """Return the hours that are written as 20:00-06:00.

        Raises:
            InputError: "bad_hours".
        """
        found = _HOURS.fullmatch(text)
        numbers = [int(one) for one in found.groups()] if found else [0, 0, 0, 0]
        hours = cls(60 * numbers[0] + numbers[1], 60 * numbers[2] + numbers[3])
        if hours.first == hours.last:
            raise InputError("bad_hours", f"{text!r} are no hours of a day: write 20:00-06:00")
        return hours

    def seconds_until(self, now: datetime.datetime) -> float:
        """Return for how long it is not yet that time; 0 while it is."""
        minutes = 60 * now.hour + now.minute
        if (minutes - self.first) % _DAY_MINUTES < (self.last - self.first) % _DAY_MINUTES:
            return 0.0
        return 60.0 * ((self.first - minutes) % _DAY_MINUTES) - now.second


class Pace:
    """What all threads of a pull keep to.

    Args:
        bytes_per_s: of all of them together; None for as fast as it goes.
        hours: at which something may be begun; None for all.
        on_wait: told for how many seconds nothing is begun.
    """

    def __init__(
        self,
        bytes_per_s: int | None = None,
        hours: Hours | None = None,
        on_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._bytes_per_s, self._hours, self._on_wait = bytes_per_s, hours, on_wait
        self._stopped, self._lock, self._free_s = threading.Event(), threading.Lock(), 0.0

    def stop(self) -> None:
        """End the waits of all threads, and what they do at their next one."""
        self._stopped.set()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: it was stopped.
        """
        if self._stopped.wait(max(0.0, seconds)):
            raise StoppedError

    def begin(self) -> None:
        """Wait until it is time to begin something.

        Raises:
            StoppedError: it was stopped.
        """
        self.sleep(0)
        told = False
        while self._hours and (left_s := self._hours.seconds_until(datetime.datetime.now())):
            if not told:
                self._on_wait(left_s)
            told = True
            self.sleep(min(left_s, _LOOK_SECONDS))

    def spend(self, size: int) -> None:
        """Wait for as long as so many bytes may take.

        Raises:
            StoppedError: it was stopped.
        """
        if self._bytes_per_s is None:
            self.sleep(0)
            return
        with self._lock:
            self._free_s = max(time.monotonic(), self._free_s) + size / self._bytes_per_s
            until_s = self._free_s
        self.sleep(until_s - time.monotonic())
