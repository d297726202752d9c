"""Kernels compiled once a run of the whole suite: by processes beside those that collect, into a folder that all of it share.

A folder of the run leaves the user's own as it is, which a run of some files takes.
"""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.paths import ROOT

COMPILE_AHEAD = [sys.executable, "-m", "cvtbatch.pipelines.shared.compile_ahead"]
# In the run's folder: what was compiled ahead, and how many loops that were.
_AHEAD, _COUNTED = "ahead", "loops-of-a-case"


class KernelsOfRun:
    """A plugin of the process that hands out the tests, from before the others start until they have ended."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory(prefix="kernels-", ignore_cleanup_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = self.folder.name
        self.compiling = _start(Path(self.folder.name, _AHEAD))

    def pytest_xdist_node_collection_finished(self) -> None:
        """Hold back the tests until everything is compiled; where that fails, tests will say why."""
        with suppress(subprocess.TimeoutExpired):
            self.compiling.wait(timeout=600)
        folder = Path(self.folder.name)
        if not (folder / _COUNTED).exists():
            (folder / _COUNTED).write_text(str(_count(folder / _AHEAD)))
            # Whoever collects may have compiled some already.
            shutil.copytree(folder / _AHEAD, folder, dirs_exist_ok=True)

    def pytest_unconfigure(self) -> None:
        self.compiling.kill()
        self.compiling.wait()
        self.folder.cleanup()


def loops_of_a_case(empty: Path) -> int:
    """Return how many loops are kept in an empty folder once what a case takes is compiled: in that of the run, or in one given."""
    run = Path(os.environ.get("NUMBA_CACHE_DIR", empty), _COUNTED)
    if run.exists():
        return int(run.read_text())
    assert _start(empty).wait() == 0
    return _count(empty)


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    return subprocess.Popen(COMPILE_AHEAD, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)


def _count(folder: Path) -> int:
    return len(list(folder.rglob("*.nbc")))
