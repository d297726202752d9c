"""Which cases are shown, in which order, and their pictures."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.validation.evaluate import CaseResult, Validation

MORE = 200
"""Cases in the page beyond the misclassified ones; the rest stand on pages of as many."""


Pictures = Callable[[str], OutlinedSlice | None]
"""Gives the slice of a case by its key, or None where there is none."""


def order_cases(validation: Validation) -> list[list[CaseResult]]:
    """Return the cases of each page: on the first all that were wrong and up to 200 more, flagged ones first."""
    wrong = [result for result in validation.cases if result.wrong]
    rest = [result for result in validation.cases if not result.wrong]
    rest.sort(key=lambda result: not (result.case.flags or result.case.outside))
    pages = [wrong + rest[:MORE]]
    pages += [rest[start : start + MORE] for start in range(MORE, len(rest), MORE)]
    return pages


def case_links(pages: Sequence[Sequence[CaseResult]]) -> dict[str, str]:
    """Return where each case is shown, by its key, as a link from the first page."""
    return {
        result.case.key: f"{page_name(place) if place else ''}#{anchor(result.case.key)}"
        for place, page in enumerate(pages)
        for result in page
    }


def anchor(key: str) -> str:
    """Return the id of a case's element in a page, which is its link's fragment too: its key, percent-encoded."""
    return f"case-{quote(key, safe='')}"


def page_name(place: int) -> str:
    """Return the file of a page of cases; the first is the report itself."""
    return "report.html" if place == 0 else f"cases-{place + 1}.html"
