"""Seconds that a whole report takes: `python -m tests.benchmarks.benchmark_report [CASES]`, 500 by default.

From scores in memory to the written folder: statistics with the bootstrap, figures, tables, and a picture for every case.
"""

import sys
import tempfile
import time
from pathlib import Path

from cvtbatch.validation.evaluate import evaluate
from cvtbatch.validation.report import write_report
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_slice, make_training

LIMIT_SECONDS = 60.0


def main(cases: int) -> int:
    """Print wall and processor seconds, and return 1 where the limit is passed."""
    inputs = make_cohort(1, cases), make_bundle(), make_training(1), make_provenance()
    began, used = time.perf_counter(), time.process_time()
    validation = evaluate(*inputs, seed=1)
    evaluated = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(validation, make_slice, Path(folder))
        size = sum(file.stat().st_size for file in page.parent.rglob("*") if file.is_file())
    total = time.perf_counter() - began
    print(
        f"{cases} cases: {total:.1f} s ({evaluated:.1f} s of them statistics), {time.process_time() - used:.1f} s of processor"
    )
    print(f"report: {size / 1e6:.1f} MB")
    return int(total > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
