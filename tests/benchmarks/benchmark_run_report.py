"""The report of a run in which everything failed: `python -m tests.benchmarks.benchmark_run_report [--cases N]`.

Prints the seconds of a core that the report adds to a run, the size of its page, and the memory of the process.
"""

import argparse
import resource
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from cvtbatch import contracts
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction.report import EmbeddingSummary, ExtractReport, OutlineSummary
from cvtbatch.pipelines.extraction.row_batch import bookkeeping
from cvtbatch.pipelines.extraction.run_report import Ending, RunReporter
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.store import FeatureStore

SPEC = "volume-spec"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    cases = parser.parse_args().cases
    kinds = [kind.name for kind in contracts.failure_kinds().values() if kind.do]
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = (f"C{row % 7},{row:07d},study/{row}/series,ward {row % 40}" for row in range(cases))
        (folder / "manifest.csv").write_text("\n".join(["center,case_id,image,x_ward", *lines]) + "\n")
        manifest = read_manifest(folder / "manifest.csv")
        store = FeatureStore.open_for_writing(str(folder / "store"))
        log = RunLog("run-1", folder / "log.jsonl")
        rows = [_failure(row, kinds[row % len(kinds)]) for row in range(cases)]
        for row in rows:
            log.write("error", "failed", private=f"/data/{row['case_id']}: it is cut off", **_told(row))
        store.table("failures").append(rows)
        report = _report(str(folder / "store"), cases)
        notices: list[str] = []
        reporter = RunReporter(manifest, "run-1", log, folder / "report", "cvtbatch extract", notices.append)
        began = time.process_time()
        page = reporter.write(store, report, Ending("completed", ""), lambda _: "failed")
        seconds = time.process_time() - began
        assert page is not None, notices
        table = folder / "report" / "failures.csv"
        assert sum(1 for _ in table.open(encoding="utf-8")) == cases + 1
        print(f"{cases:,} failures of {len(Counter(row['kind'] for row in rows))} kinds: {seconds:.1f} s of a core")
        print(f"page {Path(page).stat().st_size / 1e6:.2f} MB, table {table.stat().st_size / 1e6:.1f} MB")
        print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


def _failure(row: int, kind: str) -> dict[str, object]:
    center, case_id = f"C{row % 7}", f"{row:07d}"
    key = {"case_key": f"{center}/{case_id}", "center": center, "case_id": case_id, "roi_key": "", "spec_id": SPEC}
    told = {
        "scope": "extraction",
        "input_digest": "",
        "stage": "read",
        "kind": kind,
        "message": f"slice {row} is wrong",
    }
    rest = {"traceback_digest": "", "source_fingerprint": "f", "resolved": False, "manifest_row": row + 1}
    return {**key, **told, **rest, **bookkeeping("run-1")}


def _told(row: dict[str, object]) -> dict[str, object]:
    return {name: row[name] for name in ("case_key", "roi_key", "stage", "kind", "message")}


def _report(url: str, cases: int) -> ExtractReport:
    return ExtractReport(
        url, "run-1", SPEC, "", "", "", {}, OutlineSummary(), EmbeddingSummary(), [], cases, failed=cases, seconds=1.0
    )


if __name__ == "__main__":
    main()
