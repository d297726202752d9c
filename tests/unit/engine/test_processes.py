"""The folder that a process holds for what it writes aside."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cvtbatch.engine import processes
from cvtbatch.engine.cluster_file import LocalWorkers
from cvtbatch.engine.local import start_local
from cvtbatch.engine.processes import (
    REPEATED_SCRIPT,
    SCRATCH_LOCK,
    check_shared_memory,
    open_scratch,
    worker_environment,
)
from cvtbatch.errors import InputError, ResourceError


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


UNGUARDED = """
import multiprocessing
from pathlib import Path
from cvtbatch.engine.processes import leave_repeated_script, worker_environment

leave_repeated_script()
with worker_environment(Path("repeated")):
    worker = multiprocessing.get_context("spawn").Process(target=print, args=("at work",))
    worker.start()
    worker.join()
print(f"ended with {worker.exitcode}, told: {Path('repeated').exists()}")
"""


def test_a_worker_that_runs_its_users_script_again_ends_and_tells(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ended with 1, told: True\n", "")


def test_a_script_whose_workers_run_it_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        Path(os.environ[REPEATED_SCRIPT]).touch()
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("cvtbatch.engine.local.LocalCluster", fail)
    with pytest.raises(InputError, match="__main__") as raised, start_local(LocalWorkers(1), ()):
        pass
    assert raised.value.kind == "no_main_guard"
    assert REPEATED_SCRIPT not in os.environ


BESIDE_ODD_NAMES = """
import multiprocessing
from cvtbatch.engine.processes import leave_out_working_folder

if __name__ == "__main__":
    leave_out_working_folder()
    process = multiprocessing.get_context("spawn").Process(target=print, args=("at work",))
    process.start()
    process.join()
"""


def test_a_worker_imports_nothing_from_the_folder_that_it_is_started_in(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "odd"
    script.write_text(BESIDE_ODD_NAMES)
    folder.mkdir()
    for name in ("types.py", "random.py"):
        (folder / name).write_text("raise SystemExit('taken for the library')")
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("at work\n", "")


def test_workers_of_a_user_without_a_home_have_one_for_their_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = os.environ.get("HOME")
    with worker_environment(tmp_path / "repeated"):
        assert os.environ.get("HOME") == home
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with worker_environment(tmp_path / "repeated"):
        assert Path.home() == Path(os.devnull)
    assert "HOME" not in os.environ
