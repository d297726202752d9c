"""Kernels compiled once a run of the whole suite: by processes beside those that collect, into a folder that all of it share.

A folder of the run leaves the user's own as it is, which a run of some files takes.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.paths import ROOT

COMPILE_AHEAD = [sys.executable, "-m", "cvtbatch.pipelines.shared.compile_ahead"]
# Of the run's folder, before tests compile more.
_COUNTED = "loops-of-a-case"


class KernelsOfRun:
    """A plugin of the process that hands out the tests, from before the others start until they have ended."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory(prefix="kernels-", ignore_cleanup_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = self.folder.name
        self.compiling = subprocess.Popen(COMPILE_AHEAD, cwd=ROOT, stdout=subprocess.DEVNULL)

    def pytest_xdist_node_collection_finished(self) -> None:
        """Hold back the tests until everything is compiled; where that fails, tests will say why."""
        with suppress(subprocess.TimeoutExpired):
            self.compiling.wait(timeout=600)
        counted = Path(self.folder.name, _COUNTED)
        if not counted.exists():
            counted.write_text(str(_count(counted.parent)))

    def pytest_unconfigure(self) -> None:
        self.compiling.kill()
        self.compiling.wait()
        self.folder.cleanup()


def loops_of_a_case(empty: Path) -> int:
    """Return how many loops are kept in a folder once what a case takes is compiled: the run's, or by itself an empty one."""
    run = Path(os.environ.get("NUMBA_CACHE_DIR", empty), _COUNTED)
    if run.exists():
        return int(run.read_text())
    environment = os.environ | {"NUMBA_CACHE_DIR": str(empty)}
    subprocess.run(COMPILE_AHEAD, cwd=ROOT, stdout=subprocess.DEVNULL, check=True, env=environment)
    return _count(empty)


def _count(folder: Path) -> int:
    return len(list(folder.rglob("*.nbc")))
