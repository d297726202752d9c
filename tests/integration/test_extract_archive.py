"""Images that a manifest names in an archive: extracted as from a folder, known by their instances, and nothing of them stays."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.errors import ProblemsError
from cvtbatch.ingest.writing import SeriesTags, write_mask_file, write_series
from cvtbatch.manifest import read_manifest
from cvtbatch.pacs.addresses import PLAIN_HTTP
from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.shared import archive_images
from cvtbatch.store import FeatureStore
from tests.support.archives import write_rows
from tests.support.commands import appended, extract_again, reasons, told
from tests.support.dicomweb_server import DicomwebServer, serve_dicomweb
from tests.support.mask_files import ball

# By table: what tells of the voxels.
VALUES = {"volumes": ["image_digest", "checksum", "flags", "source_format"], "rois": ["input_digest", "volume_ml"]}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DicomwebServer]:
    """Serve a head that lies in a folder too, each of which a manifest names."""
    monkeypatch.setattr(archive_images, "Retries", lambda: Retries(attempts=2, first_s=0.01))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    head = ball((5.0,) * 8)
    write_series(tmp_path / "folder" / "ct", head.hu(), head.stack, SeriesTags("Secret", "axial", 0.0))
    write_mask_file(tmp_path / "mask.nii.gz", head.mask(), head.stack)
    paths = sorted((tmp_path / "folder" / "ct").iterdir())
    header = pydicom.dcmread(paths[0])
    with serve_dicomweb({str(pydicom.dcmread(path).SOPInstanceUID): path.read_bytes() for path in paths}) as served:
        image = f"{served.url}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
        for name, entry in (("folder", "ct"), ("archive", image)):
            (tmp_path / name).mkdir(exist_ok=True)
            row = {"center": "A", "case_id": "1", "image": entry, "mask": "../mask.nii.gz"}
            write_rows(tmp_path / name / "manifest.csv", [row])
        yield served


def fetched(server: DicomwebServer) -> int:
    """Return how often files were asked for since the last time."""
    count = sum("?" not in path for path in server.requests)
    server.requests.clear()
    return count


def values(store: Path) -> dict[str, list[dict[str, object]]]:
    view = FeatureStore(str(store)).at(None)
    features = view.rows("radiomics", contracts.table("radiomics").arrow().names)
    names = [name for name in features.column_names if name.startswith("original_")]
    return {
        **{table: view.rows(table, columns).to_pylist() for table, columns in VALUES.items()},
        "radiomics": features.select(names).to_pylist(),
    }


def test_values_are_those_of_the_folder_and_nothing_is_fetched_twice(server: DicomwebServer, tmp_path: Path) -> None:
    extract_again(tmp_path / "folder")
    expected = values(tmp_path / "store")
    shutil.rmtree(tmp_path / "store")
    assert fetched(server) == 0
    extract_again(tmp_path / "archive")
    assert values(tmp_path / "store") == expected
    assert len(expected["radiomics"][0]) > 100
    assert fetched(server) == 1
    assert [*(tmp_path / "scratch").iterdir()] == []
    assert appended(extract_again(tmp_path / "archive")) == {}
    assert fetched(server) == 0
    manifest = tmp_path / "archive" / "manifest.csv"
    for command in ("results", "export-case A/1"):
        out = tmp_path / command.split()[0]
        told(f"{command} --store {tmp_path / 'store'} --manifest {manifest} --out {out}", 0)
        assert fetched(server) == 1
    written = pydicom.dcmread(next((tmp_path / "results").rglob("seg.dcm")), stop_before_pixels=True)
    assert f"/studies/{written.StudyInstanceUID}/" in manifest.read_text()
    # The same content under another UID is another object, and looked at.
    uid = next(iter(server.files))
    renewed = pydicom.dcmread(io.BytesIO(server.files[uid]))
    renewed.SOPInstanceUID = renewed.file_meta.MediaStorageSOPInstanceUID = f"{uid[:-4]}.1"
    content = io.BytesIO()
    pydicom.dcmwrite(content, renewed)
    del server.files[uid]
    server.files[str(renewed.SOPInstanceUID)] = content.getvalue()
    assert reasons(extract_again(tmp_path / "archive", "--dry-run")) == {"image changed": 1}


def test_an_archive_that_is_away_is_asked_again_by_the_next_run(server: DicomwebServer, tmp_path: Path) -> None:
    server.busy = [(503, "")] * 100
    found = extract_again(tmp_path / "archive", code=3)
    assert [(row["stage"], row["kind"]) for row in found["failures"]] == [("read", "source_unavailable")]  # type: ignore[attr-defined]
    server.busy = []
    assert extract_again(tmp_path / "archive")["computed"] == 1
    # What does not come whole is no image either.
    uid = next(iter(server.files))
    server.sent = {uid: server.files[uid][:-100]}
    found = extract_again(tmp_path / "archive", "--verify-inputs", code=3)
    assert [(row["stage"], row["kind"]) for row in found["failures"]] == [("read", "source_unavailable")]  # type: ignore[attr-defined]


def test_an_open_line_to_another_machine_is_taken_where_that_is_said(server: DicomwebServer, tmp_path: Path) -> None:
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    # Another machine by its name, and this one by who answers.
    manifest.write_text(manifest.read_text().replace("127.0.0.1", "0.0.0.0"))
    assert "--plain-http" in told(f"extract {manifest} --store {store} --workers 0", 1)
    assert server.requests == []
    assert extract_again(tmp_path / "archive", "--plain-http")["computed"] == 1
    assert PLAIN_HTTP not in os.environ
    server.requests.clear()
    assert "allow it by --plain-http" in told(f"check {manifest}", 3)
    assert server.requests == []
    told(f"check {manifest} --plain-http", 0)
    assert fetched(server) == 1


@pytest.mark.parametrize("name", ["pull", "extract", "check", "add-center", "results", "export-case", "predict"])
def test_every_command_that_connects_can_be_told_so(name: str) -> None:
    assert "--plain-http" in [text for parameter in cli.commands[name].params for text in parameter.opts]


def test_an_address_that_is_none_of_a_series_is_a_problem_of_its_row(tmp_path: Path) -> None:
    rows = [
        {"center": "A", "case_id": str(number), "image": f"dicomweb+{address}"}
        for number, address in enumerate(("https://pacs/studies/1.2/series/1.3", "https://pacs/studies/1.2", "pacs"))
    ]
    with pytest.raises(ProblemsError) as refused:
        read_manifest(write_rows(tmp_path / "manifest.csv", rows))
    assert [line[:5] for line in refused.value.private.splitlines()] == ["row 2", "row 3"]
    assert "/studies/UID/series/UID" in refused.value.private
