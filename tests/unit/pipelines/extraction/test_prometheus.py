import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.pipelines.extraction import prometheus
from cvtbatch.pipelines.extraction.prometheus import Metrics, open_metrics
from cvtbatch.pipelines.extraction.report import Progress, RunFigures
from cvtbatch.pipelines.extraction.run_cost import Seconds
from tests.support.ports import free_port

UPDATED = "cvtbatch_run_updated_timestamp_seconds"


def updated_at(text: str) -> float:
    [family] = [family for family in text_string_to_metric_families(text) if family.name == UPDATED]
    return float(family.samples[0].value)


def test_a_file_is_renewed_while_nothing_happens_and_left_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "WRITTEN_SECONDS", 0.01)
    path = tmp_path / "run.prom"
    with open_metrics(str(path)):
        first = updated_at(path.read_text())
        assert abs(first - time.time()) < 60
        end = time.monotonic() + 60
        while updated_at(path.read_text()) == first:
            assert time.monotonic() < end
    assert updated_at(path.read_text()) > first
    assert list(tmp_path.iterdir()) == [path]


def test_an_endpoint_listens_on_loopback_until_the_end() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    with open_metrics(f":{port}"):
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert updated_at(answer.read().decode()) > 0
        with (
            pytest.raises(ResourceError, match="nothing can listen"),
            open_metrics(f"127.0.0.1:{port}"),
        ):
            pass
        # Bound to loopback alone, the port is free on every other address.
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.2", port))
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


@pytest.mark.parametrize("target", ["metrics.txt", "9100", "host:port", "/no/such/folder/run.prom", ":99999999"])
def test_a_target_that_cannot_be_is_refused_before_anything_is_done(target: str) -> None:
    with pytest.raises(InputError), open_metrics(target):
        pass


def test_figures_become_families_that_prometheus_reads() -> None:
    """By its own parser, back to the figures."""
    seconds = Seconds()
    for took in (0.2, 2.0):
        seconds.add(took)
    figures = RunFigures(
        run_id="run-1",
        began_at=10.0,
        result_at=20.0,
        manifest_cases=9,
        planned=8,
        worked=7,
        in_flight=2,
        cases_per_second=0.7,
        workers=4,
        worker_peak_bytes=1000,
        worker_cpu_s=6.5,
        read_bytes=11,
        written_bytes=12,
        stages={"read": seconds},
        progress=Progress(total=9, done=5),
        first_states={"computed": 4},
        states={"computed": 3, "failed": 1},
        failures={("read", "unreadable_file"): 1},
        rows={"cases": 5},
        commits=3,
    )
    registry = CollectorRegistry(auto_describe=False)
    metrics = Metrics(asked_for=True)
    metrics.show(lambda: figures, "running")
    registry.register(metrics)
    read = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    assert read["cvtbatch_run_state", "running"] == 1
    assert read["cvtbatch_cases_planned_total",] == 8
    assert read["cvtbatch_stage_items_done", "extract"] == 5
    assert read["cvtbatch_cases_total", "failed"] == 0
    assert read["cvtbatch_case_states", "failed"] == 1
    assert read["cvtbatch_failed_cases_total", "unreadable_file", "read"] == 1
    assert read["cvtbatch_rows_total", "cases"] == 5
    assert (read["cvtbatch_stage_seconds_bucket", "0.3", "read"], read["cvtbatch_stage_seconds_sum", "read"]) == (
        1,
        2.2,
    )
