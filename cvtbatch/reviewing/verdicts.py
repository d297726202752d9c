"""What can be said of what was looked at."""

import datetime
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Words of column `verdict` (schemas/tables/reviews.json)."""

    ACCEPT = "accept"
    REDO = "redo"
    NOT_HEMATOMA = "not_hematoma"
    OUTLINE_NEEDED = "outline_needed"
    NO_HEMATOMA = "no_hematoma"


OF_OUTLINES = (Verdict.ACCEPT, Verdict.REDO, Verdict.NOT_HEMATOMA)
OF_CASES = (Verdict.OUTLINE_NEEDED, Verdict.NO_HEMATOMA)
"""Of cases without an outline."""
KEYS = {
    Verdict.ACCEPT: "a",
    Verdict.REDO: "r",
    Verdict.NOT_HEMATOMA: "n",
    Verdict.OUTLINE_NEEDED: "o",
    Verdict.NO_HEMATOMA: "n",
}
"""The key on the page that gives a verdict."""
WORDS = {
    Verdict.ACCEPT: "accept",
    Verdict.REDO: "redo",
    Verdict.NOT_HEMATOMA: "not a hematoma",
    Verdict.OUTLINE_NEEDED: "outline needed",
    Verdict.NO_HEMATOMA: "no hematoma",
}
COMMENT_LENGTH = 500
"""Most characters of a comment."""


@dataclass(frozen=True, slots=True)
class Given:
    """A verdict that the store has.

    Attributes:
        reviewed_at: UTC.
    """

    verdict: Verdict
    comment: str
    reviewer: str
    reviewed_at: datetime.datetime
