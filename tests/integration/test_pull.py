"""`pull` from a server of our own that is as bad as a test wants it: what comes is whole, and nothing is lost or doubled."""

import functools
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pydicom
import pytest

from cvtbatch.engine.certificates import make_certificates
from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.archive import pull
from tests.support.commands import cvtbatch, told
from tests.support.dicomweb_server import DicomwebServer, serve_dicomweb
from tests.support.pulls import pulled
from tests.support.small_archive import SLICES, small_archive
from tests.support.stub_archive import stub_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return three studies of one small series each, by SOPInstanceUID."""
    return small_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def server(archive: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[DicomwebServer]:
    """Serve the archive to a `pull` that waits for milliseconds."""
    monkeypatch.setattr(pull, "Retries", functools.partial(Retries, first_s=0.01))
    with serve_dicomweb(dict(archive)) as served:
        yield served


def files_in(out: Path) -> Counter[bytes]:
    """Return what is there, half-written files too."""
    return Counter(path.read_bytes() for path in out.rglob("*") if path.is_file())


def holds(out: Path, files: Mapping[str, bytes]) -> bool:
    return files_in(out) == Counter(files.values())


def test_files_come_as_they_are_and_once(server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    assert pulled(server.url, out, "--dry-run")["instances"] == 3 * SLICES
    assert not out.exists()
    first = pulled(server.url, out)
    assert (first["studies"], first["series"], first["fetched"], first["there"]) == (3, 3, 3 * SLICES, 0)
    assert first["bytes"] == sum(map(len, archive.values()))
    assert holds(out, archive)
    assert not any(one in str(path) for path in out.rglob("*") for one in ("ecret", "2024", "2.25", "1.2."))
    lost, cut = sorted(out.rglob("*.dcm"))[:2]
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-100])
    server.requests.clear()
    again = pulled(server.url, out)
    assert (again["fetched"], again["there"]) == (2, 3 * SLICES - 2)
    assert sum(path.count("/") == 7 for path in server.requests if "?" not in path) == 2
    assert holds(out, archive)


def test_what_the_archive_does_not_filter_is_filtered(server: DicomwebServer, tmp_path: Path) -> None:
    (tmp_path / "wanted.txt").write_text("SECRET1\nSECRET7\nSECRET8\n")
    for options, series in (
        (["--study-date", "20240101-20240531"], 1),
        (["--study-date", "20240101-"], 2),
        (["--modality", "MR"], 0),
        (["--modality", "CT", "--body-part", "HEAD", "--description", "AX*"], 3),
        (["--accessions", str(tmp_path / "wanted.txt")], 1),
    ):
        found = pulled(server.url, tmp_path / "out", "--dry-run", *options)
        assert found["series"] == series, options
    assert found["unknown_accessions"] == 2
    # The terminal is told whose they are.
    assert "SECRET7, SECRET8" in cvtbatch("pull", server.url, "--out", tmp_path, "--dry-run", *options).stderr


def test_pages_are_turned_to_the_last(server: DicomwebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.page = 2
    assert pulled(server.url, tmp_path / "out")["fetched"] == 3 * SLICES
    server.page, server.forgets_offset = 0, True
    assert "3 series" in told(f"pull {server.url} --out {tmp_path} --dry-run", 0)
    monkeypatch.setattr("cvtbatch.pacs.dicomweb_archive.PAGE", 2)
    assert "narrow the selection" in told(f"pull {server.url} --out {tmp_path} --dry-run", 1)


def test_replies_that_break_off_are_asked_for_again_in_part(
    server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    size = len(next(iter(archive.values())))
    server.cut = [2 * size + 300, size // 2, 3 * size]
    found = pulled(server.url, tmp_path / "out", "--connections", 1)
    assert (found["fetched"], found["failed"]) == (3 * SLICES, [])
    assert holds(tmp_path / "out", archive)


def test_an_instance_that_stays_cut_is_told_and_the_others_are_kept(
    server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    first, broken, *_, other = archive
    server.sent = {broken: archive[broken][:-5000], other: archive[first]}
    found = pulled(server.url, tmp_path / "out", code=3)
    assert sorted(one["kind"] for one in found["failed"]) == ["damaged_instance", "pacs_unavailable"]  # type: ignore[attr-defined]
    whole = {uid: content for uid, content in archive.items() if uid not in {broken, other}}
    assert holds(tmp_path / "out", whole)
    server.sent = {}
    assert pulled(server.url, tmp_path / "out")["fetched"] == 2
    assert holds(tmp_path / "out", archive)


def test_a_series_that_cannot_be_given_at_once_is_asked_for_one_by_one(
    server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    server.refuses_series = True
    assert pulled(server.url, tmp_path / "out")["fetched"] == 3 * SLICES
    assert holds(tmp_path / "out", archive)


def test_a_series_that_grows_is_told_and_the_next_run_has_the_rest(
    server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    uid = list(archive)[2]
    server.later = {uid: server.files.pop(uid)}
    found = pulled(server.url, tmp_path / "out", "--connections", 1, code=3)
    assert (found["fetched"], len(found["grew"]), found["failed"]) == (3 * SLICES - 1, 1, [])  # type: ignore[arg-type]
    again = pulled(server.url, tmp_path / "out")
    assert (again["fetched"], again["grew"]) == (1, [])
    assert holds(tmp_path / "out", archive)


def test_what_is_gone_or_refused_is_told_and_the_others_come(
    server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    first, second, third = (pydicom.dcmread(io.BytesIO(content)) for content in [*archive.values()][::SLICES])
    server.gone = {f"{first.StudyInstanceUID}/series", f"{second.SeriesInstanceUID}/instances", third.SOPInstanceUID}
    server.cut = [10]
    found = pulled(server.url, tmp_path / "out", code=3)
    assert [one["kind"] for one in found["failed"]] == ["pacs_refused"] * 3  # type: ignore[attr-defined]
    whole = dict([*archive.items()][2 * SLICES + 1 :])
    assert holds(tmp_path / "out", whole)
    server.gone = set()
    assert pulled(server.url, tmp_path / "out")["fetched"] == 2 * SLICES + 1


def test_a_list_that_is_shorter_than_the_count_is_told(server: DicomwebServer, tmp_path: Path) -> None:
    server.overcounts = 2
    found = pulled(server.url, tmp_path / "out", "--study-date", "20240101", code=3)
    [failed] = found["failed"]  # type: ignore[misc]
    assert (found["fetched"], failed["kind"]) == (SLICES, "pacs_refused")
    assert f"lists {SLICES} instances of the series, and counts {SLICES + 2}" in failed["message"]


def test_a_busy_archive_is_asked_again_and_one_that_stays_so_ends_the_pull(
    server: DicomwebServer, archive: Mapping[str, bytes], tmp_path: Path
) -> None:
    server.busy = [(503, "0"), (429, "0"), (503, "")]
    assert pulled(server.url, tmp_path / "out", "--connections", 1)["fetched"] == 3 * SLICES
    asked = len(server.requests)
    server.busy = [(503, "")] * 1000
    text = told(f"pull {server.url} --out {tmp_path / 'out'}", 1)
    assert "busy or away (HTTP 503)" in text
    assert len(server.requests) - asked == Retries().attempts
    server.busy = [(429, "86400")]
    assert "HTTP 429" in told(f"pull {server.url} --out {tmp_path / 'out'}", 1)
    assert holds(tmp_path / "out", archive)


def test_a_certificate_that_is_not_trusted_ends_it(tmp_path: Path) -> None:
    make_certificates(tmp_path / "certs", ["127.0.0.1"])
    with stub_archive(tmp_path / "certs") as stub:
        assert "certificate is not trusted" in told(f"pull {stub.address} --out {tmp_path / 'out'}", 1)
        assert stub.asked == []


@pytest.mark.parametrize(
    ("line", "code", "answer"),
    [
        ("https://pacs/dicom-web", 1, "dicomweb+https://HOST/PATH"),
        ("dicomweb+https://alice:pw@pacs/dicom-web", 1, "environment or a netrc file"),
        ("dicomweb+http://pacs.example.org/dicom-web", 1, "--plain-http"),
        ("dicomweb+https://pacs/dicom-web --move-port 104", 1, "leave --move-port out"),
        ("dimse://PACS@pacs:104 --ae-title " + 17 * "A", 1, "1 to 16 printable characters"),
        ("dimse://PACS@pacs:104 --at-night 8pm", 1, "write 20:00-06:00"),
        ("dimse://PACS@pacs:104 --study-date 2024", 1, "no range of days"),
        ("dimse://PACS@pacs:104 --rate fast", 2, "not a whole number"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(
    line: str, code: int, answer: str, tmp_path: Path
) -> None:
    assert answer in told(f"pull {line} --out {tmp_path / 'out'}", code)
    assert not (tmp_path / "out").exists()
