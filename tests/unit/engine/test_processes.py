"""The folder that a process holds for what it writes aside."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cvtbatch.engine import processes
from cvtbatch.engine.processes import SCRATCH_LOCK, check_shared_memory, open_scratch
from cvtbatch.errors import ResourceError


def test_a_folder_is_private_and_goes_with_its_process(tmp_path: Path) -> None:
    with open_scratch(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with open_scratch(tmp_path) as other:
            assert folder.is_dir()
            assert other != folder
    assert list(tmp_path.iterdir()) == []


def test_scratch_of_a_killed_driver_is_removed_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, foreign = tmp_path / "cvtbatch-killed", tmp_path / "cvtbatch-notes"
    for folder in (killed, foreign):
        (folder / "spilt").mkdir(parents=True)
    (killed / SCRATCH_LOCK).touch()
    with open_scratch() as first:
        assert sorted(tmp_path.iterdir()) == sorted([first, foreign])
        (first / "spilt").touch()
        with open_scratch() as second:
            assert (first / "spilt").exists()
            assert sorted(tmp_path.iterdir()) == sorted([first, second, foreign])
    assert list(tmp_path.iterdir()) == [foreign]


def test_a_folder_that_is_just_made_is_not_taken_for_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process starts between the making of the folder and its lock."""
    lock = fcntl.flock

    def lock_late(file: object, how: int) -> None:
        monkeypatch.undo()
        with open_scratch(tmp_path):
            pass
        lock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(processes.fcntl, "flock", lock_late)
    with open_scratch(tmp_path) as folder:
        assert folder.is_dir()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="TMPDIR"), open_scratch(tmp_path / "absent"):
        pass


def test_a_machine_without_shared_memory_is_said() -> None:
    """In a mount namespace of its own, /dev/shm cannot be written."""
    check_shared_memory()
    code = (
        "from cvtbatch.engine.processes import check_shared_memory\n"
        "from cvtbatch.errors import ResourceError\n"
        "try: check_shared_memory()\n"
        "except ResourceError as error: print(error.kind, error.message)\n"
    )
    script = 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$0" "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if run.returncode != 0 and os.geteuid() != 0:
        pytest.skip("needs the right to mount a file system (root)")
    assert run.stdout.startswith("no_shared_memory worker processes need shared memory (/dev/shm)"), run.stderr
    assert "--workers 0" in run.stdout
