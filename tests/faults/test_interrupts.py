"""Ctrl-C ends a run within five seconds, whatever its workers or its store do; a second one at once. What is done stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import extract_json

CASES = 4
HUNG_UP = """
import os, signal, sys, time
from cvtbatch.cli.interrupts import exit_code, watch_interrupts

if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
watch_interrupts()
for _ in range(1 + (sys.argv[1] == "by a shell too")):
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.2)
    except KeyboardInterrupt:
        pass
time.sleep(0.2)
print(exit_code())
"""
# The end takes less than five seconds, and a second signal's none, on a machine that is free; tests share theirs. What hangs here
# hangs for ever.
SOON_SECONDS = 20.0
# A deadlock in native code: no signal wakes it, and Python's own handlers wait for it.
HANGING_STORE = """
import ctypes
from cvtbatch.cli import main
from cvtbatch.pipelines.extraction.row_batch import RowBatch

def hang(self):
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    print("hangs", flush=True)
    libc.pthread_mutex_lock(mutex)

RowBatch.commit = hang
main()
"""


# What C code of a library does that runs a text of Python, as some do when they are loaded.
IN_A_TEXT = """
import ctypes, os, signal, sys, threading
import cvtbatch.cli

def interrupted(**_):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    run = ctypes.pythonapi.PyRun_StringFlags
    run.restype = ctypes.py_object
    run.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.py_object, ctypes.py_object, ctypes.c_void_p]
    file_input = 257
    run(b"import time\\nfor _ in range(100): time.sleep(0.1)", file_input, {}, {}, None)

cvtbatch.cli.cli.commands["status"].callback = interrupted
cvtbatch.cli.main()
"""


# A child that ends and an alarm are signals too, and handlers of other libraries take them.
OTHER_SIGNALS = """
import os, signal, sys, time
from cvtbatch.cli import interrupts

interrupts.STOP_SECONDS = 0.1
interrupts.watch_interrupts()
for number in (signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1):
    signal.signal(number, lambda *_: None)
    os.kill(os.getpid(), number)
time.sleep(1)
print("goes on")
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a manifest; reading its last case never ends."""
    folder = tmp_path / "archive"
    rows = tiny_archive(folder, CASES)
    os.mkfifo(folder / "never.nii.gz")
    return write_rows(folder / "manifest.csv", [*rows, {**rows[0], "case_id": "never", "image": "never.nii.gz"}])


@contextmanager
def started(manifest: Path, store: Path, program: tuple[str, ...], workers: int) -> Iterator[subprocess.Popen[str]]:
    command = [*(sys.executable, *program), "extract", str(manifest), "--store", str(store), "--workers", str(workers)]
    environment = {**os.environ, "TMPDIR": str(manifest.parent)}
    options = ["--set", "embedding.weights=none"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as driver:
        try:
            yield driver
        finally:
            driver.kill()


def until(condition: Callable[[], bool], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.02)


def end(driver: subprocess.Popen[str], number: signal.Signals, word: str = "Interrupted. What was") -> float:
    """Send a signal, and return how many seconds the end took; it must be orderly, with its word the last, and leave no process."""
    processes = psutil.Process(driver.pid).children(recursive=True)
    started_at = time.monotonic()
    driver.send_signal(number)
    _, stderr = driver.communicate(timeout=60)
    seconds = time.monotonic() - started_at
    assert driver.returncode == 128 + number
    assert stderr.endswith("the same command continues.\n")
    assert stderr.splitlines()[-1].startswith(word)
    assert "Traceback" not in stderr
    until(lambda: not any(process.is_running() for process in processes), 10)
    return seconds


def end_never(manifest: Path) -> None:
    """Have the file that cannot be read to its end be one that is damaged."""
    (manifest.parent / "never.nii.gz").unlink()
    (manifest.parent / "never.nii.gz").write_bytes(b"damaged")


def masks_in(store: Path) -> int:
    return sum(1 for _ in (store / "masks").glob("*/*"))


def test_an_interrupt_with_busy_workers_ends_soon_and_commits(archive: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with started(archive, store, ("-m", "cvtbatch"), 2) as driver:
        until(lambda: masks_in(store) == CASES)
        time.sleep(1.0)  # the last result travels
        assert end(driver, signal.SIGINT) < SOON_SECONDS
    assert FeatureStore(str(store)).radiomics(columns=["roi_key"]).num_rows == CASES
    assert list(archive.parent.glob("cvtbatch-*")) == [], "scratch is left behind"


def test_a_second_interrupt_leaves_at_once_and_the_store_is_whole(archive: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with started(archive, store, ("-c", HANGING_STORE), 2) as driver:
        assert driver.stdout is not None
        until(lambda: masks_in(store) == CASES)
        driver.send_signal(signal.SIGINT)
        assert driver.stdout.readline() == "hangs\n"
        assert end(driver, signal.SIGINT, "Left at once. ") < SOON_SECONDS
    end_never(archive)
    document = extract_json(archive, store, code=3)
    assert (document["computed"], document["failed"]) == (CASES, 1)


def test_a_store_that_hangs_does_not_hold_up_the_end(archive: Path, tmp_path: Path) -> None:
    end_never(archive)
    with started(archive, tmp_path / "store", ("-c", HANGING_STORE), 0) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "hangs\n"
        assert end(driver, signal.SIGTERM, "Interrupted. It did not end by itself within") < SOON_SECONDS


def test_an_interrupt_inside_a_library_has_the_same_exit_code(tmp_path: Path) -> None:
    (tmp_path / "in_a_text.py").write_text(IN_A_TEXT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "in_a_text", "status", "--store", "store"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.returncode, done.stderr) == (
        130,
        "\nInterrupted. What was committed is safe; the same command continues.\n",
    )


def test_signals_that_no_user_sent_end_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OTHER_SIGNALS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "goes on\n"), ended.stderr


@pytest.mark.parametrize(("how", "code"), [("plainly", 129), ("by a shell too", 129), ("nohup", 0)])
def test_a_terminal_that_is_closed_asks_for_an_end_unless_told_otherwise(how: str, code: int) -> None:
    command = [sys.executable, "-c", HUNG_UP, how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, f"{code}\n"), ended.stderr
