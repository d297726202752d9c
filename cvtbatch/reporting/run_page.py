"""The page at the end of a run: what became of its cases, what failed and who can mend it, what to look at, how to go on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Literal

from cvtbatch.counts import counted
from cvtbatch.plain_text import visible
from cvtbatch.reporting.failures import FailedItem, FailureGroup
from cvtbatch.reporting.page_templates import page_templates

State = Literal["completed", "interrupted", "stopped"]
LONGEST = 300
"""Characters of a text from elsewhere that a page shows."""
WHO_WORDS = {
    "you": "with the files, the manifest or the command",
    "PACS team": "who export the images",
    "reader": "who draws the outlines",
}


@dataclass(frozen=True, slots=True)
class CaseCounts:
    """How the cases of a run stand; `total` is of the manifest, and what is in none of the others was not come to.

    Attributes:
        continued: of those computed, cases that an earlier run had begun.
    """

    total: int
    computed: int
    continued: int
    already_done: int
    no_hemorrhage: int
    awaiting_mask: int
    failed: int

    def parts(self) -> list[tuple[str, int]]:
        """Return how many cases stand how, in words, those alone of which there are any."""
        begun = f" ({self.continued:,} of them begun by earlier ones)" if self.continued else ""
        named = [
            (f"computed by this run{begun}", self.computed),
            ("computed by earlier runs", self.already_done),
            ("without a hemorrhage", self.no_hemorrhage),
            ("waiting for an outline", self.awaiting_mask),
            ("failed", self.failed),
        ]
        left = self.total - sum(count for _, count in named)
        return [(name, count) for name, count in (*named, ("not come to", left)) if count > 0]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A case that waits for an outline."""

    row: int
    center: str
    case_id: str


@dataclass(frozen=True, slots=True)
class FlagCount:
    """How many images or outlines have a flag, and what it means."""

    name: str
    of: Literal["image", "outline"]
    count: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An outline to look at.

    Attributes:
        key: of the outline.
        why: what is unusual about it, in words.
        volume_ml: as drawn.
        picture: its largest slice as a data URL.
    """

    key: str
    why: tuple[str, ...]
    volume_ml: float
    median_hu: float | None
    picture: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """What the page shows.

    Attributes:
        reason: kind of the error that stopped the run; empty if none did.
        facts: name and value of how long it took and what it cost.
        groups: failures, the most frequent kind first.
        waiting: the first of those cases that wait for an outline.
        looked: flags and pictures were looked for; a run that is interrupted leaves at once.
        command, folder: what was typed, and where; empty where nobody typed.
        origin: run, store and version, in words.
    """

    state: State
    reason: str
    counts: CaseCounts
    facts: tuple[tuple[str, str], ...]
    groups: Sequence[FailureGroup]
    waiting: tuple[Waiting, ...]
    flags: tuple[FlagCount, ...]
    thumbnails: tuple[Thumbnail, ...]
    looked: bool
    command: str
    folder: str
    origin: str

    @property
    def headline(self) -> str:
        """The run in one line."""
        counts = self.counts
        found = ", ".join(f"{count:,} {name}" for name, count in counts.parts()) or "nothing to do"
        line = f"{counted(counts.total, 'case')}: {found}"
        if self.state == "completed":
            return line
        ended = "Interrupted" if self.state == "interrupted" else f"Stopped by an error ({self.reason})"
        return f"{ended}. {line}"

    @property
    def retry(self) -> str:
        """The command that tries every failure again; empty where the one that was typed does, or nothing failed."""
        if not self.groups or not self.command or "--retry-failed" in self.command:
            return ""
        return f"{self.command} --retry-failed"

    def helpers(self) -> list[tuple[str, int, list[FailureGroup]]]:
        """Return who can do something, about how many failures, and of which kinds; you first."""
        places = list(WHO_WORDS)
        ordered = sorted(self.groups, key=lambda group: places.index(group.kind.who))
        by_who = [(who, list(groups)) for who, groups in groupby(ordered, key=lambda group: group.kind.who)]
        return [(who, sum(group.items for group in groups), groups) for who, groups in by_who]


def render_run_page(page: RunPage) -> str:
    """Return the page as HTML, in one file that loads nothing."""
    text: str = _environment().get_template("run.html.j2").render(page=page)
    return text


def _shown(text: str) -> str:
    """Return a text from elsewhere as a page shows it."""
    text = visible(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _own(item: FailedItem) -> str:
    """Return the values of x_ columns in one line."""
    values: Mapping[str, object] = item.own
    return _shown("; ".join(f"{name}: {value}" for name, value in values.items() if value not in (None, "")))


@cache
def _environment() -> Any:
    filters: dict[str, Callable[..., object]] = {
        "visible": visible,
        "shown": _shown,
        "own": _own,
        "words": lambda text: text.replace("_", " "),
    }
    return page_templates("cvtbatch.reporting", filters, {"who_words": WHO_WORDS})
