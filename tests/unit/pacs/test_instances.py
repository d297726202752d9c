"""Whether an instance is whole: cut anywhere, of any encoding, it is refused."""

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from cvtbatch.errors import InputError
from cvtbatch.pacs.instances import Instance, read_instance

# Uncompressed in both byte orders and with implicit VR, deflated, RLE, JPEG, JPEG-LS, JPEG 2000, colour, bits, no image.
FILES = (
    *("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "image_dfl.dcm", "MR_small_RLE.dcm"),
    *("SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm", "SC_ybr_full_422_uncompressed.dcm"),
    *("liver_1frame.dcm", "reportsi.dcm"),
)


def content_of(name: str) -> bytes:
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_says_which_it_is_and_a_cut_one_is_refused(name: str) -> None:
    content = content_of(name)
    header = pydicom.dcmread(io.BytesIO(content))
    assert read_instance(io.BytesIO(content)) == Instance(header.SeriesInstanceUID, header.SOPInstanceUID)
    # What follows the stream of a deflated one, a few bytes, says nothing.
    for left in (9, 15, len(content) // 3, len(content) - 200, len(content) - 60):
        with pytest.raises(InputError) as refused:
            read_instance(io.BytesIO(content[:-left]))
        assert refused.value.kind == "damaged_instance"


def test_pixels_that_are_fewer_than_the_header_says_are_refused() -> None:
    dataset = pydicom.dcmread(io.BytesIO(content_of("CT_small.dcm")))
    dataset.PixelData = dataset.PixelData[:-2]
    for lacking in ("fewer", "none"):
        if lacking == "none":
            del dataset.PixelData
        written = io.BytesIO()
        pydicom.dcmwrite(written, dataset)
        with pytest.raises(InputError, match=r"32766 bytes of pixels.* 32768|its pixels are missing"):
            read_instance(written)
    with pytest.raises(InputError, match="breaks off"):
        read_instance(io.BytesIO(content_of("CT_small.dcm")[:-1]))
    with pytest.raises(InputError, match="no DICOM file"):
        read_instance(io.BytesIO(b"<html>please log in</html>"))
