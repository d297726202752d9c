"""Places that cannot hold a store, and what is said of them: servers that write over, file systems without hard links."""

import http.client
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cvtbatch.errors import StorageError
from cvtbatch.store import FeatureStore, Location
from cvtbatch.store.objects import PROBE, holds_anything, list_objects, put
from tests.support.archives import tiny_archive
from tests.support.commands import cvtbatch
from tests.support.store_rows import row

# A file system that has no links, as exFAT says it.
WITHOUT_LINKS = r"""
#include <errno.h>

int link(const char *from, const char *to) {
    errno = EPERM;
    return -1;
}

int linkat(int one, const char *from, int other, const char *to, int flags) {
    errno = EPERM;
    return -1;
}
"""


class _Forgetful(http.server.BaseHTTPRequestHandler):
    """Hands every request on to a real server, without its condition."""

    protocol_version = "HTTP/1.1"
    endpoint = ""

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "if-none-match"}
        server = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=30)
        server.request(self.command, self.path, body, headers)
        answer = server.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        if not answer.getheader("Content-Length"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        server.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _hand_on

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forgetful_bucket(s3_bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket whose server does not know `If-None-Match`, as some do not."""
    handler = type("Handler", (_Forgetful,), {"endpoint": s3_endpoint})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield s3_bucket
    server.shutdown()
    thread.join()
    server.server_close()


def refusal(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        FeatureStore.open_for_writing(url)
    return caught.value


def test_a_server_that_writes_over_what_is_there_holds_no_store(
    forgetful_bucket: str, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{forgetful_bucket}/a/store"
    error = refusal(url)
    assert error.kind == "overwrites"
    assert "If-None-Match" in error.message
    assert list(list_objects(Location.of(forgetful_bucket))) == []
    tiny_archive(tmp_path / "archive", 1)
    run = cvtbatch("extract", tmp_path / "archive" / "manifest.csv", "--store", url)
    assert run.returncode == 1
    assert "one would overwrite what the other committed" in " ".join(run.stderr.split())
    assert list(list_objects(Location.of(forgetful_bucket))) == []
    # One that was written elsewhere can be read there, and is not written.
    forgetful = f"http://{urlsplit(s3_endpoint).netloc}"
    with monkeypatch.context() as sound:
        sound.setenv("AWS_ENDPOINT_URL", forgetful)
        FeatureStore.open_for_writing(url)
        before = {(entry.key, entry.modified) for entry in list_objects(Location.of(url))}
    assert cvtbatch("status", "--store", url).returncode == 0
    assert refusal(url).kind == "overwrites"
    assert cvtbatch("compact", "--store", url).returncode == 1
    assert {(entry.key, entry.modified) for entry in list_objects(Location.of(url))} == before


def test_a_probe_leaves_nothing_and_its_remains_are_no_store(store_url: str) -> None:
    location = Location.of(store_url)
    put(location, f"{PROBE}-0123", b"")
    assert not holds_anything(location)
    FeatureStore.open_for_writing(store_url)
    assert [entry.key for entry in list_objects(location) if entry.key.startswith(PROBE)] == [f"{PROBE}-0123"]


def test_a_file_system_without_hard_links_holds_no_store(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a file system without links needs a C compiler (Debian package gcc)")
    source, library = tmp_path / "links.c", tmp_path / "links.so"
    source.write_text(WITHOUT_LINKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    FeatureStore.open_for_writing(str(tmp_path / "known")).table("specs").append([row("specs", spec_id="a")])
    code = (
        "import sys; from cvtbatch.store import FeatureStore; from cvtbatch.errors import StorageError\n"
        "for url in sys.argv[1:]:\n"
        "    try: FeatureStore.open_for_writing(url)\n"
        "    except StorageError as error: print(error.kind, error.message)\n"
        "print(FeatureStore(url).current('specs').num_rows, 'row')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new"), str(tmp_path / "known")]
    variables = {**os.environ, "LD_PRELOAD": str(library)}
    run = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=60)
    *refusals, read = run.stdout.splitlines()
    assert len(refusals) == 2
    for said in refusals:
        assert said.startswith(
            "no_hard_links the store is not writable: the file system of the store has no hard links"
        )
    # Reading needs none.
    assert read == "1 row"
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/store", "/dev/null/store", "{file}", "{file}/store"])
def test_where_nothing_can_be_written_is_said_as_that(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    error = refusal(place.format(file=tmp_path / "file"))
    assert error.kind == "store_not_writable"
    assert "nothing can be written there: choose another place" in error.message
    assert str(tmp_path) not in error.message
    assert (tmp_path / "file").read_text() == "mine"
