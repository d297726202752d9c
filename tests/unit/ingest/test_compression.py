"""What was compressed with loss is flagged; what is compressed in a way that is not read is named."""

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.compression import describe_encoding, is_lossy
from tests.support.series import HEAD, case, change, refused, write

FLAG = "lossy_compressed"


@pytest.mark.parametrize(
    "tags",
    [
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": "9.5"},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "JP2K LOSSY"]},
    ],
    ids=["tag", "ImageType"],
)
def test_a_lossy_history_is_flagged(tmp_path: Path, tags: dict[str, object]) -> None:
    """Of one slice too: pixels are stored plainly again, so that nothing else tells."""
    hu = write(
        tmp_path / "s", HEAD, **{**tags, "LossyImageCompression": "00", "ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}
    )
    assert read_volume(case(tmp_path / "s")).acquisition.flags == ()
    change(tmp_path / "s", lambda dataset: [setattr(dataset, tag, value) for tag, value in tags.items()], only=[4])
    volume = read_volume(case(tmp_path / "s"))
    assert volume.acquisition.flags == (FLAG,)
    assert np.array_equal(volume.hu_zyx, hu)


def test_an_encoding_that_loses_is_flagged(tmp_path: Path) -> None:
    write(tmp_path / "s", size=(64, 64))
    change(tmp_path / "s", lambda dataset: dataset.compress(JPEGLSNearLossless, jls_error=2))
    assert read_volume(case(tmp_path / "s")).acquisition.flags == (FLAG,)
    write(tmp_path / "t", size=(64, 64))
    change(tmp_path / "t", lambda dataset: dataset.compress(JPEGLSLossless))
    assert read_volume(case(tmp_path / "t")).acquisition.flags == ()


def test_only_what_cannot_but_lose_is_lossy_by_its_encoding() -> None:
    syntaxes = (JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, JPEG2000Lossless, JPEGLSLossless, "")
    assert [is_lossy(syntax, None, ["ORIGINAL", "LOSSLESS"]) for syntax in syntaxes] == [True, True, *[False] * 4]


def _in_elscints_way(dataset: pydicom.Dataset) -> None:
    """As Philips scanners wrote it: the pixels in a private element, none in PixelData."""
    block = dataset.private_block(0x07A1, "ELSCINT1", create=True)
    block.add_new(0x0A, "OW", dataset.PixelData[:100])
    block.add_new(0x11, "CS", "PMSCT_RLE1")
    del dataset.PixelData


@pytest.mark.parametrize("only", [None, [3]], ids=["all slices", "one"])
def test_private_compression_is_named(tmp_path: Path, only: list[int] | None) -> None:
    write(tmp_path / "s")
    change(tmp_path / "s", _in_elscints_way, only)
    error = refused(tmp_path / "s")
    assert error.kind == "unreadable_pixels"
    assert (
        "a vendor's private way (PMSCT_RLE1), which is not read: export the series without compression" in error.message
    )


def test_a_private_element_beside_stored_pixels_is_no_compression(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")
    pixels = {path: pydicom.dcmread(path).PixelData for path in (tmp_path / "s").iterdir()}
    change(tmp_path / "s", _in_elscints_way)
    for path, data in pixels.items():
        dataset = pydicom.dcmread(path)
        dataset.PixelData = data
        dataset["PixelData"].VR = "OW"
        dataset.save_as(path, enforce_file_format=True)
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


@pytest.mark.parametrize(
    ("syntax", "named"),
    [
        ("1.3.46.670589.33.1.4.1", "the private transfer syntax 1.3.46.670589.33.1.4.1,"),
        ("1.2.840.10008.1.2.99", "the transfer syntax 1.2.840.10008.1.2.99,"),
    ],
)
def test_a_transfer_syntax_that_is_not_read_is_named(tmp_path: Path, syntax: str, named: str) -> None:
    write(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        data, before = path.read_bytes(), b"UI\x14\0001.2.840.10008.1.2.1\0"
        assert data.count(before) == 1
        value = syntax.encode() + b"\0" * (len(syntax) % 2)
        path.write_bytes(data.replace(before, b"UI" + struct.pack("<H", len(value)) + value))
    error = refused(tmp_path / "s")
    assert error.kind == "unreadable_pixels"
    assert named in error.message
    assert "which is not read" in error.message


def test_texts_that_are_no_name_are_not_shown() -> None:
    assert "1.2.840.10008.1.2.4.100, MPEG2 Main Profile" in describe_encoding("1.2.840.10008.1.2.4.100", None)
    assert "MUELLER" not in describe_encoding("MUELLER", None) + describe_encoding("1.2", "MUELLER")
