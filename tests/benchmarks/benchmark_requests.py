"""Requests to object storage: `python -m tests.benchmarks.benchmark_requests [--cases 4]`.

Archives of N and of 2 N small cases are extracted into stores on moto's S3 server, in one batch and in two, and its log of requests
is counted: what a case asks for (volume, mask, a look at the store's format), what a batch's appends to the tables ask for,
and what is left for a run. How much is sent depends on the cases, how often does not.
"""

import argparse
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cvtbatch.engine import Cluster
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from tests.support.archives import tiny_archive

REQUEST = re.compile(r'"(GET|PUT|POST|HEAD|DELETE) (/\S*) HTTP')
Requests = Counter[tuple[str, str]]


@contextlib.contextmanager
def object_storage(log: Path) -> Iterator[str]:
    """Run moto's server, which logs a line a request, and point this process to it; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:
        try:
            end = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                    break
                except urllib.error.URLError:
                    if server.poll() is not None or time.monotonic() > end:
                        raise SystemExit("moto's server did not start") from None
                    time.sleep(0.1)
            os.environ.update(AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
            yield endpoint
        finally:
            server.kill()


def kind_of(path: str) -> str:
    """Say what a request was for, by its key; tables are named like folders of arrays."""
    if "/tables/" in path:
        return "tables"
    return "case" if "/volumes/" in path or "/masks/" in path else "store"


def count(log: Path, start: int) -> Requests:
    """Count the requests of a log from a byte on, by what they were for and method."""
    text = log.read_bytes()[start:].decode("utf-8", "replace")
    return Counter((kind_of(path), method) for method, path in REQUEST.findall(text) if "moto-api" not in path)


def requests_of(endpoint: str, log: Path, folder: Path, cases: int, batch: int) -> Requests:
    """Extract so many cases into a new bucket, and return what was asked of it."""
    tiny_archive(folder, cases)
    bucket = f"cases-{cases}"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT"), timeout=10).close()
    job = read_job("extract", None, ["embedding.weights=none", f"run.commit_cases={batch}", "run.commit_seconds=3600"])
    start = log.stat().st_size
    settings = resolve(job, f"s3://{bucket}/store")
    with contextlib.redirect_stderr(io.StringIO()):
        report = extract(read_manifest(folder / "manifest.csv"), settings, Cluster(None, "inline", None), Options())
    if report.computed != cases:
        raise SystemExit(f"{report.computed} of {cases} cases were computed")
    return count(log, start)


def measure(cases: int) -> dict[str, dict[str, float]]:
    """Return requests by method: for a case, for a batch's appends to the tables, and for what is left of a run."""
    with tempfile.TemporaryDirectory(prefix="cvtbatch-requests-") as name:
        folder, log = Path(name), Path(name, "log")
        with object_storage(log) as endpoint:
            one = requests_of(endpoint, log, folder / "one", cases, cases)
            two = requests_of(endpoint, log, folder / "two", 2 * cases, cases)
    methods = sorted({method for _, method in two})
    more = {
        kind: {method: two[kind, method] - one[kind, method] for method in methods}
        for kind in ("case", "store", "tables")
    }
    of_case = {method: (more["case"][method] + more["store"][method]) / cases for method in methods}
    whole = {method: sum(times for (_, of), times in one.items() if of == method) for method in methods}
    left = {method: whole[method] - cases * of_case[method] - more["tables"][method] for method in methods}
    parts = {"case": of_case, "batch": {method: float(more["tables"][method]) for method in methods}, "run": left}
    return {part: {method: times for method, times in by.items() if times} for part, by in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=4)
    print(json.dumps(measure(parser.parse_args().cases), indent=2))


if __name__ == "__main__":
    main()
