"""A scheduler on one host and workers on two, with nothing between them but TLS."""

import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cvtbatch.engine.certificates import make_certificates
from tests.support.archives import tiny_archive
from tests.support.commands import cvtbatch, extract_json
from tests.support.hosts import Host, network
from tests.support.store_contents import contents

PORT = 8786
CVTBATCH = (sys.executable, "-m", "cvtbatch")
# Asks a listener as somebody without a certificate would, and says why TLS refuses: one word for each place.
ASK_WITHOUT_CERTIFICATE = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        with context.wrap_socket(socket.create_connection((host, int(port)), 10)) as connection:
            print("ANSWERED", connection.recv(1))
    except ssl.SSLError as error:
        print(error.reason)
"""
# Dask's own client, without TLS and with certificates of another authority.
CLIENTS = """
import sys
from distributed import Client
from distributed.security import Security
address, folder = sys.argv[1:]
files = {f"tls_{name}": f"{folder}/{file}.pem" for name, file in
         (("ca_file", "ca"), ("client_cert", "node"), ("client_key", "node-key"))}
for scheme, security in (("tcp", None), ("tls", Security(require_encryption=True, **files))):
    try:
        with Client(f"{scheme}://{address}", security=security, timeout="3s"):
            print("LET IN")
    except OSError as error:
        print("refused")
"""


@dataclass(frozen=True)
class Cluster:
    folder: Path
    head: Host
    node: Host
    scheduler: subprocess.Popen[str]
    workers: list[subprocess.Popen[str]]

    @property
    def address(self) -> str:
        return f"{self.head.address}:{PORT}"


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def scratch_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("cvtbatch-*"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder / "certs", ["10.77.0.1"])
    make_certificates(folder / "node-certs", authority=folder / "certs")
    tiny_archive(folder / "archive", 2)
    with network(2) as made:
        head, node = made.hosts
        log = folder / "scheduler.log"
        options = ("--host", head.address, "--port", PORT, "--certs", folder / "certs", "--dashboard", "127.0.0.1:0")
        scheduler = head.start(*CVTBATCH, "scheduler", *options, log=log)
        workers = []
        for host, certs, nanny in ((head, "certs", "--nanny"), (node, "node-certs", "--no-nanny")):
            scratch = folder / host.namespace
            scratch.mkdir()
            command = (*CVTBATCH, "worker", f"tls://{head.address}:{PORT}", "--certs", folder / certs, nanny)
            environment = {"TMPDIR": str(scratch)}
            workers.append(host.start(*command, environment=environment, log=folder / f"{host.namespace}.log"))
        for host in (head, node):
            wait_for(lambda host=host: "worker of" in (folder / f"{host.namespace}.log").read_text(), 120)
        yield Cluster(folder, head, node, scheduler, workers)


def test_an_extraction_over_tls_is_what_inline_gives(cluster: Cluster) -> None:
    file, store = cluster.folder / "cluster.yaml", cluster.folder / "store"
    file.write_text(f"kind: scheduler\naddress: tls://{cluster.address}\ncerts: certs\nmin_workers: 2\n")
    manifest = cluster.folder / "archive" / "manifest.csv"
    command = (*CVTBATCH, "extract", manifest, "--store", store, "--cluster", file)
    done = cluster.head.run(*command, "--set", "embedding.weights=none")
    assert done.returncode == 0, done.stderr
    extract_json(manifest, cluster.folder / "inline")
    assert contents(store) == contents(cluster.folder / "inline")


def test_what_listens_beyond_loopback_demands_a_certificate(cluster: Cluster) -> None:
    open_places = []
    for host in (cluster.head, cluster.node):
        listening = host.listening()
        # The dashboard of the scheduler, and what workers say of themselves.
        assert any(address == "127.0.0.1" for address, _ in listening)
        open_places += [f"{address}:{port}" for address, port in listening if address not in {"127.0.0.1", "::1"}]
    assert cluster.address in open_places
    # Scheduler, nanny, two workers: no other, and each at the one address that leads to the others.
    assert sorted(place.rpartition(":")[0] for place in open_places) == [cluster.head.address] * 3 + [
        cluster.node.address
    ]
    answers = cluster.head.run(sys.executable, "-c", ASK_WITHOUT_CERTIFICATE, *open_places)
    assert answers.stdout.split() == ["TLSV13_ALERT_CERTIFICATE_REQUIRED"] * 4, answers.stderr


def test_a_plain_client_and_one_with_certificates_of_others_are_refused(cluster: Cluster) -> None:
    make_certificates(cluster.folder / "foreign")
    tried = cluster.node.run(sys.executable, "-c", CLIENTS, cluster.address, cluster.folder / "foreign")
    assert tried.stdout.split() == ["refused", "refused"], tried.stderr


def test_scratch_is_private_and_goes_with_its_worker_however_it_ends(cluster: Cluster) -> None:
    """A worker that is asked to end says 0; one that lost its scheduler does not, so that it is started again."""
    for host in (cluster.head, cluster.node):
        [scratch] = scratch_of(cluster.folder / host.namespace)
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    asked, lost = cluster.workers
    started = time.monotonic()
    asked.send_signal(signal.SIGTERM)
    assert asked.wait(30) == 0
    cluster.scheduler.send_signal(signal.SIGTERM)
    assert cluster.scheduler.wait(30) == 0
    assert lost.wait(30) == 1
    assert time.monotonic() - started < 30
    for host in (cluster.head, cluster.node):
        assert scratch_of(cluster.folder / host.namespace) == []
        assert host.processes() == []


def test_a_scheduler_that_others_could_reach_does_not_start_without_certificates() -> None:
    refused = cvtbatch("scheduler", "--host", "0.0.0.0", "--port", 0)
    assert refused.returncode == 1
    assert "--certs" in refused.stderr
