"""`index` of an archive: headers are asked for once, and what it does not tell whole is not chosen from."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from cvtbatch import contracts
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.commands import cvtbatch, told
from tests.support.dicomweb_server import DicomwebServer, serve_dicomweb
from tests.support.index_runs import own_state, rows_of
from tests.support.mask_files import ball, datasets


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DicomwebServer]:
    """Two studies of eight slices."""
    own_state(tmp_path / "own", monkeypatch)
    head, files = ball((5.0,) * 7), {}
    for name in ("one", "two"):
        write_series(tmp_path / name, head.hu(), head.stack, SeriesTags(f"Secret {name}", name, 0.0))
        files |= {str(one.SOPInstanceUID): Path(one.filename).read_bytes() for one in datasets(tmp_path / name)}
    with serve_dicomweb(files) as served:
        yield served


def index(archive: DicomwebServer, tmp_path: Path, *more: object, code: int = 0) -> dict[str, object]:
    result = cvtbatch(
        "index", archive.url, "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0, "--json", *more
    )
    assert result.returncode == code, result.stderr
    assert not any(word in result.stdout for word in ("Secret", "1.2.826"))
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/index.json") == []
    return dict(document)


def headers_asked(archive: DicomwebServer) -> int:
    count = sum("/metadata" in path for path in archive.requests)
    archive.requests.clear()
    return count


def test_headers_are_asked_for_once_and_no_pixel_ever(archive: DicomwebServer, tmp_path: Path) -> None:
    assert [index(archive, tmp_path, "--description", "o*")[name] for name in ("rows_added",)] == [1]
    assert headers_asked(archive) == 1
    document = index(archive, tmp_path)
    assert (document["rows_added"], document["rows_kept"], document["files"], document["files_read"]) == (1, 1, 16, 8)
    assert headers_asked(archive) == 1
    assert index(archive, tmp_path)["rows_kept"] == 2
    assert (headers_asked(archive), [path for path in archive.requests if "?" not in path]) == (0, [])
    images = [row["image"] for row in rows_of(tmp_path / "one")]
    assert all(image.startswith(f"{archive.url}/studies/") and "/series/" in image for image in images)
    # One that loses a slice is another; the row stays.
    del archive.files[next(iter(archive.files))]
    assert len(index(archive, tmp_path)["changed"]) == 1  # type: ignore[arg-type]


def test_a_series_whose_headers_are_refused_is_left_out_and_asked_for_again(
    archive: DicomwebServer, tmp_path: Path
) -> None:
    archive.gone = {"/metadata"}
    assert "no CT of a study that is wanted" in told(
        f"index {archive.url} --center B --out {tmp_path / 'm.csv'} --workers 0", 1
    )
    archive.gone = set()
    assert index(archive, tmp_path)["rows_added"] == 2


@pytest.mark.parametrize("refused", ["studies/{study}/series", "/series/{series}"])
def test_a_study_or_a_series_that_is_refused_is_told_and_the_others_are_indexed(
    archive: DicomwebServer, tmp_path: Path, refused: str
) -> None:
    first = pydicom.dcmread(io.BytesIO(next(iter(archive.files.values()))))
    archive.gone = {refused.format(study=first.StudyInstanceUID, series=first.SeriesInstanceUID)}
    document = index(archive, tmp_path, code=3)
    assert (document["rows_added"], document["unreadable"]) == (1, {"pacs_refused": 1})
    archive.gone = set()
    document = index(archive, tmp_path)
    assert (document["rows_added"], document["rows_kept"], document["unreadable"]) == (1, 1, {})


def test_what_cannot_be_is_told(archive: DicomwebServer, tmp_path: Path) -> None:
    line = f"--center B --out {tmp_path / 'm.csv'} --workers 0"
    assert "tells no headers of slices: `cvtbatch pull`" in told(f"index dimse://PACS@127.0.0.1:104 {line}", 1)
    assert "about an archive: name one as SOURCE" in told(f"index {tmp_path / 'one'} --body-part HEAD {line}", 2)
    assert "about folders" in told(f"index {archive.url} --pattern {{center}}/{{study}} {line}", 2)
