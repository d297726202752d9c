"""The templates of a room's pages: everything that goes into one is escaped, and nothing in it may be undefined."""

from collections.abc import Callable, Mapping
from typing import Any


def page_templates(
    package: str, filters: Mapping[str, Callable[..., object]], names: Mapping[str, object] | None = None
) -> Any:
    """Return jinja2's environment of the templates that lie in `templates/` of a package.

    Args:
        filters: that every one of them may use, by name.
        names: values and functions that every one of them may use.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    environment.globals |= names or {}
    return environment
