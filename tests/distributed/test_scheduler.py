"""Extraction on a scheduler and a worker that somebody else started."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archives import tiny_archive
from tests.support.commands import cvtbatch, extract_json
from tests.support.paths import FEATURE_SET
from tests.support.ports import free_port
from tests.support.store_contents import contents


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    commands = [
        [
            sys.executable,
            "-m",
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--no-dashboard",
        ],
        [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            address,
            "--host",
            "127.0.0.1",
            "--nthreads",
            "1",
            "--no-dashboard",
        ],
    ]
    processes = []
    for command in commands:
        processes.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(1)
    yield address
    for process in reversed(processes):
        process.terminate()
        process.wait(30)


def test_a_scheduler_that_exists_gives_what_inline_gives(scheduler: str, tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 3)
    manifest = tmp_path / "archive" / "manifest.csv"
    # A relative path, as people write it; the workers run in another folder.
    store = os.path.relpath(tmp_path / "store")
    result = cvtbatch("extract", manifest, "--store", store, "--scheduler", scheduler, "--params", FEATURE_SET)
    assert result.returncode == 0, result.stderr
    extract_json(manifest, tmp_path / "inline", "--params", FEATURE_SET)
    assert len(contents(tmp_path / "store")["features_feature_set"]) == 3
    assert contents(tmp_path / "store") == contents(tmp_path / "inline")
