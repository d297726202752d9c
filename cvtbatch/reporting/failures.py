"""What failed in a run, as its user knows it: grouped by kind for a page, and a row each for a spreadsheet. Pure."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from cvtbatch import contracts
from cvtbatch.contracts import FailureKind
from cvtbatch.plain_text import for_spreadsheet, visible

STAGE_WORDS = {
    "read": "reading the image",
    "mask": "reading the outline",
    "volume": "storing the volume",
    "outline": "finding an outline",
    "region": "deriving a region of an outline",
    "radiomics": "computing features",
    "embedding": "computing the embedding",
    "worker": "working on the case",
    "audit": "comparing with stock PyRadiomics",
    "signs": "looking for signs",
    "locations": "locating the hematoma",
}
SHOWN = 10
"""Failures of a kind that a page shows; a file has all of them."""
COLUMNS = ("row", "centre", "case", "outline", "stage", "kind", "what is wrong", "what to do", "who")


@dataclass(frozen=True, slots=True)
class FailedItem:
    """A case, or an outline of one, that failed.

    Attributes:
        row: of the manifest.
        outline: name, reader and reading; empty where the whole case failed.
        stage, kind, message: as table `failures` has them.
        path: of the file or folder that it is about.
        detail: what may not be stored, e.g. the file within the folder; empty if none is known.
        own: values of the manifest's x_ columns.
    """

    row: int
    center: str
    case_id: str
    outline: str
    stage: str
    kind: str
    message: str
    path: str
    detail: str
    own: Mapping[str, object]

    @property
    def stage_in_words(self) -> str:
        """What was done when it failed."""
        return STAGE_WORDS.get(self.stage, self.stage)


@dataclass(slots=True)
class FailureGroup:
    """Failures of one kind.

    Attributes:
        items: how many failed so; a case may have several outlines.
        cases: of how many cases.
        shown: the first of them.
    """

    kind: FailureKind
    items: int = 0
    cases: int = 0
    shown: list[FailedItem] = field(default_factory=list)

    @property
    def more(self) -> int:
        """How many are not among those shown."""
        return self.items - len(self.shown)


def group_failures(items: Iterable[FailedItem]) -> list[FailureGroup]:
    """Return failures by kind, the most frequent first.

    Args:
        items: those of one case together.
    """
    groups: dict[str, FailureGroup] = {}
    last: dict[str, tuple[str, str]] = {}
    for item in items:
        group = groups.setdefault(item.kind, FailureGroup(known_kind(item.kind)))
        case = (item.center, item.case_id)
        group.cases += last.get(item.kind) != case
        last[item.kind] = case
        group.items += 1
        if len(group.shown) < SHOWN:
            group.shown.append(item)
    return sorted(groups.values(), key=lambda group: (-group.items, group.kind.name))


def known_kind(name: str) -> FailureKind:
    """Return a kind; one of another version of cvtbatch says so."""
    unknown = FailureKind(name, "you", "A failure that this version of cvtbatch does not know.", "Read its message.")
    return contracts.failure_kinds().get(name, unknown)


def write_table(items: Iterable[FailedItem], file: TextIO, own_columns: Sequence[str] | None) -> Iterator[FailedItem]:
    """Write failures as CSV, a row each, and hand each one on; no cell is taken for a formula by a spreadsheet.

    Args:
        file: opened with newline="".
        own_columns: the manifest's x_ columns; None leaves out these, paths and details, so that what is left names a case by its
            row and id alone, and may be passed on where these may.
    """
    # As Excel writes CSV.
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS if own_columns is None else [*COLUMNS, *own_columns, "path", "detail"])
    for item in items:
        kind = known_kind(item.kind)
        texts = [item.center, item.case_id, item.outline, item.stage_in_words, item.kind]
        texts += [item.message, kind.do or kind.meaning, kind.who]
        if own_columns is not None:
            texts += [_text(item.own.get(name)) for name in own_columns]
            texts += [item.path, item.detail]
        writer.writerow([item.row, *map(_cell, texts)])
        yield item


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _cell(text: str) -> str:
    """Return a text as one harmless line."""
    return for_spreadsheet(" ".join(visible(text).split()))
