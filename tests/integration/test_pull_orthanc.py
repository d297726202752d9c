"""`pull` from a real PACS: by WADO-RS, C-GET and C-MOVE alike, whoever is killed on the way."""

import functools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

from cvtbatch.downloads import read_file
from cvtbatch.ingest import read_volume
from cvtbatch.manifest import read_manifest
from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.archive import pull
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from tests.support.archives import write_rows
from tests.support.commands import cvtbatch, told
from tests.support.index_runs import own_state, rows_of, run_index
from tests.support.orthanc import PASSWORD, USER, Orthanc, running_orthanc
from tests.support.outside_data import outside
from tests.support.ports import free_port

MOVE_PORT = free_port()
# 28 slices of half a megabyte come in some seconds.
SLOW = ("--rate", "4000000", "--connections", "1")


@pytest.fixture(scope="module")
def head() -> dict[str, bytes]:
    """The pixels of a real head's slices, by SOPInstanceUID."""
    files = sorted(outside("head_ct_ge").iterdir())
    return {str(one.SOPInstanceUID): one.PixelData for one in map(_read, files)}


def _read(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(read_file(path)))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A PACS that has the head, and knows us."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), {"CVTBATCH": MOVE_PORT}) as running:
        for path in outside("head_ct_ge").iterdir():
            running.store(read_file(path))
        yield running


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a password, and no long waits in this process."""
    monkeypatch.setattr(pull, "Retries", functools.partial(Retries, first_s=0.01))
    monkeypatch.setenv("CVTBATCH_PACS_USER", USER)
    monkeypatch.setenv("CVTBATCH_PACS_PASSWORD", PASSWORD)


def pixels(out: Path) -> dict[str, bytes]:
    found = [pydicom.dcmread(path) for path in out.rglob("*") if path.is_file()]
    assert len({one.SOPInstanceUID for one in found}) == len(found)
    return {str(one.SOPInstanceUID): one.PixelData for one in found}


def test_every_way_gives_the_same_pixels_and_index_takes_them(
    orthanc: Orthanc, head: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {"wado": [orthanc.dicomweb], "get": [orthanc.dimse], "move": [orthanc.dimse, "--move-port", MOVE_PORT]}
    for name, way in ways.items():
        cvtbatch("pull", *way, "--modality", "CT", "--body-part", "HEAD", "--out", tmp_path / name, check=True)
        assert pixels(tmp_path / name) == head
        for path in sorted((tmp_path / name).rglob("*.dcm"))[::15]:
            path.unlink()
        again = cvtbatch("pull", *way, "--out", tmp_path / name, check=True)
        assert "2 fetched" in again.stdout
        assert pixels(tmp_path / name) == head
    assert len({tuple(sorted(path.name for path in (tmp_path / name).rglob("*"))) for name in ways}) == 1
    own_state(tmp_path / "state", monkeypatch)
    run_index(tmp_path / "get")
    [row] = rows_of(tmp_path / "get")
    assert (row["x_state"], [tmp_path / row["image"]]) == ("chosen", [*(tmp_path / "get").glob("*/*")])


def test_an_image_in_the_archive_is_that_of_the_folder(orthanc: Orthanc, tmp_path: Path) -> None:
    (tmp_path / "head").mkdir()
    for path in outside("head_ct_ge").iterdir():
        (tmp_path / "head" / path.name.removesuffix(".gz")).write_bytes(read_file(path))
    header = pydicom.dcmread(next((tmp_path / "head").iterdir()))
    image = f"{orthanc.dicomweb}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
    rows = [{"center": "A", "case_id": name, "image": name} for name in ("head", image)]
    rows[1]["case_id"] = "archive"
    images = []
    for case in read_manifest(write_rows(tmp_path / "manifest.csv", rows)):
        with case_at_hand(case) as here:
            images.append(read_volume(here))
    assert images[0].image_digest() == images[1].image_digest()
    assert not Path(here.image).exists()


def wait_for(out: Path, files: int, running: subprocess.Popen[str]) -> int:
    """Wait until some files are there, and return how many there are."""
    end = time.monotonic() + 60
    while (there := len([*out.rglob("*.dcm")])) < files:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return there


def test_whoever_is_killed_nothing_is_lost_or_doubled(orthanc: Orthanc, head: dict[str, bytes], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cvtbatch", "pull", orthanc.dicomweb, "--out", str(tmp_path), *SLOW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        wait_for(tmp_path, 4, running)
        assert "another process pulls into this folder" in told(f"pull {orthanc.dicomweb} --out {tmp_path}", 1)
        orthanc.kill()
        orthanc.start()
        # It waits, and goes on with what is missing.
        wait_for(tmp_path, len([*tmp_path.rglob("*.dcm")]) + 4, running)
        running.send_signal(signal.SIGKILL)
    there = len([*tmp_path.rglob("*.dcm")])
    assert 8 <= there < len(head)
    assert f"{len(head) - there} fetched" in cvtbatch("pull", orthanc.dicomweb, "--out", tmp_path, check=True).stdout
    assert pixels(tmp_path) == head


# pynetdicom leaves a socket whose other end is dead to whoever collects garbage.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*<socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", [(), ("--move-port", MOVE_PORT)])
def test_an_archive_that_dies_while_it_sends_is_waited_for(
    way: tuple[object, ...],
    orthanc: Orthanc,
    head: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pull, "Retries", functools.partial(Retries, first_s=0.5))

    def fell() -> None:
        while len([*tmp_path.rglob("*.dcm")]) < len(head) - 8:
            time.sleep(0.02)
        orthanc.kill()
        orthanc.start()

    with ThreadPoolExecutor(1) as threads:
        felled = threads.submit(fell)
        done = cvtbatch("pull", orthanc.dimse, *way, "--out", tmp_path, "--rate", "8000000", check=True)
        felled.result()
    assert f"{len(head)} fetched" in done.stdout
    assert pixels(tmp_path) == head


def test_whom_the_archive_does_not_know_is_told_so(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVTBATCH_PACS_PASSWORD", "a guess")
    text = told(f"pull {orthanc.dicomweb} --out {tmp_path}", 1)
    assert "does not let us in (HTTP 401)" in text
    assert "a guess" not in text
    wrong = orthanc.dimse.replace("ORTHANC", "NOBODY")
    assert "does not know the AE title" in told(f"pull {wrong} --out {tmp_path}", 1)
    stranger = f"pull {orthanc.dimse} --ae-title STRANGER --out {tmp_path}"
    assert "as ours 'STRANGER', that they do not know" in told(stranger, 1)
