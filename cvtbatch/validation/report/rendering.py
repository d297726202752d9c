"""The templates of the report to pages."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cvtbatch.reporting.page_templates import page_templates
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import Counted, decimal, estimate_text
from cvtbatch.validation.values import Estimate, NotComputable


def render(template: str, filters: Mapping[str, Callable[..., object]], **values: object) -> str:
    """Return a page.

    Args:
        filters: that the template uses beside `decimal` and `in_words`, by name.
        values: of the template's variables.
    """
    environment = _environment()
    environment.filters |= filters
    text: str = environment.get_template(template).render(**values)
    return text


def _of_cases(share: Estimate, n: int) -> str:
    """Return a share of n cases with its interval."""
    return estimate_text(Counted(share, round(share.value * n), n), 2)


@cache
def _environment() -> Any:
    is_missing = {"is_missing": lambda value: isinstance(value, NotComputable)}
    return page_templates(
        "cvtbatch.validation.report", {"decimal": decimal, "in_words": in_words, "of_cases": _of_cases}, is_missing
    )
