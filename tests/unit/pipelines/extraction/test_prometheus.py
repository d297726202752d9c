import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.pipelines.extraction import prometheus
from cvtbatch.pipelines.extraction.prometheus import open_metrics
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
