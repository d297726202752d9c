"""Runs that faults are done to: processes are started for real, found again by a mark, and looked after for what they leave."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from cvtbatch.engine.processes import open_scratch
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.commands import without_embeddings
from tests.support.hosts import Host

# In the environment of every process of a run, however deep: who carries it is found although its parent is gone.
MARK = "CVTBATCH_TEST_RUN"
IN_TASKS = Path(__file__).parent / "in_tasks"
LISTENING = "0A"
# How long processes may take to start work, and then, told to end, to end: on a machine that does much else.
STARTS_SECONDS = 300.0
ENDS_SECONDS = 30.0
InTask = Literal["crash", "sleep", "lock", "eat", "pause"]


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Say whether a condition came true in this time; most of it is left to those who work."""
    end = time.monotonic() + seconds
    while (asked := time.monotonic()) < end:
        if condition():
            return True
        time.sleep(min(max(0.05, 9 * (time.monotonic() - asked)), 1.0))
    return False


@dataclass(frozen=True)
class Run:
    """A process that was started, and what it says."""

    process: subprocess.Popen[bytes]
    stdout_path: Path
    stderr_path: Path

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = STARTS_SECONDS) -> int:
        """Wait for the end and return the exit code; the texts of one that does not end are in the error."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {seconds} s\n{self.stdout}\n{self.stderr}") from None


class Runs:
    """The processes of a test: all carry its mark, and their temporary files lie in a folder of their own.

    Attributes:
        scratch: the TMPDIR of all processes; empty before and after.
        orders: what tasks are told to do wrong, a file a case.
        pause_s: how long a case pauses for which that is ordered; of processes that start later.
    """

    pause_s = 1.2

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = folder / f"runs-{self.mark[:8]}"
        self.scratch, self.orders = self.folder / "scratch", self.folder / "orders"
        for made in (self.scratch, self.orders):
            made.mkdir(parents=True)
        self.started: list[Run] = []
        self.sockets: set[str] = set()

    def start(
        self,
        *command: object,
        host: Host | None = None,
        environment: Mapping[str, str] | None = None,
        session: bool = False,
    ) -> Run:
        """Start a process.

        Args:
            host: where; None is here.
            environment: added to this process's own.
            session: a terminal's: whoever it starts gets its signals too.
        """
        words = [str(word) for word in command]
        paths = [self.folder / f"{len(self.started)}.{name}" for name in ("out", "err")]
        with paths[0].open("wb") as out, paths[1].open("wb") as err:
            process = subprocess.Popen(
                host.command(*words) if host else words,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                start_new_session=session,
                env={**os.environ, MARK: self.mark, "TMPDIR": str(self.scratch), **(environment or {})},
            )
        run = Run(process, *paths)
        self.started.append(run)
        return run

    def cvtbatch(
        self,
        *arguments: object,
        host: Host | None = None,
        environment: Mapping[str, str] | None = None,
        session: bool = False,
    ) -> Run:
        """Start a command of the command line; `extract` without embeddings, unless they are asked for.

        Its tasks do what `order` says.
        """
        environment = {**self.in_tasks, **(environment or {})}
        words = without_embeddings([str(argument) for argument in arguments])
        return self.start(sys.executable, "-m", "cvtbatch", *words, host=host, environment=environment, session=session)

    @property
    def in_tasks(self) -> dict[str, str]:
        """The environment of workers whose tasks do what `order` says."""
        return {
            "PYTHONPATH": str(IN_TASKS),
            "CVTBATCH_TEST_FAULTS": str(self.orders),
            "CVTBATCH_TEST_PAUSE_S": str(self.pause_s),
        }

    def order(self, case_id: str, fault: InTask, *, once: bool = False) -> None:
        """Have a fault happen when a worker reads a case, or all those without an order of their own: `all`."""
        aside = self.folder / "order"
        aside.write_text(f"{fault} once" if once else fault)
        aside.rename(self.orders / case_id)

    def paused(self) -> list[int]:
        """Return the processes that took the cases for which a pause was ordered, in turn."""
        log = self.orders / "paused"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def processes(self) -> list[psutil.Process]:
        """Return every process that carries the mark, and remember its sockets."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        for process in found:
            self.sockets |= _sockets_of(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """Return the processes in which tasks run, oldest first."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(process.cmdline()):
                    found.append((process.create_time(), process.pid, process))
        return [process for *_, process in sorted(found)]

    def left(self, seconds: float = ENDS_SECONDS) -> list[str]:
        """Return what is left behind, after some time to end: processes, sockets that listen, temporary files."""
        wait_for(lambda: not self.processes(), seconds)
        if any("did not end by itself" in run.stderr for run in self.started):
            # On a busy machine; what such a process leaves, as one that was killed, the next one removes.
            with open_scratch(self.scratch):
                pass
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                found.append(f"process {process.pid}: {' '.join(process.cmdline())}")
        found += [f"socket {socket}" for socket in sorted(self.sockets & _listening())]
        found += [f"file {path.relative_to(self.scratch)}" for path in sorted(self.scratch.iterdir())]
        return found

    def close(self) -> None:
        """Kill whatever still runs."""
        while alive := self.processes():
            for process in alive:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(alive, timeout=5)
        for run in self.started:
            run.process.wait(ENDS_SECONDS)


def _sockets_of(process: psutil.Process) -> set[str]:
    """Return the numbers of a process's sockets."""
    found = set()
    with suppress(OSError):
        for path in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                kind, _, number = os.readlink(path).partition(":")  # noqa: PTH115  no path, and none that exists
                if kind == "socket":
                    found.add(number.strip("[]"))
    return found


def _listening() -> set[str]:
    """Return the numbers of this host's TCP sockets that listen."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == LISTENING}


def batches_in(store: Path) -> int:
    """Return how many batches a run has written for a store in a folder."""
    return sum(1 for _ in (store / "tables" / "radiomics").glob("*.parquet"))


def cases_done(store: Path) -> int:
    """Return how many cases of one outline have their features in a store, which may not be there yet."""
    if not (store / "cvtbatch-store.json").exists():
        return 0
    return FeatureStore(str(store)).radiomics(columns=["roi_key"]).num_rows


def read_everything(store: Path | str) -> int:
    """Read every volume and mask that a store names; their checksums are compared. Returns how many there are."""
    opened = FeatureStore(str(store))
    rows = [row for name in ("volumes", "rois") for row in opened.table(name).current().to_pylist()]
    for row in rows:
        opened.read_array(StoredArray(row["path"], row["checksum"]))
    return len(rows)
