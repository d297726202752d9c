"""An answer to an item of a checklist. Pure."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["yes", "no", "open", "not applicable"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Attributes:
        text: in words; of an open one what the data say and do not say, or nothing.
        pointer: to the value in report.json that the answer rests on (RFC 6901); empty for an open one.
    """

    verdict: Verdict
    text: str
    pointer: str


OPEN = Answer("open", "", "")


def to_pointer(*parts: str | int) -> str:
    """Return the JSON pointer to a value (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
