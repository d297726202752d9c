"""Variables of the environment that libraries refuse are told as what they are: settings of the user's."""

import os
import subprocess
import sys

import pytest


def _status(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cvtbatch", "status", "--store", "none"]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUMBA_NUM_THREADS", "0"),
        ("NUMBA_NUM_THREADS", "many"),
        ("NUMBA_DISABLE_JIT", "1"),
        ("TOKIO_WORKER_THREADS", "0"),
        ("TOKIO_WORKER_THREADS", ""),
    ],
)
def test_a_variable_that_a_library_refuses_is_named_with_its_value(name: str, value: str) -> None:
    ended = _status(**{name: value})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: environment variable {name} is {value!r}: it has to be ")


def test_a_variable_that_its_library_takes_stops_no_command() -> None:
    ended = _status(NUMBA_NUM_THREADS="2", NUMBA_DISABLE_JIT="0", TOKIO_WORKER_THREADS="2")
    assert ended.stderr.startswith("Error: there is no store at ")
