"""The fast way through a header gives what pydicom gives, or nothing."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from cvtbatch.ingest import scanned_files
from cvtbatch.ingest.listing import list_series
from cvtbatch.ingest.scanned_files import ScannedFile, pack, scan_file, unpack
from cvtbatch.ingest.sources import Source
from tests.support.outside_data import outside
from tests.support.series import multiframe, write

SLOW = (
    "deflated",
    "big endian",
    "no preamble",
    "sequence of agents",
    "private compression",
    "japanese",
    "letters in utf-8",
)


def _slowly(path: Path) -> ScannedFile:
    with path.open("rb") as file:
        return scanned_files._scan_slowly(str(path), file, 0, 0)


def _plainly(path: Path) -> ScannedFile | None:
    return scanned_files._scan_plainly(str(path), 0, 0)


def _same(path: Path) -> ScannedFile:
    """Read a file both ways; return what both gave."""
    slow, fast = _slowly(path), _plainly(path)
    assert fast in {None, slow} if fast is None else fast == slow
    assert scan_file(str(path), 0, 0) == slow
    return slow


def _recoded(syntax: str, implicit: bool = False, little: bool = True) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        whole = pydicom.Dataset()
        whole.update({element.tag: element for element in dataset})  # written anew, element by element
        whole.file_meta = dataset.file_meta
        pydicom.dcmwrite(path, whole, implicit_vr=implicit, little_endian=little, enforce_file_format=True)

    return save


def _edited(edit: Callable[[pydicom.Dataset], object]) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        dataset = pydicom.dcmread(path)
        edit(dataset)
        dataset.save_as(path)

    return save


def _add_private(dataset: pydicom.Dataset) -> None:
    """Put long private elements and nested sequences of undefined length before what is wanted."""
    block = dataset.private_block(0x0009, "A VENDOR", create=True)
    block.add_new(0x10, "OB", os.urandom(40_000))
    inner = pydicom.Dataset()
    inner.SliceThickness, inner.PatientID = "99", "OTHER"
    outer = pydicom.Dataset()
    outer.add_new(0x00081140, "SQ", [inner])
    for item in (inner, outer):
        item.is_undefined_length_sequence_item = True
    dataset.ReferencedStudySequence = [outer, outer]
    for sequence in (dataset["ReferencedStudySequence"], outer[0x00081140]):
        sequence.is_undefined_length = True
    dataset.add_new(0x00091011, "SQ", [inner])


def _without_preamble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[132:])


def _compressed_privately(dataset: pydicom.Dataset) -> None:
    dataset.private_block(0x07A1, "ELSCINT1", create=True).add_new(0x11, "LO", "PMSCT_RLE1")


def _tags(**values: object) -> Callable[[Path], None]:
    return _edited(lambda dataset: [setattr(dataset, name, value) for name, value in values.items()])


def _to_report(dataset: pydicom.Dataset) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"


ODD: dict[str, Callable[[Path], None]] = {
    "plain": lambda path: None,
    "implicit": _recoded(ImplicitVRLittleEndian, implicit=True),
    "deflated": _recoded(DeflatedExplicitVRLittleEndian),
    "big endian": _recoded(ExplicitVRBigEndian, little=False),
    "no preamble": _without_preamble,
    "private": _edited(_add_private),
    "private compression": _edited(_compressed_privately),
    "latin": _tags(SpecificCharacterSet="ISO_IR 100", SeriesDescription="Schädel nativ", PatientID="Ä 12 "),
    "utf-8": _tags(SpecificCharacterSet="ISO_IR 192", SeriesDescription="Kopf nativ", PatientName="Ö^Ä"),
    "letters in utf-8": _tags(SpecificCharacterSet="ISO_IR 192", SeriesDescription="CTA Schädel"),
    "japanese": _tags(SpecificCharacterSet="ISO_IR 13", ConvolutionKernel="FC~26"),
    "extensions": _tags(SpecificCharacterSet=["", "ISO 2022 IR 87"], ConvolutionKernel="FC26"),
    "no pixels": _edited(lambda dataset: dataset.__delitem__("PixelData")),
    "overlay": _edited(lambda dataset: dataset.add_new(0x60000102, "US", 12)),
    "padding": _edited(lambda dataset: dataset.add_new(0x00280120, "SS", -2000)),
    "several values": _tags(ConvolutionKernel="H31s\\3", KVP=["120", "80"], SliceThickness=" 5e0 "),
    "empty": _tags(KVP="", PatientID="", StudyInstanceUID="", AcquisitionNumber="", ImageType=""),
    "sequence of agents": _tags(ContrastBolusAgentSequence=[pydicom.Dataset()]),
    "report": _edited(_to_report),
    "scout": _tags(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
}


@pytest.mark.parametrize("name", ODD)
def test_both_ways_agree_on_odd_files(tmp_path: Path, name: str) -> None:
    write(tmp_path / "s", (5.0,), PatientID="17", StudyDate="20240531", StudyTime="1420", ConvolutionKernel="H31s")
    path = tmp_path / "s" / "0001.dcm"
    ODD[name](path)
    found = _same(path)
    assert found.listed.is_dicom
    assert (_plainly(path) is None) == (name in SLOW)


@pytest.mark.parametrize(("signed", "padding"), [(0, 63536), (1, -2000)])
def test_implicit_padding_has_the_sign_of_the_pixels(tmp_path: Path, signed: int, padding: int) -> None:
    write(tmp_path / "s", (5.0,), PixelRepresentation=signed)
    path = tmp_path / "s" / "0001.dcm"
    _edited(lambda dataset: dataset.add_new(0x00280120, "SS" if signed else "US", padding))(path)
    ODD["implicit"](path)
    assert _plainly(path) is not None
    assert _same(path).listed.headers[0].pixels.padding == (padding, padding)


def test_a_series_is_listed_alike_whichever_way_its_files_are_read(tmp_path: Path) -> None:
    write(tmp_path / "s", (5.0,) * 6, ConvolutionKernel="H31s", AcquisitionTime="101500.25")
    paths = sorted((tmp_path / "s").iterdir())
    for path, name in zip(paths, ("plain", "implicit", "big endian", "padding", "japanese", "overlay"), strict=False):
        ODD[name](path)
    slowly = [header for path in paths for header in _slowly(path).listed.headers]
    assert list_series(Source(tmp_path / "s")).headers == tuple(slowly)


def test_frames_of_an_enhanced_object_are_read_the_slow_way(tmp_path: Path) -> None:
    write(tmp_path / "s", (5.0,) * 3)
    multiframe(tmp_path / "s", tmp_path / "enhanced.dcm")
    assert _plainly(tmp_path / "enhanced.dcm") is None
    assert len(_same(tmp_path / "enhanced.dcm").listed.headers) == 4


def test_whatever_was_damaged_both_ways_agree_or_the_fast_one_passes(tmp_path: Path) -> None:
    """Bytes changed, lost and added all over the header."""
    write(tmp_path / "s", (5.0,), ConvolutionKernel="H31s", AcquisitionTime="101500.25")
    source, path, random_ = (tmp_path / "s" / "0001.dcm").read_bytes(), tmp_path / "x.dcm", random.Random(7)
    end = source.rindex(b"\xe0\x7f\x10\x00")
    read = 0
    for _ in range(250):
        damaged = bytearray(source[: end + 40])
        place = random_.randrange(128, end)
        damaged[place : place + random_.choice((0, 1, 1, 1, 2))] = random_.choice(
            (b"", b"A", b"\\", b" ", b"\0", b"7", b"\xe4")
        )
        path.write_bytes(damaged)
        fast, slow = _plainly(path), _slowly(path)
        if fast is not None:
            read += 1
            assert fast == slow
    assert read > 50


@pytest.mark.parametrize("folder", ["head_ct_ge", "cases", "segmentations"])
def test_both_ways_agree_on_real_files(folder: str) -> None:
    files = [path for path in outside(folder).rglob("*") if path.is_file()]
    found = [_same(path) for path in files]
    assert sum(_plainly(path) is not None for path in files) >= sum(bool(file.listed.headers) for file in found) > 0


def test_what_is_kept_is_what_was_read(tmp_path: Path) -> None:
    write(tmp_path / "s", (5.0,) * 3, ContrastBolusAgent="NONE")
    (tmp_path / "s" / "0002.dcm").write_bytes((tmp_path / "s" / "0002.dcm").read_bytes()[:700])
    (tmp_path / "s" / "notes.txt").write_text("read me")
    files = [scan_file(str(path), 1, 2) for path in sorted((tmp_path / "s").iterdir())]
    again = unpack(pack(files, f"{tmp_path}/"), "/elsewhere/")
    names = [file.listed.name.removeprefix(f"{tmp_path}/") for file in files]
    assert [file.listed.name for file in again] == [f"/elsewhere/{name}" for name in names]
    back = unpack(pack(files, f"{tmp_path}/"), f"{tmp_path}/")
    for one, other in zip(files, back, strict=True):
        # Errors are equal by what they say.
        assert (
            str(one.listed.error) == str(other.listed.error).replace("/s/", f"{tmp_path}/s/")
            or one.listed.error is None
        )
        assert replace(one, listed=replace(one.listed, error=None)) == replace(
            other, listed=replace(other.listed, error=None)
        )
