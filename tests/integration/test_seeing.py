"""What a run tells of itself: its cost, its log, its metrics, and what `status` makes of them."""

import json
import os
from pathlib import Path

import pytest

from cvtbatch.store import FeatureStore
from tests.support import extract_json, tiny_archive

CASES = 3
Document = dict[str, object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeing")
    tiny_archive(folder / "archive", CASES)
    return folder


@pytest.fixture(scope="module")
def document(folder: Path) -> Document:
    return extract_json(folder / "archive" / "manifest.csv", folder / "store")


def test_a_run_says_what_it_cost(folder: Path, document: Document) -> None:
    cost: dict[str, object] = document["cost"]  # type: ignore[assignment]
    sources = sum(path.stat().st_size for path in (folder / "archive").glob("*.nii.gz"))
    arrays = [path for kind in ("volumes", "masks") for path in (folder / "store" / kind).rglob("*") if path.is_file()]
    assert cost["read_bytes"] == sources
    assert cost["written_bytes"] == sum(path.stat().st_size for path in arrays)
    assert cost["worked_cases"] == CASES
    stages = {stage["stage"]: stage for stage in cost["stages"]}  # type: ignore[attr-defined]
    assert list(stages) == ["read", "volume", "write", "mask", "radiomics"]
    assert {stage["count"] for stage in stages.values()} == {CASES}
    assert sum(stage["seconds"] for stage in stages.values()) < document["seconds"]  # type: ignore[operator]
    assert all(0 < stage["p50_s"] <= stage["p95_s"] for stage in stages.values())
    assert cost["cases_per_second"] == pytest.approx(CASES / document["seconds"], rel=0.01)  # type: ignore[operator]
    # One process, in which libraries may compute on all cores.
    most = cost["core_hours_per_1000_cases"] * (os.cpu_count() or 1)  # type: ignore[operator]
    assert 0 < cost["cpu_hours_per_1000_cases"] <= most * 1.01  # type: ignore[operator]
    assert cost["driver_peak_bytes"] >= cost["worker_peak_bytes"] > 50e6  # type: ignore[operator]


def test_the_runs_row_holds_what_the_document_says(folder: Path, document: Document) -> None:
    events = FeatureStore(str(folder / "store")).table("runs").read().sort_by("sequence").to_pylist()
    started, ended = events[0], events[-1]
    cost: dict[str, object] = dict(document["cost"])  # type: ignore[call-overload]
    assert {name: started[name] for name in cost} == dict.fromkeys(cost)
    stages = cost.pop("stages")
    assert {name: ended[name] for name in cost} == cost
    assert [{"stage": name, **stage} for name, stage in json.loads(ended["stages"]).items()] == sorted(
        stages,  # type: ignore[call-overload]
        key=lambda stage: stage["stage"],
    )
    assert json.loads(ended["rows"]) == document["rows"]
