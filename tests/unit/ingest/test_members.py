"""What lies beside a series or is not there: passed over and counted, read, or refused by the rule of `ingest.members`."""

import functools
import gzip
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless, generate_uid

from cvtbatch.ingest import image_fingerprint, members, read_volume, sources
from cvtbatch.ingest.fingerprint import READING_REVISION, list_files
from cvtbatch.ingest.listing import list_series
from cvtbatch.ingest.members import Content, may_be_damaged_slice, may_be_slice
from tests.support.failing_reads import kinds_of_failing_reads
from tests.support.series import HEAD, case, change, multiframe, refused, write


def without_suffixes(folder: Path, name: Callable[[int], str] = "IM{:04d}".format) -> None:
    for number, path in enumerate(sorted(folder.iterdir()), start=1):
        path.rename(path.with_name(name(number)))


# Links


def test_a_link_that_leads_nowhere_refuses_the_series_until_it_is_whole(tmp_path: Path) -> None:
    """As git-annex leaves a file that was not fetched."""
    hu = write(tmp_path / "s")
    annexed = tmp_path / "annex" / "objects" / "MD5E-s1--0.dcm"
    last = tmp_path / "s" / "0010.dcm"
    annexed.parent.mkdir(parents=True)
    last.rename(annexed)
    last.symlink_to("../annex/objects/MD5E-s1--0.dcm")
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
    aside = annexed.rename(tmp_path / "aside")
    missing = image_fingerprint(case(tmp_path / "s"))
    error = refused(tmp_path / "s")
    assert (error.kind, "1 file of the source is" in error.message, "git annex get" in error.message) == (
        "missing_members",
        True,
        True,
    )
    assert "0010.dcm" in error.private
    aside.rename(annexed)
    assert image_fingerprint(case(tmp_path / "s")) != missing
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


@pytest.mark.parametrize("name", ["README", "notes.txt", "dose.json", ".#lock", "LATEST"])
def test_links_of_other_names_that_lead_nowhere_are_counted(tmp_path: Path, name: str) -> None:
    hu = write(tmp_path / "s")
    (tmp_path / "s" / name).symlink_to("nowhere")
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "passed over: 1 link that leads nowhere" in volume.choice


def test_a_link_whose_name_is_too_long_leads_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "s")
    (tmp_path / "s" / "0011.dcm").symlink_to("x" * 300)
    assert refused(tmp_path / "s").kind == "missing_members"


def test_a_folder_is_walked_once_for_its_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "s")
    (tmp_path / "s" / "README").symlink_to("nowhere")
    walks: list[str] = []
    monkeypatch.setattr(sources, "list_files", lambda folder: walks.append(folder) or list_files(folder))
    assert "1 link that leads nowhere" in list_series(sources.Source(tmp_path / "s")).passed_over.told()
    assert walks == [str(tmp_path / "s")]


def test_a_link_in_a_circle_refuses(tmp_path: Path) -> None:
    write(tmp_path / "s")
    (tmp_path / "s" / "0011.dcm").symlink_to("0011.dcm")
    assert refused(tmp_path / "s").kind == "missing_members"


def test_links_to_folders_are_followed_without_end(tmp_path: Path) -> None:
    hu = write(tmp_path / "elsewhere" / "deep")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "deep" / "up").symlink_to("..")
    (tmp_path / "s" / "b").symlink_to(tmp_path / "s")
    (tmp_path / "s" / "c").symlink_to(tmp_path)
    (tmp_path / "s" / "d").symlink_to(tmp_path / "elsewhere" / "deep")
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.acquisition.duplicates_dropped == 0
    first = image_fingerprint(case(tmp_path / "s"))
    (tmp_path / "elsewhere" / "deep" / "0003.dcm").touch()
    assert image_fingerprint(case(tmp_path / "s")) != first


def test_a_folder_and_a_link_to_it_are_listed_once(tmp_path: Path) -> None:
    write(tmp_path / "s" / "z")
    for name in ("a", "zz"):
        (tmp_path / "s" / name).symlink_to("z")
    names = [name for name, _ in list_files(str(tmp_path / "s"))]
    assert [Path(name).name for name in names] == [f"{number:04d}.dcm" for number in range(1, 11)]


def test_a_fingerprint_moves_with_the_revision_of_reading_alone(tmp_path: Path) -> None:
    """Or a whole archive would be decoded again for nothing."""
    assert READING_REVISION == 4
    (tmp_path / "s" / "b").mkdir(parents=True)
    for name, time in (("b/2.dcm", 2), ("1.dcm", 1)):
        (tmp_path / "s" / name).write_bytes(b"x" * time)
        os.utime(tmp_path / "s" / name, ns=(time, time))
    assert image_fingerprint(case(tmp_path / "s")) == "75569b99aa7581e183e81780f9936276"


def test_what_is_no_file_is_counted_and_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "s")
    os.mkfifo(tmp_path / "s" / "0011.dcm")
    assert "passed over: 1 device or pipe" in read_volume(case(tmp_path / "s")).choice


# Compressed members


def compress(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


@pytest.mark.parametrize("some", [slice(3, 4), slice(None)])
def test_files_that_gzip_compressed_are_read(tmp_path: Path, some: slice) -> None:
    hu = write(tmp_path / "s")
    plain = read_volume(case(tmp_path / "s"))
    for path in sorted((tmp_path / "s").iterdir())[some]:
        compress(path)
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert (volume.image_digest(), volume.choice) == (plain.image_digest(), plain.choice)


def test_an_object_that_gzip_compressed_is_read(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    assert np.array_equal(read_volume(case(compress(tmp_path / "one.dcm"))).hu_zyx, hu)


def test_damaged_and_endless_compressed_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "s")
    packed = compress(tmp_path / "s" / "0010.dcm")
    good = packed.read_bytes()
    packed.write_bytes(good[:-20])
    assert refused(tmp_path / "s").kind == "unreadable_file"
    packed.write_bytes(good[:-8] + b"\0\0\0\0" + good[-4:])
    assert refused(tmp_path / "s").kind == "unreadable_file", "the checksum was not looked at"
    packed.write_bytes(b"")
    assert refused(tmp_path / "s").kind == "unreadable_file"
    monkeypatch.setattr(sources, "MEMBER_LIMIT_BYTES", 1 << 20)
    packed.write_bytes(gzip.compress(bytes(2 << 20)))
    assert refused(tmp_path / "s").kind == "too_large"


def test_slices_in_other_compressions_or_half_there_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "s")
    for name in ("0011.dcm.bz2", "0011.dcm.xz", "0011.DCM.part"):
        (tmp_path / "s" / name).write_bytes(b"BZh91AY")
        assert refused(tmp_path / "s").kind == "unreadable_file"
        (tmp_path / "s" / name).unlink()
    (tmp_path / "s" / "0010.dcm.json").write_text("{}")
    assert "1 not DICOM (.json)" in read_volume(case(tmp_path / "s")).choice


# Foreign files


FOREIGN = {
    "@eaDir/IM0001@SynoEAStream": b"\0\1\2",
    "@eaDir/IM0002/SYNOPHOTO_THUMB_M": b"\xff\xd8\xff\0",
    ".git/annex/objects/IM9": b"\0",
    "LOCKFILE": b"",
    "INDEX": b"\0\0\1\2",
    "VERSION": b"1.0\n\0",
    "DICOMDIR": b"\0" * 200,
    "thumbnail": b"\xff\xd8\xff\xe0\0\0",
    "IM0001.jpg": b"\xff\xd8\xff\xe0\0",
    "Thumbs.db": b"\0\1",
    "study.xml": b"<a/>",
    "viewer3": b"\x7fELF\2\1\1\0\0",
    "notes 2": b"as told by phone",
}


@pytest.mark.parametrize("suffix", [".dcm", ""])
@pytest.mark.parametrize("packed", [False, True])
def test_foreign_files_beside_a_series_are_passed_over_and_counted(tmp_path: Path, suffix: str, packed: bool) -> None:
    hu = write(tmp_path / "s")
    if not suffix:
        without_suffixes(tmp_path / "s")
    for name, content in FOREIGN.items():
        path = tmp_path / "s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    source = tmp_path / "s"
    if packed:
        source = tmp_path / "s.zip"
        with zipfile.ZipFile(source, "w") as out:
            for path in sorted((tmp_path / "s").rglob("*")):
                out.write(path, path.relative_to(tmp_path))
    volume = read_volume(case(source))
    assert np.array_equal(volume.hu_zyx, hu)
    for told in ("7 not DICOM", "1 not DICOM (.jpg)", "1 not DICOM (.db)", "of a file manager or system"):
        assert told in volume.choice


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\0" * 400, b"<html>404 Not Found</html>", b"\1\0" * 300])
@pytest.mark.parametrize(
    "names", ["{:04d}.dcm", "IM{:04d}", "{}", "1.2.840.{}.7", "image.{:03d}", "3fa85f64-{:04x}-4562"]
)
def test_a_damaged_slice_is_refused_whatever_its_name(tmp_path: Path, names: str, content: bytes) -> None:
    """At the end of a series nothing else would tell."""
    write(tmp_path / "s")
    without_suffixes(tmp_path / "s", names.format)
    (tmp_path / "s" / names.format(10)).write_bytes(content)
    assert refused(tmp_path / "s").kind == "unreadable_file"


def test_names_of_letters_alone_are_slices_where_all_are(tmp_path: Path) -> None:
    write(tmp_path / "s")
    without_suffixes(tmp_path / "s", lambda number: f"IAEG{'ABCDEFGHIJ'[number - 1]}")
    (tmp_path / "s" / "LOCKFILE").write_bytes(b"")
    assert len(read_volume(case(tmp_path / "s")).hu_zyx) == 10
    (tmp_path / "s" / "IAEGJ").write_bytes(b"\0" * 100)
    assert refused(tmp_path / "s").kind == "unreadable_file"


def test_the_rule_of_names() -> None:
    slices = ["s/IM0001", "s/IM0002"]
    assert all(
        may_be_slice(name) for name in ("a/1.dcm", "1.DCM.GZ", "x.ima", "IM12", "12", "1.2.3", "x.dcm.tmp", "IM1.gz")
    )
    assert not any(
        may_be_slice(name) for name in ("1.nii.gz", "a.txt", "._1.dcm", "_x", "dicomdir", "1.tar.gz", "x.tmp")
    )
    assert (may_be_slice("data"), may_be_slice("data", slices)) == (True, False)
    assert may_be_damaged_slice("IM0003", Content.OTHER, slices)
    assert not may_be_damaged_slice("notes3", Content.OTHER, slices)
    assert may_be_damaged_slice("notes3", Content.BINARY, slices)
    assert members.content_of(b"\x7fELF\0") == Content.OTHER


# Damaged files of other series


def in_another_series(tmp_path: Path, **tags: object) -> tuple[np.ndarray, Path, str]:
    """Write two series in one folder and return the HU of the chosen one, a file of the other, and the other's UID."""
    hu = write(tmp_path / "s" / "1", HEAD, "native")
    write(tmp_path / "s" / "2", HEAD, "other", ImageType=["DERIVED", "SECONDARY", "AXIAL"], **tags)
    path = tmp_path / "s" / "2" / "0018.dcm"
    return hu, path, str(pydicom.dcmread(path).SeriesInstanceUID)


def test_a_damaged_file_refuses_the_series_that_it_names_alone(tmp_path: Path) -> None:
    hu, path, uid = in_another_series(tmp_path)
    good = path.read_bytes()
    at = good.index(b"\x20\x00\x0e\x00UI")
    sound = good.index(b"\x28\x00\x10\x00US")
    spoilt = good[:sound] + b"\x28\x00\x10\x00SQ\0\0\xff\xff\xff\xff" + b"\1" * 300
    path.write_bytes(spoilt)
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "1 damaged file of another series" in volume.choice
    assert refused(tmp_path / "s", series_uid=uid).kind == "unreadable_file"
    path.write_bytes(good[: at + 4] + b"\xff" * 40)
    assert refused(tmp_path / "s").kind in {"unreadable_file", "missing_geometry"}, "its series cannot be told"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", ["cut at the end", "cut in the pixels", "checksum", "a flipped run"])
def test_a_damaged_compressed_file_refuses_its_own_series_alone(tmp_path: Path, damage: str, packed: bool) -> None:
    noise = np.random.default_rng(1).integers(0, 255, 1 << 16, np.uint8).tobytes()
    hu, path, uid = in_another_series(tmp_path)
    change(tmp_path / "s" / "2", lambda dataset: dataset.add_new(0x7FE10011, "OB", noise), only=[17])
    path = compress(path)
    good = path.read_bytes()
    spoilt = {
        "cut at the end": good[:-5],
        "cut in the pixels": good[: len(good) // 2],
        "checksum": good[:-8] + b"\0\0\0\0" + good[-4:],
        "a flipped run": good[:-3000] + b"\xff" * 2000 + good[-1000:],
    }
    path.write_bytes(spoilt[damage])
    source = Path(shutil.make_archive(str(tmp_path / "s"), "zip", tmp_path / "s")) if packed else tmp_path / "s"
    volume = read_volume(case(source))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "1 damaged file of another series" in volume.choice
    assert refused(source, series_uid=uid).kind == "unreadable_file"


@pytest.mark.parametrize("end", [None, -20, 30])
def test_what_gzip_compressed_and_is_no_dicom_is_foreign_whole_or_cut(tmp_path: Path, end: int | None) -> None:
    hu = write(tmp_path / "s")
    (tmp_path / "s" / "backup2020.gz").write_bytes(gzip.compress(b"texts/1\0\0\0" + bytes(range(256)) * 20)[:end])
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "passed over: 1 not DICOM (.gz)" in volume.choice


@pytest.mark.parametrize("content", [b"\0" * 400, b"no slice"])
def test_a_compressed_file_named_as_the_slices_are_is_one(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "s")
    without_suffixes(tmp_path / "s")
    compress(tmp_path / "s" / "IM0004")
    (tmp_path / "s" / "IM0010").unlink()
    assert len(read_volume(case(tmp_path / "s")).hu_zyx) == 9
    (tmp_path / "s" / "IM0010.gz").write_bytes(gzip.compress(content))
    assert refused(tmp_path / "s").kind == "unreadable_file"


@pytest.mark.parametrize("tag", [b"\x20\x00\x32\x00DS", b"\x28\x00\x10\x00US", b"\x28\x00\x30\x00DS"])
def test_a_file_that_ends_early_refuses_its_own_series_alone(tmp_path: Path, tag: bytes) -> None:
    hu, path, uid = in_another_series(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[: good.index(tag)])
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
    assert refused(tmp_path / "s", series_uid=uid)


def test_a_slice_of_the_chosen_series_without_a_place_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD)
    change(tmp_path / "s", lambda dataset: delattr(dataset, "ImagePositionPatient"), only=[17])
    change(tmp_path / "s", lambda dataset: setattr(dataset, "FrameOfReferenceUID", generate_uid()), only=[17])
    assert refused(tmp_path / "s").kind == "missing_geometry"


def test_a_damaged_object_of_another_class_is_no_slice(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")
    write(tmp_path / "x", (5.0,), "report", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", Modality="SR")
    data = (tmp_path / "x" / "0001.dcm").read_bytes()
    place = data.index(b"\x20\x00\x0d\x00UI")
    (tmp_path / "s" / "dose.dcm").write_bytes(data[:place] + b"\x20\x00\x0d\x00SQ\0\0\xff\xff\xff\xff" + b"\1" * 300)
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "1 X-Ray Radiation Dose SR" in volume.choice


# Disks that fail


def test_wherever_reading_fails_the_source_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system fails every single read in turn, of headers and of pixels; no library makes damage of it."""
    write(tmp_path / "s", (5.0,) * 3)
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted((tmp_path / "s").iterdir()):
            out.write(path, path.name)
    shutil.make_archive(str(tmp_path / "s"), "gztar", tmp_path / "s")
    shutil.copytree(tmp_path / "s", tmp_path / "rle")
    change(tmp_path / "rle", lambda dataset: dataset.compress(RLELossless))
    compress(tmp_path / "s" / "0002.dcm")
    for name in ("s", "one.dcm", "s.zip", "s.tar.gz", "rle"):
        kinds = kinds_of_failing_reads(monkeypatch, functools.partial(read_volume, case(tmp_path / name)))
        assert len(kinds) > 1, name
        assert set(kinds) == {"source_unavailable"}, name
