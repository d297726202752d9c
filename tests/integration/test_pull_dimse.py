"""`pull` by C-GET and C-MOVE from an archive of our own that is as bad as a test wants it: nothing is lost or doubled."""

import functools
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, RawDataStorage

from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.archive import pull
from tests.support.commands import told
from tests.support.dimse_server import DimseServer, serve_dimse
from tests.support.ports import free_port
from tests.support.pulls import pulled
from tests.support.small_archive import SLICES, small_archive

MOVE_PORT = free_port()
WAYS: dict[str, tuple[object, ...]] = {"get": (), "move": ("--move-port", MOVE_PORT)}
every_way = pytest.mark.parametrize("way", WAYS)
ONE_STUDY = ("--study-date", "20240101", "--connections", 1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return small_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def server(archive: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[DimseServer]:
    """Serve the archive to a `pull` that waits for milliseconds."""
    monkeypatch.setattr(pull, "Retries", functools.partial(Retries, first_s=0.01))
    with serve_dimse(dict(archive), {"CVTBATCH": MOVE_PORT}) as served:
        yield served


def pixels(out: Path) -> Counter[bytes]:
    """Return those of what is there, half-written files too."""
    return Counter(pydicom.dcmread(path).PixelData for path in out.rglob("*") if path.is_file())


def of(files: Mapping[str, bytes]) -> Counter[bytes]:
    return Counter(pydicom.dcmread(io.BytesIO(content)).PixelData for content in files.values())


@every_way
def test_what_breaks_off_or_is_busy_is_asked_for_again_in_part(
    way: str, server: DimseServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    server.busy = [0xA700, 0xA701]
    server.cut = [2, 0]
    found = pulled(server.url, tmp_path, *WAYS[way], *ONE_STUDY)
    assert (found["fetched"], found["failed"]) == (SLICES, [])
    assert pixels(tmp_path) == of(dict([*archive.items()][:SLICES]))
    # The whole series once, and then what was missing of it.
    assert server.retrieved == ["SERIES", *["IMAGE"] * (SLICES - 1)]


@every_way
def test_an_archive_that_stays_busy_ends_the_pull(way: str, server: DimseServer, tmp_path: Path) -> None:
    server.busy = [0xA700] * 100
    options = " ".join(map(str, WAYS[way]))
    assert "out of room or other resources (status A700H)" in told(f"pull {server.url} --out {tmp_path} {options}", 1)
    assert len(server.busy) == 100 - Retries().attempts


@every_way
def test_an_instance_that_is_cut_is_told_and_the_others_are_kept(
    way: str, server: DimseServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    broken = list(archive)[1]
    cut = pydicom.dcmread(io.BytesIO(archive[broken]))
    cut.PixelData = cut.PixelData[:-500]
    content = io.BytesIO()
    pydicom.dcmwrite(content, cut)
    server.sent = {broken: content.getvalue()}
    [failed] = pulled(server.url, tmp_path, *WAYS[way], *ONE_STUDY, code=3)["failed"]  # type: ignore[misc]
    assert failed["kind"] == "damaged_instance"
    assert sum(pixels(tmp_path).values()) == SLICES - 1
    server.sent = {}
    assert pulled(server.url, tmp_path, *WAYS[way], *ONE_STUDY)["fetched"] == 1


@every_way
def test_a_series_that_grows_is_told_and_the_next_run_has_the_rest(
    way: str, server: DimseServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    uid = list(archive)[2]
    server.later = {uid: server.files.pop(uid)}
    found = pulled(server.url, tmp_path, *WAYS[way], *ONE_STUDY, code=3)
    assert (found["fetched"], len(found["grew"]), found["failed"]) == (SLICES - 1, 1, [])  # type: ignore[arg-type]
    again = pulled(server.url, tmp_path, *WAYS[way], *ONE_STUDY)
    assert (again["fetched"], again["grew"]) == (1, [])


def of_class(content: bytes, class_uid: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = class_uid
    changed = io.BytesIO()
    pydicom.dcmwrite(changed, dataset)
    return changed.getvalue()


def test_a_series_comes_by_c_get_in_the_classes_that_it_is_of(
    archive: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "Retries", functools.partial(Retries, first_s=0.01))
    first, second, *others = archive
    # One that this archive gives, and one that it has and does not give.
    files = {
        **archive,
        first: of_class(archive[first], RawDataStorage),
        second: of_class(archive[second], EnhancedCTImageStorage),
    }
    with serve_dimse(files, {}, classes=(CTImageStorage, RawDataStorage)) as server:
        [failed] = pulled(server.url, tmp_path, *ONE_STUDY, code=3)["failed"]  # type: ignore[misc]
        assert failed["kind"] == "pacs_refused", failed
        assert "hands out no objects of the class Enhanced CT Image Storage by C-GET" in failed["message"]
        assert "--move-port" in failed["message"]
        assert pixels(tmp_path) == of({uid: archive[uid] for uid in (first, *others[: SLICES - 2])})
        # Where it does not say of which classes a series is, the usual ones are asked for, and what fails is told.
        server.untold = ("SOPClassUID",)
        [failed] = pulled(server.url, tmp_path / "untold", *ONE_STUDY, code=3)["failed"]  # type: ignore[misc]
        assert "could not send 2 of the objects" in failed["message"]
        assert sum(pixels(tmp_path / "untold").values()) == SLICES - 2
