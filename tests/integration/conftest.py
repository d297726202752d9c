"""What tests through the command line share."""

import pytest

from cvtbatch.validation.report.drawing import Drawing


def _told_alone(_: object, name: str, title: str, alt: str) -> Drawing:
    return Drawing(name, title, alt, f"<svg><title>{title}</title><desc>{alt}</desc></svg>", b"")


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are put together and not drawn, which is most of writing a report; test_report.py has them drawn."""
    for module in ("class_tables", "comparison_tables", "model_figures", "performance_figures"):
        monkeypatch.setattr(f"cvtbatch.validation.report.{module}.finish", _told_alone)
