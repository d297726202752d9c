"""Limits of a case: its time grows with its size, and what it would take of memory is told by its header, true or not."""

from dataclasses import replace
from pathlib import Path

import pytest

from cvtbatch.engine import Expired, Lost, NeedsMemory, TooLarge
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.memory import peak_bytes
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction.case_plan import CaseTask
from cvtbatch.pipelines.extraction.limits import case_limit_s
from cvtbatch.pipelines.extraction.planning import plan_run
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.pipelines.shared.unfinished import why_undone
from tests.support.archives import tiny_archive


def tasks(manifest: Path, store: Path) -> list[CaseTask]:
    settings = resolve(read_job("extract", overrides=["embedding.weights=none"]), str(store))
    plans = plan_run(((case, None) for case in read_manifest(manifest)), settings, Options())
    return [plan.task for plan in plans if plan.task is not None]


def test_a_larger_case_has_more_time_and_the_job_has_the_last_word(tmp_path: Path) -> None:
    tiny_archive(tmp_path, 1)
    [task] = tasks(tmp_path / "manifest.csv", tmp_path / "store")
    assert task.source_bytes == (tmp_path / "ct0.nii.gz").stat().st_size
    assert 600 < case_limit_s(task, None) < 730
    assert case_limit_s(replace(task, source_bytes=100_000_000), None) > 1100
    assert case_limit_s(task, 5.0) == 5.0


def test_an_image_tells_what_it_takes_before_it_is_decoded(tmp_path: Path) -> None:
    tiny_archive(tmp_path, 1)
    [task] = tasks(tmp_path / "manifest.csv", tmp_path / "store")
    told: list[int] = []
    read_volume(task.case, told.append)
    voxel_bytes = 64 * 64 * 12 * 2
    assert told == [peak_bytes(voxel_bytes)]

    def refuse(needed_bytes: int) -> None:
        raise NeedsMemory(needed_bytes)

    with pytest.raises(NeedsMemory):
        read_volume(task.case, refuse)


def test_failures_say_figures_and_what_to_do() -> None:
    messages = [
        why_undone(outcome, "this case")
        for outcome in (Lost(0, 3), Expired(0, 720.0, "File a.py"), TooLarge(0, 9_000_000_000, 4_000_000_000))
    ]
    assert [error.kind for error in messages] == ["worker_killed", "time_limit", "too_large"]
    assert "720 s" in messages[1].message
    assert messages[1].private == "File a.py"
    assert "9.0 GB" in messages[2].message
    assert "4.0 GB" in messages[2].message
