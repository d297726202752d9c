"""The line that a notebook's cell or a terminal shows of a run."""

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest

from cvtbatch.api.progress import ProgressLine, line_of
from cvtbatch.pipelines.extraction.report import Progress


def test_a_line_says_how_far_a_stage_is() -> None:
    line = line_of(Progress(total=40, done=10, failed=1))
    assert line == f"extract [{'#' * 7}{'.' * 23}] 10/40 cases, 1 failed"
    assert line_of(Progress(stage="embed")) == f"embed [{'.' * 30}] 0/0 outlines, 0 failed"


def _shown(monkeypatch: pytest.MonkeyPatch, shell: str) -> list[str]:
    """Return what a run of two stages displays under a shell of this class."""
    shown: list[str] = []

    def update(data: dict[str, str], raw: bool) -> None:
        assert raw
        shown.append(f"update {data['text/plain']}")

    def display(data: dict[str, str], raw: bool, display_id: bool) -> SimpleNamespace:
        assert raw
        assert display_id
        shown.append(f"new {data['text/plain']}")
        return SimpleNamespace(update=update)

    ipython, output = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = type(shell, (), {})  # type: ignore[attr-defined]
    output.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", output)
    line = ProgressLine()
    line.step("planning")
    for done in range(3):
        line(Progress(total=2, done=done))
    line(Progress(total=1, done=0, stage="outline"))
    return shown


def test_a_notebook_has_one_line_a_stage_and_no_more_updates_than_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(monkeypatch, "ZMQInteractiveShell")
    assert shown[0] == "new planning"
    assert [line.split()[0] for line in shown] == ["new", "update", "update", "new"]
    assert "2/2 cases" in shown[2]
    assert "outline" in shown[3]


def test_a_terminal_has_one_line_a_stage_and_a_file_what_is_begun_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert _shown(monkeypatch, "TerminalInteractiveShell") == []
    assert terminal.getvalue() == "planning\n"
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    _shown(monkeypatch, "TerminalInteractiveShell")
    lines = [line for line in terminal.getvalue().split("\n") if line]
    assert [line.count("\r") for line in lines] == [0, 0, 2, 1]
