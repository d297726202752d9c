"""A trial of a torture run: an archive is extracted while faults are done to it, until it is complete and as undisturbed."""

import json
import os
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cvtbatch import contracts
from cvtbatch.store import FeatureStore
from tests.faults.plans import IN_CASES, Fault, Ground, Plan
from tests.faults.remote import Remote
from tests.faults.runs import Runs, read_everything
from tests.support.hosts import network
from tests.support.store_contents import contents

UNREADABLE = "005"
# What a case may take; a worker that is stopped for long costs its own case more.
LIMIT_SECONDS = 50
# Coarse volumes, so that a complete pass takes seconds; commits of few cases, so that faults fall between and inside them.
SETTINGS = (
    "--set",
    "volume.spacing_mm=[2,2,5]",
    "--set",
    "run.commit_cases=25",
    "--set",
    "run.commit_seconds=5",
    "--set",
    f"run.time_limit_s={LIMIT_SECONDS}",
)
STANDING_FAILURES = 3
# What a run that stops begins its reason with; the last where an end in order took too long.
REASONS = ("Error: ", "Interrupted. ", "Left at once. ")
# One outline a case.
ONE_ROW_TABLES = ("cases", "volumes", "rois", "radiomics")
# A run that shows nothing for so long hangs, whatever was done to it.
HANGS_SECONDS = 400.0
ATTEMPTS = 12
DISK = "2g"


class ViolationError(Exception):
    """Something that must not be."""


@dataclass
class Tally:
    """What happened.

    Attributes:
        recovery_s: by kind of fault, the seconds from each to the next case done, restarts of the run included.
    """

    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    runs: int = 0
    resumptions: int = 0
    trials: Counter[Ground] = field(default_factory=Counter)


class Trial:
    """One store, one plan, and as many runs as it takes."""

    def __init__(
        self, plan: Plan, archive: Path, undisturbed: dict[str, list[dict[str, object]]], tally: Tally
    ) -> None:
        self.plan, self.archive, self.undisturbed, self.tally = plan, archive, undisturbed, tally
        self.waiting = list(plan.faults)
        self.undoing: list[tuple[float, Callable[[], None]]] = []
        self.unrecovered: list[tuple[str, float]] = []
        self.may_stop = False
        self.done = 0

    def run(self, folder: Path, until: float) -> None:
        """Run to the end; from a moment on, nothing more is done to it.

        Raises:
            ViolationError: something that must not be.
        """
        with ExitStack() as stack:
            self.store = stack.enter_context(disk(folder)) / "store"
            self.runs = Runs(folder)
            stack.callback(self.runs.close)
            self.local = folder / "cluster.yaml"
            self.local.write_text("kind: local\nworkers: 2\nmemory_gb: 1.5\n")
            self.remote = Remote(self.runs, stack.enter_context(network(4))) if self.plan.ground == "hosts" else None
            for fault in [fault for fault in self.waiting if fault.kind.name in IN_CASES]:
                self.runs.order(f"{fault.victim:03d}", IN_CASES[fault.kind.name], once=True)
                self.tally.faults[fault.kind.name] += 1
                self.waiting.remove(fault)
            for attempt in range(ATTEMPTS):
                if self._attempt(until, again=attempt > 0):
                    break
            else:
                raise ViolationError(f"not complete after {ATTEMPTS} runs")
            self._check()
            if self.remote:
                self.remote.stop()
            self._run_once_more()
            if left := self.runs.left():
                raise ViolationError(f"left behind: {left}")
        self.tally.trials[self.plan.ground] += 1

    def _attempt(self, until: float, again: bool) -> bool:
        """Run once; say whether everything is done."""
        self.tally.runs += 1
        self.tally.resumptions += again
        self.may_stop = False
        where = ("--cluster", self.local) if self.remote is None else self.remote.arguments
        host = None if self.remote is None else self.remote.driver_host
        # Innocent cases may have been near too many deaths.
        retry = ("--retry-failed",) if again else ()
        arguments = ("extract", self.archive / "manifest.csv", "--store", self.store, *where, *SETTINGS, *retry)
        self.driver = self.runs.cvtbatch(*arguments, host=host)
        started = moved = time.monotonic()
        seen = self._shows()
        while not self.driver.ended:
            now = time.monotonic()
            self._look(now)
            if (shown := self._shows()) != seen:
                moved, seen = now, shown
            if now - moved > HANGS_SECONDS:
                raise ViolationError(f"the run hangs for {HANGS_SECONDS:.0f} s\n{self.driver.stderr}")
            if now < until:
                self._do_what_is_due(started)
            if self.remote:
                self.remote.supervise()
            time.sleep(0.1)
        self._look(time.monotonic())
        self._undo(everything=True)
        return self._judge(self.driver.end())

    def _look(self, now: float) -> None:
        """Undo what is over; see whether cases have been done since the last look."""
        self._undo()
        before, self.done = self.done, sum(1 for _ in (self.store / "masks").glob("*/*"))
        if self.done > before:
            for name, since in self.unrecovered:
                self.tally.recovery_s[name].append(now - since)
            self.unrecovered.clear()

    def _shows(self) -> tuple[int, ...]:
        """Return what changes while a run goes on: outlines and table files that it writes, and the length of what it says."""
        files = sum(1 for _ in (self.store / "tables").glob("*/*.parquet"))
        return self.done, files, self.driver.stderr_path.stat().st_size

    def _undo(self, everything: bool = False) -> None:
        for entry in list(self.undoing):
            if everything or time.monotonic() >= entry[0]:
                self.undoing.remove(entry)
                entry[1]()

    def _do_what_is_due(self, started: float) -> None:
        if not self.waiting:
            return
        fault = self.waiting[0]
        if fault.share is None:
            if time.monotonic() - started < fault.after_s:
                return
        elif self.done < fault.share * self.plan.cases:
            return
        else:
            time.sleep(fault.after_s)
        self.waiting.pop(0)
        if self._do(fault):
            now = time.monotonic()
            self.may_stop |= fault.kind.stops
            self.tally.faults[fault.kind.name] += 1
            self.unrecovered.append((fault.kind.name, now))

    def _do(self, fault: Fault) -> bool:
        """Do it; say whether there was anything to do it to."""
        name, remote = fault.kind.name, self.remote
        undo: Callable[[], None] | None = None
        if name.startswith("driver "):
            number = {"killed": signal.SIGKILL, "interrupted": signal.SIGINT}.get(name.split()[1], signal.SIGSTOP)
            self.driver.signal(number)
            undo = (lambda: self.driver.signal(signal.SIGCONT)) if number == signal.SIGSTOP else None
        elif name == "disk of the store full":
            fill(self.store.parent)
            undo = lambda: resize(self.store.parent, DISK)  # noqa: E731
        elif name == "scheduler killed":
            remote.scheduler.signal(signal.SIGKILL)
        elif "network" in name:
            hosts = remote.worker_hosts if name.startswith("worker") else [remote.driver_host]
            host = hosts[fault.victim % len(hosts)]
            remote.network.cut(host)
            undo = lambda: remote.network.mend(host)  # noqa: E731
        else:
            workers = (
                self.runs.workers() if remote is None else [psutil.Process(run.process.pid) for run in remote.workers]
            )
            if not workers:
                return False
            victim = workers[fault.victim % len(workers)]
            with suppress(psutil.NoSuchProcess):
                if name == "worker killed":
                    victim.kill()
                else:
                    victim.suspend()
                    undo = lambda: resume(victim)  # noqa: E731
        if undo is not None:
            self.undoing.append((time.monotonic() + fault.seconds, undo))
        return True

    def _judge(self, code: int) -> bool:
        """Say whether a run completed; one that did not must say why, and must have had a reason."""
        said = self.driver.stderr
        if "Traceback" in said or "defect" in said:
            raise ViolationError(f"a traceback or defect:\n{said}")
        if code == STANDING_FAILURES:
            return self._only_the_unreadable_failed()
        if not self.may_stop:
            raise ViolationError(f"exit code {code}, though nothing was done that may stop a run:\n{said}")
        # An interrupt that meets a process on its way out, its reason said and its handlers gone, ends it by the signal.
        stopped = {1, 128 + signal.SIGINT, -signal.SIGINT}
        if code in stopped and not any(reason in said for reason in REASONS):
            raise ViolationError(f"it stopped without a reason:\n{said}")
        if code not in {*stopped, -signal.SIGKILL}:
            raise ViolationError(f"exit code {code}:\n{said}")
        return False

    def _only_the_unreadable_failed(self) -> bool:
        failures = FeatureStore(str(self.store)).failures().to_pylist()
        others = {row["kind"] for row in failures if not str(row["case_key"]).endswith(UNREADABLE)}
        if others - {"worker_killed", "time_limit"}:
            raise ViolationError(f"failures of other kinds: {others}")
        return not others

    def _check(self) -> None:
        found = contents(self.store)
        for name, rows in self.undisturbed.items():
            if found[name] != rows:
                raise ViolationError(f"table {name} differs: {len(found[name])} rows, undisturbed {len(rows)}")
        opened = FeatureStore(str(self.store))
        for name in ONE_ROW_TABLES:
            keys = Counter(
                tuple(row.values()) for row in opened.table(name).read(list(contracts.table(name).key)).to_pylist()
            )
            if doubled := [key for key, count in keys.items() if count > 1]:
                raise ViolationError(f"table {name} holds {len(doubled)} keys more than once: {doubled[:3]}")
        if read_everything(self.store) != 2 * (self.plan.cases - 1):
            raise ViolationError("volumes or masks are missing")

    def _run_once_more(self) -> None:
        """Nothing is left to compute; and of processes that were killed, the next one on a machine removes what they left."""
        manifest = self.archive / "manifest.csv"
        run = self.runs.cvtbatch("extract", manifest, "--store", self.store, "--workers", 1, *SETTINGS, "--json")
        if run.end() != STANDING_FAILURES or json.loads(run.stdout)["computed"]:
            raise ViolationError(f"a run after the last one had work:\n{run.stdout}\n{run.stderr}")


def resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """Hold a file system of its own."""
    place = folder / "disk"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def resize(place: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True, capture_output=True)


def fill(place: Path) -> None:
    """Leave no room on a file system; what is being written meanwhile may just fit."""
    for _ in range(20):
        status = os.statvfs(place)
        with suppress(subprocess.CalledProcessError):
            resize(place, f"{(status.f_blocks - status.f_bfree) * status.f_frsize // 1024 + 4}k")
            return
    raise ViolationError("the disk could not be filled")
