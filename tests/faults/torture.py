"""Torture: faults drawn at random are done to runs over a 200-case archive; once complete, all must be as undisturbed.

    python -m tests.faults.torture --minutes M --seed S [--report FILE]

A trial extracts the archive into a new store, on worker processes of this machine or on hosts of their own. What is done to it is a
value, drawn from seed and number of the trial alone. A run that was killed or stopped is started again, as its user would. In the
end its tables must equal those of an undisturbed run, every volume must be whole, and nothing may be left behind.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from cvtbatch import __version__, contracts
from cvtbatch.store import FeatureStore
from tests.faults.remote import Remote
from tests.faults.runs import InTask, Runs, read_everything
from tests.hosts import network
from tests.support import ROOT, contents, extract_json, tiny_archive

CASES = 200
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
# One outline a case.
ONE_ROW_TABLES = ("cases", "volumes", "rois", "radiomics")
# A run that shows nothing for so long hangs, whatever was done to it.
HANGS_SECONDS = 400.0
ATTEMPTS = 12
DISK = "2g"

Ground = Literal["local", "hosts"]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        stops: the run may stop because of it, and is started again; else it must complete.
        seconds: how long it lasts, from and to; 0 where there is nothing to undo.
        grounds: where it can be done.
    """

    name: str
    stops: bool = False
    seconds: tuple[float, float] = (0.0, 0.0)
    grounds: tuple[Ground, ...] = ("local", "hosts")


KINDS = (
    Kind("worker killed"),
    Kind("worker stopped for a while", seconds=(1.0, 8.0)),
    Kind("worker stopped for long", seconds=(40.0, 60.0)),
    Kind("crash in a case"),
    Kind("case that takes all memory", grounds=("local",)),
    Kind("case that never ends"),
    Kind("case that locks the interpreter"),
    Kind("driver killed", stops=True),
    Kind("driver interrupted", stops=True),
    Kind("driver stopped for a while", seconds=(1.0, 5.0)),
    Kind("disk of the store full", stops=True, seconds=(1.0, 4.0)),
    Kind("scheduler killed", stops=True, grounds=("hosts",)),
    Kind("worker's network cut for a moment", seconds=(1.0, 6.0), grounds=("hosts",)),
    Kind("driver's network cut for a moment", stops=True, seconds=(1.0, 6.0), grounds=("hosts",)),
    Kind("worker's network cut for long", seconds=(15.0, 25.0), grounds=("hosts",)),
)
IN_CASES: dict[str, InTask] = {
    "crash in a case": "crash",
    "case that takes all memory": "eat",
    "case that never ends": "sleep",
    "case that locks the interpreter": "lock",
}


@dataclass(frozen=True)
class Fault:
    """What will be done.

    Attributes:
        share: of the cases that are done when its time has come; None for so long after the start of a run.
        after_s: that it waits then.
        victim: chooses among workers, or is the number of a case.
    """

    kind: Kind
    share: float | None
    after_s: float
    seconds: float
    victim: int

    def __str__(self) -> str:
        moment = "from the start" if self.share is None else f"at {self.share:.0%} of the cases"
        return f"{self.kind.name} {moment} + {self.after_s:.2f} s, for {self.seconds:.1f} s, victim {self.victim}"


@dataclass(frozen=True)
class Plan:
    """A trial: where, and what is done in turn."""

    number: int
    ground: Ground
    faults: tuple[Fault, ...]


def draw(seed: int, number: int) -> Plan:
    """Draw a trial: one half on hosts, two to six faults in the order of their moments."""
    dice = random.Random(f"{seed}-{number}")
    grounds: tuple[Ground, ...] = ("local", "hosts")
    ground = grounds[number % 2]
    kinds = [kind for kind in KINDS if ground in kind.grounds]
    faults = []
    for _ in range(dice.randint(2, 6)):
        kind = dice.choice(kinds)
        share = None if dice.random() < 0.15 else dice.random() * 0.95
        faults.append(Fault(kind, share, dice.uniform(0, 1.5), dice.uniform(*kind.seconds), dice.randrange(CASES)))
    return Plan(number, ground, tuple(sorted(faults, key=lambda fault: -1.0 if fault.share is None else fault.share)))


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
        elif self.done < fault.share * CASES:
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
        if code == 1 and "Error: " not in said and "Interrupted. " not in said:
            raise ViolationError(f"it stopped without a reason:\n{said}")
        if code not in {1, -signal.SIGKILL}:
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
        if read_everything(self.store) != 2 * (CASES - 1):
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


def report(options: argparse.Namespace, tally: Tally, minutes: float, verdict: str) -> str:
    """Return the report of a torture run, as Markdown."""
    recovery = {name: max(seconds) for name, seconds in tally.recovery_s.items()}
    longest = max(recovery.values(), default=0.0)
    lines = [
        f"- seed {options.seed}, {minutes:.1f} minutes, cvtbatch {__version__} at revision {revision()}",
        f"- {sum(tally.trials.values())} trials of {CASES} cases: {tally.trials['local']} on local worker processes, "
        f"{tally.trials['hosts']} on a scheduler and two workers, each on a host of its own",
        f"- {tally.runs} runs, {sum(tally.trials.values())} completions, {tally.resumptions} resumptions, "
        f"{sum(tally.faults.values())} faults",
        f"- longest recovery, from a fault to the next case done: {longest:.1f} s",
        f"- verdict: {verdict}",
        "",
        "| fault | times | longest recovery |",
        "|---|---|---|",
    ]
    for name, count in sorted(tally.faults.items()):
        lines.append(f"| {name} | {count} | {f'{recovery[name]:.1f} s' if name in recovery else ''} |")
    return "\n".join(lines) + "\n"


def revision() -> str:
    """Return what stands in the repository, as git names it."""
    named = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return named.stdout.strip() or "unknown"


def torture(options: argparse.Namespace, folder: Path) -> int:
    tally, verdict = Tally(), "nothing lost, nothing double, nothing left behind"
    tiny_archive(folder / "archive", CASES)
    (folder / "archive" / f"ct{int(UNREADABLE)}.nii.gz").write_bytes(b"a case that fails")
    extract_json(folder / "archive" / "manifest.csv", folder / "undisturbed", *SETTINGS, code=STANDING_FAILURES)
    undisturbed = contents(folder / "undisturbed")
    started = time.monotonic()
    until = started + options.minutes * 60
    number = 0
    while time.monotonic() < until and verdict.startswith("nothing"):
        plan = draw(options.seed, number)
        print(
            f"{time.monotonic() - started:5.0f} s: trial {number}, {plan.ground}, {len(plan.faults)} faults", flush=True
        )
        try:
            Trial(plan, folder / "archive", undisturbed, tally).run(folder / f"trial{number}", until)
        except (ViolationError, AssertionError) as violation:
            verdict = f"VIOLATED in trial {number}: {violation}"
            print(f"seed {options.seed}, trial {number}, on {plan.ground}:", *plan.faults, sep="\n  ")
        number += 1
    text = report(options, tally, (time.monotonic() - started) / 60, verdict)
    print(text)
    if options.report:
        options.report.write_text(text)
    return int(not verdict.startswith("nothing"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Do faults at random to runs, and see that nothing comes of it.")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("CVTBATCH_UID_KEY", "the key of the torture")
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        return torture(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
