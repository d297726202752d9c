"""Kernels compiled once a run of the whole suite: by one process while the others collect, into a folder that all of it share.

A folder of the run leaves the user's own as it is, which a run of some files takes. Run as a module, this compiles what an
extraction takes.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.archives import tiny_archive
from tests.support.commands import extract_json
from tests.support.paths import ROOT


class KernelsOfRun:
    """A plugin of the process that hands out the tests, from before the others start until they have ended."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory(prefix="kernels-", ignore_cleanup_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = self.folder.name
        self.compiling = subprocess.Popen([sys.executable, "-m", "tests.support.kernels"], cwd=ROOT)

    def pytest_xdist_node_collection_finished(self) -> None:
        """Hold back the tests until everything is compiled; where that fails, tests will say why."""
        with suppress(subprocess.TimeoutExpired):
            self.compiling.wait(timeout=600)

    def pytest_unconfigure(self) -> None:
        self.compiling.kill()
        self.compiling.wait()
        self.folder.cleanup()


def main() -> None:
    with TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        tiny_archive(archive, 1)
        extract_json(archive / "manifest.csv", Path(folder) / "store", "--set", "volume.spacing_mm=[2,2,5]")


if __name__ == "__main__":
    main()
