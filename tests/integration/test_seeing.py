"""What a run tells of itself: its cost, its log, its metrics, and what `status` makes of them."""

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

import cvtbatch
from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.pipelines.extraction.row_batch import BATCH_ORDER
from cvtbatch.pipelines.stores.watch import watch_status
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import extract_json

CASES = 3
Document = dict[str, object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeing")
    rows = tiny_archive(folder / "archive", CASES)
    (folder / "archive" / "broken.nii.gz").write_bytes(b"broken")
    rows.append({"center": "A", "case_id": "broken", "image": "broken.nii.gz"})
    write_rows(folder / "archive" / "manifest.csv", rows)
    return folder


@pytest.fixture(scope="module")
def document(folder: Path) -> Document:
    """What a run says that does three cases and fails at a fourth."""
    told = ("--metrics", folder / "run.prom", "--log", folder / "run.jsonl")
    return extract_json(folder / "archive" / "manifest.csv", folder / "store", *told, code=3)


def test_a_run_says_what_it_cost(folder: Path, document: Document) -> None:
    cost: dict[str, object] = document["cost"]  # type: ignore[assignment]
    sources = sum(path.stat().st_size for path in (folder / "archive").glob("*.nii.gz"))
    arrays = [path for kind in ("volumes", "masks") for path in (folder / "store" / kind).rglob("*") if path.is_file()]
    assert cost["read_bytes"] == sources
    assert cost["written_bytes"] == sum(path.stat().st_size for path in arrays)
    assert cost["worked_cases"] == CASES + 1
    stages = {stage["stage"]: stage for stage in cost["stages"]}  # type: ignore[attr-defined]
    assert list(stages) == ["read", "volume", "write", "mask", "radiomics"]
    assert {name: stage["count"] for name, stage in stages.items()} == {
        **dict.fromkeys(stages, CASES),
        "read": CASES + 1,
    }
    assert sum(stage["seconds"] for stage in stages.values()) < document["seconds"]  # type: ignore[operator]
    assert all(0 < stage["p50_s"] <= stage["p95_s"] for stage in stages.values())
    assert cost["cases_per_second"] == pytest.approx((CASES + 1) / document["seconds"], rel=0.01)  # type: ignore[operator]
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


def test_the_metrics_say_what_the_document_says(folder: Path, document: Document) -> None:
    text = (folder / "run.prom").read_text()
    values = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    cost: dict[str, object] = document["cost"]  # type: ignore[assignment]
    assert values["cvtbatch_run_info", "extract", document["run_id"], cvtbatch.__version__] == 1
    assert (values["cvtbatch_run_state", "completed"], values["cvtbatch_run_state", "running"]) == (1, 0)
    for state in ("computed", "already_done", "failed", "awaiting_mask"):
        assert values["cvtbatch_cases_total", state] == values["cvtbatch_case_states", state] == document[state]
    assert values["cvtbatch_failed_cases_total", "unreadable_file", "read"] == 1
    for name in ("read_bytes", "written_bytes", "commits"):
        assert values[f"cvtbatch_{name}_total",] == cost[name]
    assert {name: values["cvtbatch_rows_total", name] for name in BATCH_ORDER} == document["rows"]
    assert (values["cvtbatch_tasks_in_flight",], values["cvtbatch_manifest_cases",]) == (0, CASES + 1)
    assert values["cvtbatch_stage_items_done", "extract"] == values["cvtbatch_stage_items", "extract"] == CASES + 1
    for stage in cost["stages"]:  # type: ignore[attr-defined]
        assert values["cvtbatch_stage_seconds_count", stage["stage"]] == stage["count"]
        assert values["cvtbatch_stage_seconds_bucket", "+Inf", stage["stage"]] == stage["count"]
        assert values["cvtbatch_stage_seconds_sum", stage["stage"]] == pytest.approx(stage["seconds"], abs=1e-3)
    assert values["cvtbatch_run_start_timestamp_seconds",] < values["cvtbatch_run_updated_timestamp_seconds",]
    assert not [word for word in (str(folder), "A/", "broken", "nii") if word in text]


def test_the_log_is_an_object_a_line(folder: Path, document: Document) -> None:
    assert stat.S_IMODE((folder / "run.jsonl").stat().st_mode) == 0o600
    entries = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    assert {entry["run_id"] for entry in entries} == {document["run_id"]}
    assert [entry["event"] for entry in entries] == ["run_started", "failed", "committed", "run_ended"]
    assert all(entry["time"].endswith("+00:00") for entry in entries)
    failed, committed = entries[1], entries[2]
    assert (failed["case_key"], failed["stage"], failed["kind"], failed["level"]) == (
        "A/broken",
        "read",
        "unreadable_file",
        "error",
    )
    assert str(folder) in failed["private"]
    assert str(folder) not in failed["message"]
    assert {**dict.fromkeys(BATCH_ORDER, 0), **committed["rows"]} == document["rows"]


def test_status_shows_what_a_run_cost(folder: Path, document: Document) -> None:
    result = CliRunner().invoke(cli, ["status", "--store", str(folder / "store"), "--json"])
    status = json.loads(result.stdout)
    assert contracts.problems_of(status, "commands/status.json") == []
    assert status["runs"][0]["cases_per_second"] == document["cost"]["cases_per_second"]  # type: ignore[index]
    text = CliRunner().invoke(cli, ["status", "--store", str(folder / "store")]).stdout
    assert "core-hours" in text


def test_status_watches_until_it_is_interrupted(
    folder: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = folder / "store"
    looks = watch_status(str(store), 0.01)
    first = next(looks)
    assert contracts.problems_of(first, "commands/status.json") == []
    assert first["cases"] == {
        "total": 4,
        "done": CASES,
        "failed": 1,
        "no_hemorrhage": 0,
        "awaiting_mask": 0,
        "incomplete": 0,
    }
    assert (first["watch"]["running"], first["watch"]["cases_per_second"]) == ([], None)  # type: ignore[index]
    # One more case, and a run that was killed.
    with (folder / "archive" / "manifest.csv").open("a") as manifest:
        manifest.write("A,again,ct0.nii.gz,mask0.nii.gz,CVT,1,50\n")
    extract_json(folder / "archive" / "manifest.csv", store, code=3)
    newest = FeatureStore(str(store)).runs().to_pylist()[0]
    killed = {**newest, "run_id": "20260101T000000-abcdef", "state": "started", "cases": 5}
    FeatureStore(str(store)).table("runs").append([killed])
    second = next(looks)["watch"]
    assert second["cases_per_second"] > 0  # type: ignore[index]
    assert second["silent_s"] < 600  # type: ignore[index]
    [running] = second["running"]  # type: ignore[index]
    assert (running["run_id"], running["cases"]) == ("20260101T000000-abcdef", 5)
    assert running["age_s"] > 86400

    sleeps = iter(range(2))

    def sleep(_: float) -> None:
        if next(sleeps) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("cvtbatch.pipelines.stores.watch.time.sleep", sleep)
    result = CliRunner().invoke(cli, ["status", "--store", str(store), "--watch", "--json"])
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [contracts.problems_of(line, "commands/status.json") for line in lines] == [[], []]
    sleeps = iter(range(2))
    result = CliRunner().invoke(cli, ["status", "--store", str(store), "--watch", "2"])
    assert result.exit_code == 0
    assert [line.split(" ", 1)[1].partition(" incomplete")[0] for line in result.stdout.splitlines()] == [
        "4 done, 1 failed, 0 without a hemorrhage, 0 awaiting mask, 0"
    ] * 2
