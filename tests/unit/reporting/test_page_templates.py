"""Every room's templates escape what goes into them, and refuse what is not given."""

import jinja2
import pytest

from cvtbatch.reporting.page_templates import page_templates


@pytest.mark.parametrize("room", ["cvtbatch.reporting", "cvtbatch.reviewing", "cvtbatch.validation.report"])
def test_what_goes_into_a_page_is_escaped_and_nothing_may_be_undefined(room: str) -> None:
    templates = page_templates(room, {"loud": str.upper}, {"who": "<you>"})
    assert templates.from_string("{{ text|loud }} {{ who }}").render(text="<b>&") == "&lt;B&gt;&amp; &lt;you&gt;"
    assert templates.list_templates()
    with pytest.raises(jinja2.UndefinedError):
        templates.from_string("{{ text }}").render()
