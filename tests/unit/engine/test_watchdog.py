"""The fallback without interpreter; the thread is tested on real workers, in `tests/distributed/test_submission.py`."""

import subprocess
import sys

PROGRAM = """
import ctypes, sys
from cvtbatch.engine import watchdog

watchdog.GRACE_SECONDS = 0.5
guard = watchdog.Watchdog()
with guard.limit(None, "", 1, 0.5):
    pass
ctypes.PyDLL(None).sleep(2)  # after the item's end, no clock runs
print("alive", flush=True)
with guard.limit(None, "", 2, 0.5):
    ctypes.PyDLL(None).sleep(int(sys.argv[1]))
print("done", flush=True)
"""


def test_native_code_that_locks_the_interpreter_is_ended() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, "100"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "alive\n", "")


def test_an_item_that_keeps_its_limit_is_not() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, "0"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "alive\ndone\n")
