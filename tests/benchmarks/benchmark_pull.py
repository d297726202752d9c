"""A pull from Orthanc on this machine: `python -m tests.benchmarks.benchmark_pull [--instances 2000]`.

Slices of 512 x 512, 250 a series, are stored in Orthanc, and fetched by `cvtbatch pull` in a process of its own, by each way, and
by what a user would take instead: curl for WADO-RS, dcmtk's getscu for C-GET and movescu for C-MOVE, a series after the other.
Printed are instances a second, what each takes of this side's processor, and how much memory the pull took at most, of all
instances and of one series alone.
"""

import argparse
import base64
import io
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.uid import generate_uid

from cvtbatch.geometry import SliceStack
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.orthanc import AE_TITLE, PASSWORD, USER, Orthanc, running_orthanc
from tests.support.ports import free_port

SLICES = 250
OURS = "CVTBATCH"
Series = tuple[str, str]


def fill(orthanc: Orthanc, folder: Path, series: int) -> list[Series]:
    """Store series of noise, which nothing compresses; return the UIDs of study and series of each."""
    positions = tuple((0.0, 0.0, 0.6 * index) for index in range(SLICES))
    stack = SliceStack(512, 512, (0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), positions)
    hu = np.random.default_rng(1).integers(-1000, 1000, (SLICES, 512, 512)).astype(np.int16)
    write_series(folder / "series", hu, stack, SeriesTags("benchmark", "noise", 0.0))
    slices = [pydicom.dcmread(path) for path in sorted((folder / "series").iterdir())]
    shutil.rmtree(folder / "series")
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    found = []
    for _ in range(series):
        found.append((str(generate_uid()), str(generate_uid())))
        for one in slices:
            one.StudyInstanceUID, one.SeriesInstanceUID = found[-1]
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            content = io.BytesIO()
            pydicom.dcmwrite(content, one)
            url = f"http://127.0.0.1:{orthanc.http_port}/instances"
            headers = {"Authorization": f"Basic {login}"}
            urllib.request.urlopen(urllib.request.Request(url, content.getvalue(), headers), timeout=60).close()
    return found


class Cost(NamedTuple):
    """What a command took: seconds, seconds of the processor, and the most memory."""

    seconds: float
    processor_s: float
    memory_mb: float


def timed(command: Sequence[str]) -> Cost:
    """Run a command and return what it took."""
    started, before_s, peak_kb = time.monotonic(), _processor_s(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            # What wait4 tells is at least this process's own.
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            peak_kb = int(found[1]) if found else peak_kb
            time.sleep(0.02)
        if process.returncode:
            raise SystemExit(
                f"{command[0]} ended with {process.returncode}: {process.stderr and process.stderr.read()!r}"
            )
    return Cost(time.monotonic() - started, _processor_s() - before_s, peak_kb / 1e3)


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pulled(way: Sequence[str], out: Path, count: int) -> Cost:
    """Pull into a new folder; return what it took."""
    shutil.rmtree(out, ignore_errors=True)
    found = timed([sys.executable, "-m", "cvtbatch", "pull", *way, "--out", str(out)])
    if (there := sum(path.is_file() for path in out.rglob("*"))) != count:
        raise SystemExit(f"{there} of {count} instances came")
    return found


def other_tools(orthanc: Orthanc, found: Sequence[Series], out: Path, port: int) -> dict[str, list[Cost]]:
    """Return what the tools take that a user would take instead, series by series, by the way."""
    costs: dict[str, list[Cost]] = {"WADO-RS": [], "C-GET": [], "C-MOVE": []}
    web = orthanc.dicomweb.removeprefix("dicomweb+")
    peer = ["-aet", OURS, "-aec", AE_TITLE, "127.0.0.1", str(orthanc.dicom_port)]
    for study, series in found:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        url = f"{web}/studies/{study}/series/{series}"
        accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
        curl = ["curl", "-sf", "-u", f"{USER}:{PASSWORD}", "-H", accept, "-o", str(out / "reply"), url]
        keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}"]
        asked = [word for key in keys for word in ("-k", key)]
        get = ["getscu", "-S", *asked, "-od", str(out), *peer]
        move = ["movescu", "-S", *asked, "-od", str(out), "-aem", OURS, "+P", str(port), *peer]
        for way, command in (("WADO-RS", curl), ("C-GET", get), ("C-MOVE", move)):
            costs[way].append(timed(command))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=2000)
    count = parser.parse_args().instances // SLICES * SLICES
    os.environ.update(CVTBATCH_PACS_USER=USER, CVTBATCH_PACS_PASSWORD=PASSWORD)
    port = free_port()
    with tempfile.TemporaryDirectory() as name, running_orthanc(Path(name) / "orthanc", {OURS: port}) as orthanc:
        folder = Path(name)
        ways = {
            "WADO-RS": [orthanc.dicomweb],
            "C-GET": [orthanc.dimse],
            "C-MOVE": [orthanc.dimse, "--move-port", str(port)],
        }
        first = fill(orthanc, folder, 1)
        of_one = {way: pulled(source, folder / "out", SLICES).memory_mb for way, source in ways.items()}
        found = first + fill(orthanc, folder, count // SLICES - 1)
        others = other_tools(orthanc, found, folder / "other", port)
        for way, source in ways.items():
            cost = pulled(source, folder / "out", count)
            again = timed([sys.executable, "-m", "cvtbatch", "pull", *source, "--out", str(folder / "out")])
            other_s, other_processor_s = (sum(times) for times in list(zip(*others[way], strict=True))[:2])
            print(
                f"{way:8} {count / cost.seconds:4.0f} instances/s, {1e3 * cost.processor_s / count:.1f} ms of the processor each; "
                f"the other tool {count / other_s:.0f}/s, {1e3 * other_processor_s / count:.1f} ms; again {again.seconds:.1f} s; "
                f"memory {cost.memory_mb:.0f} MB, of {SLICES} {of_one[way]:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
