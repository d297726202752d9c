"""Processes are started beside a first case, as many as there are cores and memory for, by one process of a user alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvtbatch import compiled_code
from cvtbatch.pipelines.shared import compile_ahead as ahead
from cvtbatch.pipelines.shared import compile_beside as beside
from tests.support.paths import ROOT

# Stays for a while, and leaves a sign.
STAND_IN = (
    "import pathlib, sys, time, os; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); time.sleep(float(sys.argv[2]))"
)


@pytest.fixture(autouse=True)
def four_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(beside, "default_workers", lambda: 16)
    monkeypatch.setattr(beside, "memory_left_bytes", lambda: 64 << 30)
    monkeypatch.setattr(beside, "_started", [])
    (tmp_path / "ran").mkdir()
    monkeypatch.setattr(beside, "_COMMAND", [sys.executable, "-c", STAND_IN, str(tmp_path / "ran"), "0.5"])
    compiled_code.cache_folder.cache_clear()
    yield
    compiled_code.cache_folder.cache_clear()
    beside.compile_beside.cache_clear()


def call_as_another_process() -> None:
    beside.compile_beside.cache_clear()
    beside.compile_beside()


def test_one_process_of_a_user_starts_them_as_long_as_they_are_at_it(tmp_path: Path) -> None:
    beside.compile_beside()
    beside.compile_beside()
    call_as_another_process()
    assert len(beside._started) == 4
    beside.await_compiled()
    assert {int(path.name) for path in (tmp_path / "ran").iterdir()} == {process.pid for process in beside._started}
    call_as_another_process()
    assert len(beside._started) == 8
    beside.await_compiled()


@pytest.mark.parametrize(
    ("cores", "gb", "started"), [(1, 64, 0), (2, 64, 1), (3, 64, 2), (16, 64, 4), (16, 4, 2), (16, 1, 0)]
)
def test_there_are_as_many_as_cores_and_memory_allow(
    cores: int, gb: int, started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_COMMAND", ["true"])
    monkeypatch.setattr(beside, "default_workers", lambda: cores)
    monkeypatch.setattr(beside, "memory_left_bytes", lambda: gb << 30)
    beside.compile_beside()
    assert len(beside._started) == started
    beside.await_compiled()


@pytest.mark.parametrize(("kept", "started"), [(18, 4), (19, 0)])
def test_none_is_started_where_most_is_compiled(kept: int, started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_COMMAND", ["true"])
    monkeypatch.setattr(beside, "kept_loops", lambda: kept)
    beside.compile_beside()
    assert len(beside._started) == started
    beside.await_compiled()


INTO_PACKAGE = """
import sys
from pathlib import Path
from unittest import mock
from cvtbatch import compiled_code
from cvtbatch.pipelines.shared import compile_ahead as ahead

carried = Path(sys.argv.pop())
for module in (compiled_code, ahead):
    module.CARRIED = carried
def compile_one():
    from cvtbatch.imaging.operators import round_into
    import numpy as np
    round_into(np.zeros((2, 2), np.int16), 0, 0, np.ones((2, 2), np.float32), 0, 1)
ahead.compile_ahead, ahead.compile_beside = compile_one, lambda: None
ahead.main()
"""


def test_code_is_kept_beside_the_package_where_that_is_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTO_PACKAGE, "--into-package", str(tmp_path / "carried")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    [kept] = (tmp_path / "carried").rglob("*.nbc")
    assert kept.name.startswith("operators._round_into")
    assert f": {tmp_path / 'carried'}" in done.stdout


def test_a_part_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(ahead, "_parts", lambda: [lambda part=part: taken.append(part) for part in range(3)])
    file = compiled_code.claim("part-1")
    assert file is not None
    ahead._compile_parts()
    ahead._compile_parts()
    assert taken == [0, 2]
    os.close(file)
