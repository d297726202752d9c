"""When an archive that is away or busy is asked again: after waits that double, by chance a little shorter, and not for ever."""

import datetime
import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cvtbatch.errors import UnavailableError

Answer = TypeVar("Answer")


def away(message: str, private: str = "", wait_s: float = 0.0) -> UnavailableError:
    """Return the error of an archive that does not answer now, or says that it cannot.

    Args:
        wait_s: for which it asks before it is asked again; 0 where it says nothing.
    """
    error = UnavailableError("pacs_unavailable", message, private)
    error.wait_s = wait_s
    return error


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and after which waits.

    Attributes:
        attempts: in all.
        first_s: the first wait; each further one is twice as long, up to `longest_s`.
        longest_wished_s: a server that asks for more is given up at once.
        sleep: waits.
    """

    attempts: int = 5
    first_s: float = 1.0
    longest_s: float = 30.0
    longest_wished_s: float = 120.0
    sleep: Callable[[float], object] = time.sleep

    def run(self, attempt: Callable[[], Answer]) -> Answer:
        """Return what an attempt gives, the first that the archive answers.

        Raises:
            UnavailableError: of the last attempt.
        """
        for number in range(1, self.attempts):
            try:
                return attempt()
            except UnavailableError as error:
                if error.wait_s > self.longest_wished_s:
                    raise
                own_s = min(self.first_s * 2 ** (number - 1), self.longest_s)
                self.sleep(max(error.wait_s, own_s * random.uniform(0.5, 1)))
        return attempt()


def parse_retry_after(value: str | None, now: datetime.datetime) -> float:
    """Return the seconds of a Retry-After header (RFC 9110 10.2.3), a number or a date; 0 for none that can be read.

    Args:
        now: with its zone.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        then = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (then.replace(tzinfo=then.tzinfo or datetime.UTC) - now).total_seconds())
