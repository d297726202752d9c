"""Torture: faults drawn at random are done to runs over an archive of 200 cases; once complete, all must be as undisturbed.

    python -m tests.faults.torture (--minutes M | --trials N) --seed S [--cases N] [--report FILE]

A trial extracts the archive into a new store, on worker processes of this machine or on hosts of their own. What is done to it is a
value, drawn from seed and number of the trial alone. A run that was killed or stopped is started again, as its user would. In the
end its tables must equal those of an undisturbed run, every volume must be whole, and nothing may be left behind.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cvtbatch import __version__
from tests.faults.plans import draw
from tests.faults.trial import SETTINGS, STANDING_FAILURES, UNREADABLE, Tally, Trial, ViolationError
from tests.support.archives import tiny_archive
from tests.support.commands import extract_json
from tests.support.paths import ROOT
from tests.support.store_contents import contents


def report(options: argparse.Namespace, tally: Tally, minutes: float, verdict: str) -> str:
    """Return the report of a torture run, as Markdown."""
    recovery = {name: max(seconds) for name, seconds in tally.recovery_s.items()}
    longest = max(recovery.values(), default=0.0)
    lines = [
        f"- seed {options.seed}, {minutes:.1f} minutes, cvtbatch {__version__} at revision {revision()}",
        f"- {sum(tally.trials.values())} trials of {options.cases} cases: {tally.trials['local']} on local worker processes, "
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
    tiny_archive(folder / "archive", options.cases)
    (folder / "archive" / f"ct{int(UNREADABLE)}.nii.gz").write_bytes(b"a case that fails")
    extract_json(folder / "archive" / "manifest.csv", folder / "undisturbed", *SETTINGS, code=STANDING_FAILURES)
    undisturbed = contents(folder / "undisturbed")
    started = time.monotonic()
    until = started + options.minutes * 60
    number = 0
    while number < options.trials and time.monotonic() < until and verdict.startswith("nothing"):
        plan = draw(options.seed, number, options.cases)
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
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, default=math.inf)
    length.add_argument("--trials", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("CVTBATCH_UID_KEY", "the key of the torture")
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        return torture(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
