"""Faults inside a task: with this folder in PYTHONPATH, a process that reads a case does what a file named like it asks for.

The files lie in the folder that CVTBATCH_TEST_FAULTS names. One that ends in " once" is removed before its fault is done.
"""

import ctypes
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

TARGET = "cvtbatch.pipelines.extraction.case_worker"
STEP_BYTES = 32 * 2**20
# Where nobody stops it before: the machine is other people's too.
MOST_BYTES = 4 * 2**30


def crash() -> None:
    ctypes.string_at(0)


def sleep() -> NoReturn:
    while True:
        time.sleep(60)


def lock() -> None:
    """Hang in native code that does not give up the interpreter."""
    ctypes.PyDLL(None).sleep(3600)


def eat() -> None:
    eaten = []
    while len(eaten) * STEP_BYTES < MOST_BYTES:
        # Written to: memory that is only asked for costs nothing.
        eaten.append(b"x" * STEP_BYTES)
        time.sleep(0.01)


def pause() -> None:
    """Make a case slow, and say which process took it."""
    with Path(os.environ["CVTBATCH_TEST_FAULTS"], "paused").open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(float(os.environ["CVTBATCH_TEST_PAUSE_S"]))


FAULTS: dict[str, Callable[[], None]] = {
    "crash": crash,
    "sleep": sleep,
    "lock": lock,
    "eat": eat,
    "pause": pause,
}


def do_fault(case_id: str) -> None:
    folder = Path(os.environ["CVTBATCH_TEST_FAULTS"])
    path = folder / case_id if (folder / case_id).exists() else folder / "all"
    try:
        fault, _, often = path.read_text().partition(" ")
    except FileNotFoundError:
        return
    if often == "once":
        path.unlink()
    FAULTS[fault]()


def patch(module: ModuleType) -> None:
    read_volume = module.read_volume

    def read_volume_or_fail(case, *arguments):
        do_fault(case.case_id)
        return read_volume(case, *arguments)

    module.read_volume = read_volume_or_fail


class Patcher(MetaPathFinder):
    """Patches the module as it is imported; to import it here would cost every process its seconds."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            patch(module)

        spec.loader.exec_module = execute_and_patch
        return spec


if "CVTBATCH_TEST_FAULTS" in os.environ:
    sys.meta_path.insert(0, Patcher())
