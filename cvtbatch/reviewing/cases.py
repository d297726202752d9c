"""Cases as a review shows them, and in which order."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvtbatch.reviewing.verdicts import OF_CASES, OF_OUTLINES, Given, Verdict
from cvtbatch.spec import digest

PAGE_CASES = 100
# Flags that every outline of a method carries: they tell none from another.
OF_METHODS = frozenset({"auto", "not_for_inference"})


@dataclass(frozen=True, slots=True)
class Item:
    """What gets one verdict: an outline, or a case without one.

    Attributes:
        roi_key: empty for a case without an outline.
        input_digest: of the outline's input, or of the volume where there is none.
        given: what the store has of it, as it is now.
    """

    case_key: str
    roi_key: str
    input_digest: str
    given: Given | None

    @property
    def id(self) -> str:
        """What names it in a browser: 8 letters, other ones where anything of what is looked at is other."""
        identity = bytes.fromhex(digest(self.case_key, self.roi_key, self.input_digest))
        return base64.urlsafe_b64encode(identity[:6]).decode("ascii")

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What can be said of it."""
        return OF_OUTLINES if self.roi_key else OF_CASES


@dataclass(frozen=True, slots=True)
class Outline:
    """An outline of a case.

    Attributes:
        volume_ml: as drawn.
        agreement: of the members of the method's ensemble; None where it has none, or a person drew it.
    """

    item: Item
    roi: str
    reader: str
    reading: int
    volume_ml: float
    flags: tuple[str, ...]
    agreement: float | None


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """A case with its outlines, or without one.

    Attributes:
        image_digest: of its volume.
        flags: of its volume.
        outlines: by ROI, reader and reading.
        negative: methods that looked for a hematoma and found none.
        given: of the case itself; None where it has outlines.
    """

    case_key: str
    image_digest: str
    flags: tuple[str, ...]
    outlines: tuple[Outline, ...]
    negative: tuple[str, ...]
    given: Given | None

    @property
    def items(self) -> tuple[Item, ...]:
        """What gets a verdict each."""
        if self.outlines:
            return tuple(outline.item for outline in self.outlines)
        return (Item(self.case_key, "", self.image_digest, self.given),)

    @property
    def unsure(self) -> bool:
        """Whether something asks for a look: a flag of an outline, or a method that found nothing where there is no outline."""
        flags = {flag for outline in self.outlines for flag in outline.flags}
        return bool(flags - OF_METHODS) if self.outlines else bool(self.negative)

    @property
    def agreement(self) -> float:
        """The lowest agreement of its outlines; 1 where none is known."""
        return min((outline.agreement for outline in self.outlines if outline.agreement is not None), default=1.0)


def in_order(cases: Iterable[ReviewCase]) -> list[ReviewCase]:
    """Return cases as they are looked at: flagged and unsure ones, then the other outlines, then those that await one.

    Within each, those of the lowest agreement first.
    """
    return sorted(cases, key=lambda case: (not case.unsure, not case.outlines, case.agreement, case.case_key))


def in_pages(cases: Sequence[ReviewCase]) -> list[Sequence[ReviewCase]]:
    """Return the cases of each page; at least one page."""
    return [cases[start : start + PAGE_CASES] for start in range(0, max(len(cases), 1), PAGE_CASES)]
