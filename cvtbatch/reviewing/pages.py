"""The pages of a review as HTML: of cases, and the first one with the progress of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cvtbatch.plain_text import visible
from cvtbatch.reporting.page_templates import page_templates
from cvtbatch.reviewing.cases import Item, Outline, ReviewCase
from cvtbatch.reviewing.histogram import Histogram, histogram_svg
from cvtbatch.reviewing.pictures import COLORS
from cvtbatch.reviewing.verdicts import COMMENT_LENGTH, KEYS, WORDS

INDEX = "index.html"
PREFIX = "cvtbatch-review:"
"""Of what a page keeps in a browser; by it a review's page is known too."""


@dataclass(frozen=True, slots=True)
class ShownSlice:
    """A slice of a case: its place in the volume, and its files relative to the page; no outlines where none is in it."""

    index: int
    picture: str
    outlines: str | None


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case as a page shows it.

    Attributes:
        depth: slices of the volume.
        histograms: of its outlines, in order.
        problem: kind of the error that left it without pictures; empty if none did. It can get no verdict then.
    """

    case: ReviewCase
    slices: tuple[ShownSlice, ...]
    depth: int
    histograms: tuple[Histogram, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What the first page says of a page of cases.

    Attributes:
        ids: of its items that can get a verdict, those first of which the store has one, written together.
        given: how many those are.
    """

    file: str
    cases: int
    items: int
    flagged: int
    ids: str
    given: int


def page_name(number: int) -> str:
    """Return the file of a page of cases, the first of which is 1."""
    return f"page-{number:04d}.html"


def summarise(number: int, cases: Sequence[ShownCase]) -> PageSummary:
    """Return what the first page says of page `number`."""
    items = [item for shown in cases if not shown.problem for item in shown.case.items]
    given = [item.id for item in items if item.given]
    ids = "".join([*given, *(item.id for item in items if not item.given)])
    flagged = sum(shown.case.unsure for shown in cases)
    return PageSummary(page_name(number), len(cases), len(items), flagged, ids, len(given))


def render_page(number: int, pages: int, cases: Sequence[ShownCase], origin: str) -> str:
    """Return a page of cases.

    Args:
        origin: what was looked at, when and by which version, in words.
    """
    text: str = (
        _environment().get_template("page.html.j2").render(number=number, pages=pages, cases=cases, origin=origin)
    )
    return text


def render_index(pages: Sequence[PageSummary], origin: str) -> str:
    """Return the first page; arguments as for `render_page`."""
    text: str = _environment().get_template("index.html.j2").render(pages=pages, origin=origin)
    return text


def _histogram(histograms: Sequence[Histogram], place: int) -> str:
    return histogram_svg(histograms[place], COLORS[place % len(COLORS)])


def _outline_name(outline: Outline) -> str:
    return visible(f"{outline.roi}, {outline.reader}, reading {outline.reading}")


def _options(item: Item) -> list[tuple[str, str, str]]:
    """Return word, key and text of each verdict that an item can get."""
    return [(str(verdict), KEYS[verdict], WORDS[verdict]) for verdict in item.verdicts]


@cache
def _environment() -> Any:
    filters: dict[str, Callable[..., object]] = {
        "visible": visible,
        "histogram": _histogram,
        "outline_name": _outline_name,
        "options": _options,
        "page_name": page_name,
    }
    names = {
        "colors": COLORS,
        "comment_length": COMMENT_LENGTH,
        "index": INDEX,
        "prefix": PREFIX,
        "words": {str(verdict): text for verdict, text in WORDS.items()},
    }
    return page_templates("cvtbatch.reviewing", filters, names)
