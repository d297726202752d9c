"""A store on S3: the commands, kills, two runs at once, and what is said when it cannot be reached."""

import contextlib
import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch.cli import cli
from cvtbatch.errors import StorageError
from cvtbatch.store import FeatureStore, Location, StoredArray, objects, s3
from tests.support.archives import tiny_archive
from tests.support.commands import extract_json
from tests.support.store_contents import contents

CASES = 6


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny_archive(folder / "archive", CASES)
    extract_json(folder / "archive" / "manifest.csv", folder / "store")
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def start(undisturbed: Path, url: str, workers: int) -> subprocess.Popen[str]:
    manifest = undisturbed / "archive" / "manifest.csv"
    command = [sys.executable, "-m", "cvtbatch", "extract", str(manifest), "--store", url, "--workers", str(workers)]
    return subprocess.Popen(
        [*command, "--set", "run.commit_cases=1", "--set", "embedding.weights=none"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rows(url: str, count: int) -> None:
    end = time.monotonic() + 100
    rows = 0
    while rows < count:
        assert time.monotonic() < end
        time.sleep(0.05)
        # There may be no store yet, or half of one.
        with contextlib.suppress(StorageError):
            rows = FeatureStore(url).radiomics(columns=["roi_key"]).num_rows


def test_the_commands_work_as_on_a_disk(undisturbed: Path, s3_bucket: str, tmp_path: Path) -> None:
    manifest, url = undisturbed / "archive" / "manifest.csv", f"{s3_bucket}/project/store"
    first = extract_json(manifest, url)
    assert (first["computed"], first["store"]) == (CASES, url)
    assert contents(url) == contents(undisturbed / "store")
    second = extract_json(manifest, url)
    assert (second["already_done"], second["decoded"]) == (CASES, 0)
    assert json.loads(run("status", "--store", url, "--json"))["cases"]["done"] == CASES
    for store, name in ((url, "s3"), (undisturbed / "store", "disk")):
        run("export", "radiomics", "--store", store, "--out", tmp_path / f"{name}.parquet")
        run("picture", "A/001", "--store", store, "--out", tmp_path / f"{name}.png")
    exported = [pq.read_table(tmp_path / f"{name}.parquet") for name in ("s3", "disk")]
    values = [name for name in exported[0].column_names if name.startswith("original_")]
    assert len(values) > 100
    assert exported[0].select(values).equals(exported[1].select(values))
    pictures = [sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{name}.png"))) for name in ("s3", "disk")]
    assert np.array_equal(*pictures)


def test_two_runs_at_once_killed_one_after_the_other_are_resumed(undisturbed: Path, s3_bucket: str) -> None:
    url = f"{s3_bucket}/store"
    runs = [start(undisturbed, url, workers) for workers in (1, 0)]
    for count, run in enumerate(runs, 1):
        wait_for_rows(url, count)
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=30)
    assert [run.returncode for run in runs] == [-signal.SIGKILL, -signal.SIGKILL]
    document = extract_json(undisturbed / "archive" / "manifest.csv", url)
    assert 2 <= document["already_done"] < CASES
    assert document["computed"] == CASES - document["already_done"]
    assert contents(url) == contents(undisturbed / "store")
    store = FeatureStore(url)
    for name in ("volumes", "rois"):
        for row in store.table(name).current().to_pylist():
            store.read_array(StoredArray(row["path"], row["checksum"]))


class _Refusing(http.server.BaseHTTPRequestHandler):
    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>who are you</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _refuse

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def refusal(url: str) -> StorageError:
    with pytest.raises(StorageError) as reading:
        FeatureStore(url)
    return reading.value


def test_what_is_not_there_is_said(s3_bucket: str) -> None:
    assert refusal(f"{s3_bucket}/store").kind == "no_store"
    assert refusal("s3://no-such-bucket/store").kind == "no_bucket"
    with pytest.raises(StorageError, match="create it, or mend the URL") as raised:
        FeatureStore.open_for_writing("s3://no-such-bucket/store")
    assert "Debug source" not in raised.value.private
    objects.put(Location.of(s3_bucket), "notes.txt", b"mine")
    assert refusal(s3_bucket).kind == "not_a_store"


def test_refused_credentials_are_said(s3_bucket: str, refusing_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", refusing_endpoint)
    error = refusal(f"{s3_bucket}/store")
    assert (error.kind, "check the AWS variables" in error.message) == ("store_denied", True)


def test_an_endpoint_that_is_down_is_said_in_bounded_time(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FeatureStore.open_for_writing(f"{s3_bucket}/store")
    store = FeatureStore(f"{s3_bucket}/store")
    monkeypatch.setattr(s3, "MAX_RETRIES", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    assert refusal(f"{s3_bucket}/store").kind == "store_unreachable"
    with pytest.raises(StorageError) as raised:
        store.table("specs").append([{"spec_id": "a"}])
    assert raised.value.kind == "store_unreachable"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("endpoint", ["http://10.1.2.3:9000", "http://storage.example:9000"])
def test_plain_http_to_another_machine_is_refused(
    s3_bucket: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert refusal(f"{s3_bucket}/store").kind == "plain_http"
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert s3.S3Access.of_environment().allow_http


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://b//c", "s3://b/../c", "s3://b/a c", "s3://b/ü", "s3://b/a?c"]
)
def test_urls_that_cannot_be_used_are_refused(url: str) -> None:
    assert refusal(url).kind == "unusable_path"
