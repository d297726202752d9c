"""Pixels of DICOM slices: codecs to equal bits, stored bits, padding, and what is no HU."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.listing import list_series
from cvtbatch.ingest.pixels import _to_hounsfield
from cvtbatch.ingest.sources import Source
from tests.support.paths import DATA
from tests.support.series import HEAD, case, change, converted, multiframe, recode, refused, stored_as, write

SIZE = (64, 64)
STORED = {"u16": (16, False), "u12": (12, False), "s16": (16, True), "s12": (12, True)}
ENCODERS = {
    "RLE": lambda folder: change(folder, lambda dataset: dataset.compress(RLELossless)),
    "JPEG-LS": lambda folder: change(folder, lambda dataset: dataset.compress(JPEGLSLossless)),
    "JPEG 2000": lambda folder: change(folder, lambda dataset: dataset.compress(JPEG2000Lossless)),
    "gdcm RLE": lambda folder: recode(folder, gdcm.TransferSyntax.RLELossless),
    "gdcm JPEG-LS": lambda folder: recode(folder, gdcm.TransferSyntax.JPEGLSLossless),
    "gdcm JPEG 2000": lambda folder: recode(folder, gdcm.TransferSyntax.JPEG2000Lossless),
    "JPEG lossless": lambda folder: recode(folder, gdcm.TransferSyntax.JPEGLosslessProcess14),
    "JPEG lossless SV1": lambda folder: recode(folder, gdcm.TransferSyntax.JPEGLosslessProcess14_1),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_lossless_codecs_give_equal_bits(tmp_path: Path, encoder: str, stored: str) -> None:
    hu = write(tmp_path / "s", gaps=(5.0, 5.0), size=SIZE)
    change(tmp_path / "s", stored_as(*STORED[stored]))
    before = pydicom.dcmread(tmp_path / "s" / "0001.dcm").file_meta.TransferSyntaxUID
    ENCODERS[encoder](tmp_path / "s")
    volume = read_volume(case(tmp_path / "s"))
    assert volume.acquisition.transfer_syntax not in {None, before}
    assert volume.hu_zyx.dtype == np.int16
    assert np.array_equal(volume.hu_zyx, hu)


def test_a_high_throughput_jpeg_2000_frame_of_openjph(tmp_path: Path) -> None:
    """No codec that is installed writes HTJ2K: the frame was written once by OpenJPH, and is kept beside its pixels."""
    write(tmp_path / "s", gaps=(5.0, 5.0), size=SIZE)
    frame, stored = (DATA / "htj2k_frame.j2c").read_bytes(), np.load(DATA / "htj2k_frame.npy")

    def encode(dataset: pydicom.Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True

    change(tmp_path / "s", encode)
    volume = read_volume(case(tmp_path / "s"))
    assert volume.acquisition.transfer_syntax == HTJ2KLossless
    assert np.array_equal(volume.hu_zyx, [stored.astype(np.int16) - 1024] * 3)


def _save(folder: Path, syntax: str, implicit: bool = False, little: bool = True) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        if not little:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)


def _save_without_preamble(folder: Path) -> None:
    for path in folder.iterdir():
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, pydicom.dcmread(path))
        path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize("encoding", ["implicit", "big endian", "deflated", "no preamble"])
def test_encodings_of_the_dataset(tmp_path: Path, encoding: str) -> None:
    hu = write(tmp_path / "s")
    {
        "implicit": lambda: _save(tmp_path / "s", ImplicitVRLittleEndian, implicit=True),
        "big endian": lambda: _save(tmp_path / "s", ExplicitVRBigEndian, little=False),
        "deflated": lambda: _save(tmp_path / "s", DeflatedExplicitVRLittleEndian),
        "no preamble": lambda: _save_without_preamble(tmp_path / "s"),
    }[encoding]()
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


def test_lossy_jpeg_of_12_bits_as_simpleitk_reads_it(tmp_path: Path) -> None:
    """No encoder of it is at hand: the frame is pydicom's own test file."""
    file = get_testdata_file("JPEG-lossy.dcm")
    source = pydicom.dcmread(file)
    write(tmp_path / "s", gaps=(5.0,), size=(source.Columns, source.Rows))

    def edit(dataset: pydicom.Dataset) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.RescaleIntercept = 12, 11, -100
        dataset.PixelData = source.PixelData
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit

    change(tmp_path / "s", edit)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(file)).squeeze().astype(np.int32) - 100
    assert np.ptp(expected) > 200
    assert all(np.array_equal(plane, expected) for plane in read_volume(case(tmp_path / "s")).hu_zyx)


@pytest.mark.parametrize(
    ("bits", "high_bit", "signed", "shift"),
    [(12, 15, False, 4), (12, 15, True, 4), (12, 13, False, 2), (13, 12, True, 0)],
)
def test_pixels_lie_where_high_bit_says(tmp_path: Path, bits: int, high_bit: int, signed: bool, shift: int) -> None:
    hu = write(tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        stored_as(bits, signed)(dataset)
        dataset.HighBit = high_bit
        values = np.frombuffer(dataset.PixelData, "<u2") & np.uint16((1 << bits) - 1)
        dataset.PixelData = (values << np.uint16(shift)).tobytes()

    change(tmp_path / "s", edit)
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


@pytest.mark.parametrize(("high_bit", "shift", "overlay"), [(11, 0, 0xA000), (15, 4, 0x0005)])
def test_overlays_in_unused_bits_are_masked_and_other_values_refused(
    tmp_path: Path, high_bit: int, shift: int, overlay: int
) -> None:
    hu = write(tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        stored_as(12, False)(dataset)
        dataset.HighBit = high_bit
        stored = np.frombuffer(dataset.PixelData, "<u2") << np.uint16(shift)
        dataset.PixelData = np.where(np.arange(len(stored)) % 3, stored, stored | overlay).astype("<u2").tobytes()

    change(tmp_path / "s", edit)
    assert refused(tmp_path / "s").kind == "inconsistent_bits"
    change(tmp_path / "s", lambda dataset: dataset.add_new(0x60020102, "US", 13))
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


def test_signed_values_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """2500 of 12 signed bits is -1596, unless the neighbours are sign-extended: then the header is wrong."""
    write(tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        stored_as(12, True)(dataset)
        stored = np.frombuffer(dataset.PixelData, "<i2").copy()
        stored[7] = 2500
        dataset.PixelData = stored.tobytes()

    change(tmp_path / "s", edit)
    assert refused(tmp_path / "s").kind == "inconsistent_bits"


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": b"\1" * 480}, "not_hounsfield"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "PixelData": b"\1" * 1920}, "not_hounsfield"),
        ({"BitsStored": 12, "HighBit": 3}, "inconsistent_bits"),
        ({"BitsStored": 17, "HighBit": 16}, "inconsistent_bits"),
        ({"SamplesPerPixel": 3, "PixelData": b"\1" * 2880}, "not_a_slice"),
        ({"NumberOfFrames": 2}, "unreadable_pixels"),
        ({"NumberOfFrames": 65535}, "too_large"),
        ({"Rows": 65535, "Columns": 65535}, "too_large"),
        ({"Rows": 4096, "Columns": 4096}, "unreadable_pixels"),
        ({"PixelData": b"\1" * 962}, "unreadable_pixels"),
    ],
)
def test_pixels_that_no_slice_has_are_refused(tmp_path: Path, tags: dict[str, object], kind: str) -> None:
    write(tmp_path / "s", **tags)
    assert refused(tmp_path / "s").kind == kind


def test_padding_is_air_and_is_not_counted_as_clipped(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        stored_as(16, True)(dataset)
        stored = np.frombuffer(dataset.PixelData, "<i2").copy()
        stored[:6] = [-2000, -1999, -1990, -1989, -1500, 4000]
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)  # the VR of the other sign, as often written
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1990)

    change(tmp_path / "s", edit)
    volume = read_volume(case(tmp_path / "s"))
    assert volume.hu_zyx[0].ravel()[:6].tolist() == [-1024] * 5 + [4000]
    assert volume.clipped_voxels == 2 * len(hu)
    assert np.array_equal(volume.hu_zyx.reshape(len(hu), -1)[:, 6:], hu.reshape(len(hu), -1)[:, 6:])


def test_padding_that_tissue_has_too_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").copy()
        stored[50] = 1060  # 36 HU
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "US", 1060)

    change(tmp_path / "s", edit)
    error = refused(tmp_path / "s")
    assert (error.kind, "36" in error.message) == ("ambiguous_padding", True)


def test_every_slice_is_rescaled_by_its_own_numbers(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")

    def shifted(dataset: pydicom.Dataset) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2") + np.uint16(200)
        dataset.PixelData, dataset.RescaleIntercept = stored.tobytes(), -1224

    change(tmp_path / "s", shifted, only=[2, 5])
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
    change(tmp_path / "s", lambda dataset: setattr(dataset, "RescaleSlope", "0.5"), only=[3])
    volume = read_volume(case(tmp_path / "s"))
    assert volume.hu_zyx.dtype == np.float32
    assert np.allclose(volume.hu_zyx[3], np.maximum((hu[3] + 1024) * 0.5 - 1024, -1024), atol=1e-4)
    assert np.array_equal(volume.hu_zyx[4], hu[4])


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("intercept", [-1024, 0, 24, -8192, 32767, -32768, 40_000, -40_000])
@pytest.mark.parametrize("padding", [None, (-2000, -2000)])
def test_every_stored_value_has_its_hu(tmp_path: Path, dtype: type, intercept: int, padding: object) -> None:
    """All 65,536 of them, beside whole numbers of 64 bits."""
    write(tmp_path / "s", (5.0,) * 2)
    [header, *_] = list_series(Source(tmp_path / "s")).headers
    pixels = replace(header.pixels, signed=dtype == np.int16, padding=padding if dtype == np.int16 else None)
    header = replace(header, rescale=(1.0, float(intercept)), pixels=pixels)
    stored = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256).view(dtype)
    hu = np.empty(stored.shape, np.int16)
    expected = stored.astype(np.int64) + intercept
    if pixels.padding is not None:
        expected[stored == -2000] = -1024
        if -200 < -2000 + intercept < 3071:
            return
    assert _to_hounsfield(stored, header, hu) == np.count_nonzero(expected < -1024)
    assert np.array_equal(hu, expected.clip(-1024, 32767))


@pytest.mark.parametrize("padded", [False, True])
def test_stored_values_without_an_intercept_are_no_hu(tmp_path: Path, padded: bool) -> None:
    """0 to 4095 where air is near 24; also where padding of -2000 is all that is negative."""
    write(tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        dataset.RescaleIntercept = 0
        if padded:
            stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int16)
            stored[::4] = -2000
            dataset.PixelRepresentation, dataset.PixelData = 1, stored.tobytes()

    change(tmp_path / "s", edit)
    error = refused(tmp_path / "s")
    assert error.kind == "not_hounsfield"
    assert "2522" in error.message or "2523" in error.message, error.message  # the highest value, as evidence


@pytest.mark.parametrize("signed", [False, True], ids=["others have an intercept", "others need none"])
def test_a_slice_that_lost_its_intercept_is_found_among_others(tmp_path: Path, signed: bool) -> None:
    """Sent anew and edited, it would lie 1024 HU above its neighbours."""
    hu = write(tmp_path / "s", HEAD)
    change(tmp_path / "s", stored_as(16, signed), only=[k for k in range(len(hu)) if k != 7])
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
    change(tmp_path / "s", lambda dataset: setattr(dataset, "RescaleIntercept", 0), only=[7])
    error = refused(tmp_path / "s")
    assert (error.kind, "1 of 18 slices" in error.message, "0008" in error.private) == ("not_hounsfield", True, True)


def _claiming(frame: bytes, marker: bytes, offset: int, sides: bytes) -> bytes:
    place = frame.index(marker) + offset
    return frame[:place] + sides + frame[place + len(sides) :]


@pytest.mark.parametrize(
    ("encoder", "marker", "offset", "sides"),
    [
        ("JPEG-LS", b"\xff\xf7", 5, b"\xff\xff\xff\xff"),
        ("JPEG lossless", b"\xff\xc3", 5, b"\xff\xff\xff\xff"),
        ("JPEG 2000", b"\xff\x4f\xff\x51", 8, b"\0\0\xff\xff\0\0\xff\xff"),
    ],
)
def test_frames_that_claim_another_size_are_refused_before_they_are_decoded(
    tmp_path: Path, encoder: str, marker: bytes, offset: int, sides: bytes
) -> None:
    write(tmp_path / "s", gaps=(5.0, 5.0), size=SIZE)
    ENCODERS[encoder](tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = encapsulate([_claiming(frame, marker, offset, sides)])

    change(tmp_path / "s", edit, only=[1])
    error = refused(tmp_path / "s")
    assert (error.kind, "65535" in error.message) == ("unreadable_pixels", True)


@pytest.mark.parametrize("encoder", ["JPEG-LS", "JPEG lossless", "JPEG 2000"])
def test_frames_without_an_end_are_refused(tmp_path: Path, encoder: str) -> None:
    write(tmp_path / "s", gaps=(5.0, 5.0), size=SIZE)
    ENCODERS[encoder](tmp_path / "s")

    def edit(dataset: pydicom.Dataset) -> None:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = encapsulate([frame[: len(frame) // 2]])

    change(tmp_path / "s", edit, only=[1])
    assert refused(tmp_path / "s").kind == "unreadable_pixels"


def test_a_decoder_that_dies_is_a_refusal(tmp_path: Path) -> None:
    """gdcm ends its process over a scan that names no component."""
    write(tmp_path / "s", gaps=(5.0, 5.0), size=SIZE)
    recode(tmp_path / "s", gdcm.TransferSyntax.JPEGLosslessProcess14_1)

    def edit(dataset: pydicom.Dataset) -> None:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        place = frame.index(b"\xff\xda")
        dataset.PixelData = encapsulate([frame[:place] + bytes(30) + frame[place:]])

    change(tmp_path / "s", edit)
    assert refused(tmp_path / "s").kind == "unreadable_pixels"


def test_enhanced_multiframe_is_the_series_it_was_made_of(tmp_path: Path) -> None:
    hu = write(tmp_path / "s", gaps=(5.0, 4.0, 3.0, 7.0))
    change(tmp_path / "s", lambda dataset: setattr(dataset, "RescaleIntercept", "-1000"), only=[2])
    hu[2] += 24
    classic = read_volume(case(tmp_path / "s"))
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    volume = read_volume(case(tmp_path / "one.dcm"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.stack == classic.stack
    assert volume.image_digest() == classic.image_digest()
    assert (volume.acquisition.convolution_kernel, volume.acquisition.image_type) == (
        "H31s",
        "ORIGINAL/PRIMARY/VOLUME/NONE",
    )


def test_enhanced_multiframe_compressed(tmp_path: Path) -> None:
    hu = write(tmp_path / "s", size=SIZE)
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    shutil.rmtree(tmp_path / "s")
    change(tmp_path, lambda dataset: dataset.compress(JPEGLSLossless))
    assert np.array_equal(read_volume(case(tmp_path / "one.dcm")).hu_zyx, hu)


def test_legacy_converted_enhanced_ct_as_highdicom_writes_it(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")
    converted(tmp_path / "s", tmp_path / "legacy.dcm")
    assert np.array_equal(read_volume(case(tmp_path / "legacy.dcm")).hu_zyx, hu)


def test_a_multiframe_object_that_lacks_places_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s")
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    del dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    dataset.save_as(tmp_path / "one.dcm")
    assert refused(tmp_path / "one.dcm").kind == "missing_geometry"
    del dataset.PerFrameFunctionalGroupsSequence[3]
    dataset.save_as(tmp_path / "one.dcm")
    assert refused(tmp_path / "one.dcm").kind == "missing_geometry"


def test_one_slice_in_a_file_is_no_volume(tmp_path: Path) -> None:
    write(tmp_path / "s")
    assert refused(tmp_path / "s" / "0003.dcm").kind == "single_slice"
    buffer = io.BytesIO((tmp_path / "s" / "0003.dcm").read_bytes())
    (tmp_path / "slice").write_bytes(buffer.getvalue())
    assert refused(tmp_path / "slice").kind == "single_slice"
