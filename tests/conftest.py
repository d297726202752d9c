"""A part that is missing skips its tests for a user; CI has every part, so there a skip is a failure.

But for data that came from elsewhere: where CVTBATCH_DATA names their folder, what is missing fails without a skip; where it names
none, as on anybody's machine, what was not fetched is skipped in CI too.
"""

import gc
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Runs
from tests.support.figures import figure_tables
from tests.support.file_server import FileServer, serve_files
from tests.support.kernels import KernelsOfRun
from tests.support.ports import free_port
from tests.support.schedule import longest_first, processes_of_run

# More threads than cores wait for one another by turns of nothing, which took half of the processor time of tests with networks.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The user's own key stays out of the tests, and is not made by them.
os.environ.setdefault("CVTBATCH_UID_KEY", "the key of the tests")
# A shell that starts the tests in the background has them pass over Ctrl-C, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
IN_CI = os.environ.get("CI") == "true"


def pytest_xdist_auto_num_workers() -> int:
    return processes_of_run()


def pytest_configure(config: pytest.Config) -> None:
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(KernelsOfRun())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What tests and their libraries are made of stays to the end: garbage is not looked for among a million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: longest_first(item.nodeid))


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    of_outside_data = isinstance(report.longrepr, tuple) and report.longrepr[0].endswith("outside_data.py")
    if IN_CI and report.skipped and not of_outside_data and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where CI must run it: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stats = terminalreporter.stats
    for title, lines in figure_tables([*stats.get("passed", ()), *stats.get("failed", ())]):
        terminalreporter.section(title)
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 endpoint of our own, a process that lives as long as the tests."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except urllib.error.URLError:
                assert server.poll() is None, "the S3 endpoint did not start"
                time.sleep(0.05)
        yield endpoint
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A web server of our own, without a file as yet."""
    with serve_files() as served:
        yield served


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket, with the environment that leads to it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{s3_endpoint}/{bucket}", method="PUT"), timeout=10).close()
    return f"s3://{bucket}"


@pytest.fixture(params=["file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that is not there yet, on disk and on S3."""
    return str(tmp_path / "store") if request.param == "file" else f"{request.getfixturevalue('s3_bucket')}/a/store"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    """Processes of a test; in the end, nothing of them may be left behind."""
    runs = Runs(tmp_path)
    try:
        yield runs
        assert runs.left() == []
    finally:
        runs.close()
