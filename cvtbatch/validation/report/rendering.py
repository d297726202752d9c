"""Templates to pages: everything that goes into one is escaped, and nothing in it may be undefined."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.tables import decimal
from cvtbatch.validation.values import NotComputable


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


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cvtbatch.validation.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"decimal": decimal, "in_words": in_words}
    environment.globals["is_missing"] = lambda value: isinstance(value, NotComputable)
    return environment
