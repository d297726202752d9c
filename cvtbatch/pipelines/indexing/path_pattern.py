"""What the names of folders say of a study, by a pattern such as `{center}/{patient}/{study}`. Pure."""

import re
from dataclasses import dataclass, field
from pathlib import PurePath

from cvtbatch.errors import InputError

PLACES = ("center", "patient", "study")
_PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class PathIds:
    """What a path says; None where the pattern has no place for it."""

    center: str | None
    patient: str | None
    study: str | None


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern of the first parts of a path, below the folder that is indexed.

    A place stands for one part, or for some of it between other text (`sub-{patient}`); of two in one part the first takes as
    little as fits. `*` stands for anything within a part. What lies deeper than the pattern is not looked at.
    """

    text: str
    _parts: tuple[re.Pattern[str], ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "PathPattern":
        """Return the pattern that a text is.

        Raises:
            InputError: "bad_pattern": a place is unknown, named twice or not told from the next, or there is none.
        """
        places = _PLACE.findall(text)
        if unknown := [place for place in places if place not in PLACES]:
            raise _bad(text, f"{{{unknown[0]}}} is none of {', '.join(f'{{{place}}}' for place in PLACES)}")
        if re.search(r"[{}]", _PLACE.sub("", text)):
            raise _bad(text, "a brace is not closed, or not opened")
        if not places:
            raise _bad(text, "it has no place; write, for example, '{center}/{patient}/{study}'")
        if doubled := [place for place in PLACES if places.count(place) > 1]:
            raise _bad(text, f"{{{doubled[0]}}} stands twice")
        if "}{" in text:
            raise _bad(text, "two places follow each other: write between them what tells where the first ends")
        parts = text.strip("/").split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise _bad(text, "it is relative to the folder that is indexed, and names folders below it")
        return cls(text, tuple(re.compile(_expression(part)) for part in parts))

    def match(self, relative: PurePath) -> PathIds | None:
        """Return what a path says, relative to the folder that is indexed; None where it does not fit the pattern."""
        if len(relative.parts) < len(self._parts):
            return None
        found: dict[str, str] = {}
        for part, name in zip(self._parts, relative.parts, strict=False):
            match = part.fullmatch(name)
            if match is None:
                return None
            found |= match.groupdict()
        return PathIds(*(found.get(place) for place in PLACES))


def _expression(part: str) -> str:
    pieces = re.split(r"(\{\w+\}|\*)", part)
    return "".join(
        ".*?" if piece == "*" else f"(?P<{piece[1:-1]}>.+?)" if _PLACE.fullmatch(piece) else re.escape(piece)
        for piece in pieces
    )


def _bad(text: str, why: str) -> InputError:
    return InputError("bad_pattern", f"the pattern {text!r} cannot be used: {why}")
