"""How changed bundles end: `python -m tests.faults.bundle_trial [--count 2000]`.

So many of `tests.support.bundle_mutations` are loaded in children of limited memory, each with a limit of time, and rows are scored
with what loads; anything but a refusal of ours or equal scores is shown and ends with code 1.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle, write_bundle
from cvtbatch.dlrn.bundle_files import GOLDEN, SELECTION
from cvtbatch.errors import CvtbatchError
from tests.support.bundle_mutations import files_of, mutant
from tests.support.paths import ROOT

COMPAT = ROOT / "tests" / "compat"
MORE_BYTES = 1 << 30
SECONDS = 20
MOST_SAID = 5000


def originals(folder: Path) -> dict[str, Path]:
    """Return bundles of the former formats, and what this revision writes of the same models."""
    found = {name: COMPAT / name for name in ("bundle-1", "bundle-2", "bundle-2-recalibrated")}
    for name in ("bundle-2", "bundle-3", "bundle-3-recalibrated"):
        bundle = load_bundle(COMPAT / name)
        document = {
            key: value for key, value in bundle.document.items() if key not in ("format", "format_version", "files")
        }
        tables = [pq.read_table(COMPAT / name / file) for file in (GOLDEN, SELECTION)]
        write_bundle(folder / name, document, bundle.model, *tables, bundle.out_of_fold, bundle.moments)
        found[f"{name}, written anew"] = folder / name
    return found


def other_rows(bundle: Bundle) -> pa.Table:
    """Return rows that are not among the golden ones, usual and unusual."""
    rng = np.random.default_rng(5)
    model, count = bundle.model, 300
    values = rng.standard_normal((count, len(model.radiomics))) * rng.choice([1, 1, 3, 1e9], (count, 1))
    values = model.mean[: len(model.radiomics)] + values * model.scale[: len(model.radiomics)]
    values[::17, 0], values[1::29, -1], values[2::31, 1] = np.nan, np.inf, -1e308
    embedding = (3 + 3 * rng.standard_normal((count, len(model.loadings)))).astype(np.float32)
    columns: dict[str, Any] = {name: values[:, place] for place, name in enumerate(model.radiomics)}
    columns["embedding"] = pa.array(
        [None if row % 13 == 0 else list(embedding[row]) for row in range(count)], pa.list_(pa.float32())
    )
    columns["epilepsy"] = pa.array([(0, 1, None)[row % 3] for row in range(count)])
    return pa.table(columns)


def outcome_of(path: Path, rows: pa.Table, expected: pa.Table) -> str:
    """Load a changed bundle and score with it: "refused: KIND", "equal", or "other scores"."""
    try:
        found = load_bundle(path).score(rows, explain=True)
    except CvtbatchError as error:
        # What it says may be shown and stored.
        return f"refused: {error.kind}" if len(error.message.encode()) < MOST_SAID else "defect: a message without end"
    return "equal" if found.drop_columns(["bundle_digest"]).equals(expected) else "other scores"


def run_child(numbers: Sequence[int]) -> None:
    """Print, for each mutation, its number, kind and outcome; die of a signal where one crashes, hangs or takes memory."""
    with tempfile.TemporaryDirectory() as name:
        (made := Path(name, "made")).mkdir()
        paths = originals(made)
        rows = {title: other_rows(load_bundle(path)) for title, path in paths.items()}
        scores = {
            title: load_bundle(path).score(rows[title], explain=True).drop_columns(["bundle_digest"])
            for title, path in paths.items()
        }
        files = {title: files_of(path) for title, path in paths.items()}
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MORE_BYTES, now + MORE_BYTES))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in numbers:
            title, changed = mutant(number, files)
            with tempfile.TemporaryDirectory(dir=name) as folder:
                path = changed.write(Path(folder))
                signal.alarm(SECONDS)
                started = time.monotonic()
                try:
                    outcome = outcome_of(path, rows[title], scores[title])
                except BaseException as error:  # whatever it is, it is no refusal of ours
                    outcome = f"defect: {type(error).__name__}: {str(error)[:200]!r}"
                seconds = time.monotonic() - started
                signal.alarm(0)
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
            print(json.dumps([number, title, changed.kind, outcome, round(seconds, 2), peak]), flush=True)


Result = tuple[int, str, str, str, float, int]


def run(numbers: Sequence[int]) -> list[Result]:
    """Run mutations in children, and go on after one that a child did not survive."""
    results: list[Result] = []
    left = list(numbers)
    while left:
        command = [sys.executable, "-m", "tests.faults.bundle_trial", "--numbers", f"{left[0]}:{left[-1] + 1}"]
        child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        done: list[Result] = [tuple(json.loads(line)) for line in child.stdout.splitlines()]
        results += done
        left = left[len(done) :]
        if left and child.returncode >= 0:
            raise RuntimeError(child.stderr)
        if left:
            results.append((left[0], "", "", f"died of {signal.Signals(-child.returncode).name}", 0.0, 0))
            left = left[1:]
    return results


def unsound(result: Result) -> bool:
    """Say whether a mutation ended otherwise than it may: a changed model that nothing betrays has other scores."""
    _, title, kind, outcome, *_ = result
    untold = kind == "another model" or not title.endswith("anew")
    return not (outcome == "equal" or outcome.startswith("refused: ") or (outcome == "other scores" and untold))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--numbers", help="FIRST:END, in this process")
    arguments = parser.parse_args()
    if arguments.numbers:
        run_child(range(*map(int, arguments.numbers.split(":"))))
        return
    results = run(range(arguments.count))
    for (kind, outcome), count in sorted(Counter((kind, outcome) for _, _, kind, outcome, *_ in results).items()):
        print(f"{kind:14} {outcome:30} {count:5}")
    print(
        f"longest {max(result[4] for result in results)} s, most memory {max(result[5] for result in results)} MB more"
    )
    wrong = [result for result in results if unsound(result)]
    for result in wrong:
        print(*result)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
