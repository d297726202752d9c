"""Zip and tar archives of a series: read as the folder is, or refused with a kind; nothing is written."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cvtbatch.ingest import archives, image_fingerprint, read_volume
from tests.support.series import case, refused, write

SUFFIXES = ("zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")


def pack(folder: Path, archive: Path) -> Path:
    """Pack a folder, and files that no series has, under the name's kind of archive."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            out.mkdir("study")
            for path in files:
                out.write(path, f"study/{path.relative_to(folder)}")
            out.writestr("__MACOSX/study/._0001.dcm", b"\0\5\x16\7")
            out.writestr("study/README.txt", "notes")
        return archive
    mode = "w:" + {"gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz"}.get(archive.name.rpartition(".")[2], "")
    with tarfile.open(archive, mode) as out:
        out.add(folder, "study")
    return archive


def test_a_folder_that_holds_an_archive_is_told_how_to_name_it(tmp_path: Path) -> None:
    write(tmp_path / "s")
    (tmp_path / "packed").mkdir()
    pack(tmp_path / "s", tmp_path / "packed" / "s.zip")
    error = refused(tmp_path / "packed")
    assert (error.kind, "an archive is named by its file" in error.message) == ("no_ct_series", True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_is_read_as_its_folder(tmp_path: Path, suffix: str) -> None:
    hu = write(tmp_path / "s" / "a" / "b")
    write(tmp_path / "s" / "scout", (5.0,), "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    folder = read_volume(case(tmp_path / "s"))
    archive = pack(tmp_path / "s", tmp_path / f"s.{suffix}")
    before = sorted(tmp_path.rglob("*"))
    volume = read_volume(case(archive))
    assert np.array_equal(volume.hu_zyx, hu)
    assert (volume.image_digest(), volume.acquisition) == (folder.image_digest(), folder.acquisition)
    assert sorted(tmp_path.rglob("*")) == before
    first = image_fingerprint(case(archive))
    archive.write_bytes(archive.read_bytes() + b"\0")
    assert image_fingerprint(case(archive)) != first


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_archives_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    write(tmp_path / "s")
    archive = pack(tmp_path / "s", tmp_path / f"s.{suffix}")
    data = archive.read_bytes()
    if suffix == "tar":  # its end is padding, which may be cut
        with tarfile.open(archive) as packed:
            data = data[: packed.getmembers()[-1].offset_data + 1500]
    archive.write_bytes(data[: int(len(data) * share)])
    assert refused(archive).kind == "damaged_archive"


def test_a_tar_that_is_cut_between_two_files_is_refused(tmp_path: Path) -> None:
    """Python's reader takes it for a shorter archive."""
    write(tmp_path / "s")
    archive = pack(tmp_path / "s", tmp_path / "s.tar")
    with tarfile.open(archive) as packed:
        cut = packed.getmembers()[-1].offset
    archive.write_bytes(archive.read_bytes()[:cut])
    with tarfile.open(archive) as packed:
        assert len(packed.getmembers()) == 10
    assert refused(archive).kind == "damaged_archive"


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s")
    archive = pack(tmp_path / "s", tmp_path / "s.zip")
    data = bytearray(archive.read_bytes())
    data[4000:4040] = bytes(40)
    archive.write_bytes(data)
    assert refused(archive).kind == "damaged_archive"


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")
    archive = tmp_path / "deep" / "s.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted((tmp_path / "s").iterdir()):
            out.write(path, f"../../escaped/{path.name}")
    assert np.array_equal(read_volume(case(archive)).hu_zyx, hu)
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    write(tmp_path / "s")
    archive = pack(tmp_path / "s", tmp_path / "s.tar")
    with tarfile.open(archive, "a") as out:
        info = tarfile.TarInfo("study/0011.dcm")
        info.type, info.linkname = kind, "/etc/passwd"
        out.addfile(info)
    assert refused(archive).kind == "unsafe_archive"


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s")
    archive = pack(tmp_path / "s", tmp_path / "s.zip")
    data = bytearray(archive.read_bytes())
    place = -1
    while (place := data.find(b"PK\1\2", place + 1)) >= 0:
        data[place + 8] |= 1
    archive.write_bytes(data)
    assert refused(archive).kind == "encrypted_archive"


def test_bombs_are_refused_with_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "s")
    zipped = pack(tmp_path / "s", tmp_path / "s.zip")
    data = bytearray(zipped.read_bytes())
    place = data.rfind(b"PK\1\2")
    data[place + 24 : place + 28] = struct.pack("<I", 3 << 30)
    zipped.write_bytes(data)
    error = refused(zipped)
    assert (error.kind, "3.0 GiB" in error.message) == ("archive_too_large", True)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as out:
        info = tarfile.TarInfo("a.dcm")
        info.size = 30 << 20
        out.addfile(info, io.BytesIO(bytes(30 << 20)))
    assert (tmp_path / "bomb.tar.gz").stat().st_size < 1 << 17
    monkeypatch.setattr(archives, "MEMBER_LIMIT_BYTES", 1 << 20)
    assert refused(tmp_path / "bomb.tar.gz").kind == "archive_too_large"
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 5)
    assert refused(pack(tmp_path / "s", tmp_path / "s.tar")).kind == "archive_too_large"


def test_the_header_of_a_tar_cannot_take_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long name is read whole before anything is known of its member."""
    monkeypatch.setattr(archives, "MEMBER_LIMIT_BYTES", 1 << 20)
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as out:
        info = tarfile.TarInfo("n" * (2 << 20))
        out.addfile(info)
    assert refused(tmp_path / "s.tar.gz").kind == "archive_too_large"


def test_an_archive_without_a_series(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as out:
        out.writestr("notes.txt", "nothing here")
    assert refused(tmp_path / "s.zip").kind == "no_ct_series"
    with zipfile.ZipFile(tmp_path / "s.zip", "w"):
        pass
    assert refused(tmp_path / "s.zip").kind == "no_ct_series"
