"""What a driver holds does not grow with the archive, but for some bytes a case."""

import gc
import tracemalloc
from pathlib import Path

import pytest

from cvtbatch import key_index
from cvtbatch.engine import open_cluster
from cvtbatch.manifest import files, read_manifest
from cvtbatch.manifest import manifest as reading
from cvtbatch.pipelines.extraction import case_stage, stored_cases
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from tests.benchmarks.benchmark_scale import return_rows, run_driver, write_manifest

TOGETHER = 250
FEW, MANY = 1000, 4000
# A fifth of what a case takes as Python objects; 300 is what is seen, and now and then twice that.
BYTES_A_CASE = 800


def peak_bytes(folder: Path, cases: int) -> int:
    """Return the most that Python held while a run went over so many cases."""
    manifest = write_manifest(folder / str(cases), cases, "narrow")
    job = read_job("extract", None, ["embedding.weights=none", f"run.commit_cases={TOGETHER}"])
    gc.collect()
    tracemalloc.start()
    try:
        settings = resolve(job, str(folder / str(cases) / "store"))
        with open_cluster(0) as cluster:
            report = extract(read_manifest(manifest), settings, cluster, Options())
        assert (report.computed, report.rows["rois"]) == (cases, cases)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_stage, "process_case", return_rows)
    monkeypatch.setattr(files, "ROWS_TOGETHER", TOGETHER)
    monkeypatch.setattr(reading, "CASES_TOGETHER", TOGETHER)
    monkeypatch.setattr(stored_cases, "CASES_TOGETHER", TOGETHER)
    monkeypatch.setattr(key_index, "HELD_ASIDE", TOGETHER)
    # What is loaded and remembered once is there before anything is compared.
    peak_bytes(tmp_path, TOGETHER)
    few, many = peak_bytes(tmp_path, FEW), peak_bytes(tmp_path, MANY)
    assert many - few < (MANY - FEW) * BYTES_A_CASE, (few, many)


def test_the_benchmark_drives_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_stage, "process_case", return_rows)
    taken = run_driver(write_manifest(tmp_path, 3, "narrow"), str(tmp_path / "store"), 0)
    assert (taken["cases"], taken["computed"]) == (3, 3)
