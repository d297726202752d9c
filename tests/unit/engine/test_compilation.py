"""Lines of what is compiled: the first at once, the last, and between them one now and then."""

import pytest

from cvtbatch.compiled_code import CASE_LOOPS
from cvtbatch.engine.compilation import CompilationLines


def test_lines_tell_how_far_each_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    told: list[str] = []
    lines = CompilationLines(told.append)
    for kept in range(1, CASE_LOOPS + 3):
        lines(kept, None)
        now += 0.4
    lines(1, None, "10.0.0.5")
    assert told == [
        *(f"compiling, once for this user and version: {kept} of up to 36 loops" for kept in (1, 14, 27, 36)),
        "compiling, once for this user and version at 10.0.0.5: 1 of up to 36 loops",
    ]


def test_what_cannot_be_kept_is_told_once_of_a_machine() -> None:
    told: list[str] = []
    lines = CompilationLines(told.append)
    for machine in ("10.0.0.5", "10.0.0.5", "10.0.0.6"):
        lines(CASE_LOOPS + 1, "/home/x: No space left on device", machine)
    assert told == [
        f"compiled loops cannot be kept at {machine}, and each process compiles its own: /home/x: No space left on device"
        for machine in ("10.0.0.5", "10.0.0.6")
    ]
