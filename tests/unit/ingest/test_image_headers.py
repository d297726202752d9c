"""Headers of image files alone: sizes, spacings and what cannot be HU, from files written by byte offsets and by SimpleITK."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.ingest.image_headers import ImageHeader, read_image_header
from tests.support.image_trees import METAIMAGE, segmentation
from tests.support.nifti_files import nifti1


def _image(path: Path, kind: int) -> Path:
    image = sitk.Image([7, 6, 5], kind)
    image.SetSpacing([0.5, 0.25, 5.0])
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_every_format_tells_the_same(tmp_path: Path, name: str) -> None:
    header = read_image_header(_image(tmp_path / name, sitk.sitkInt16))
    assert header == ImageHeader((7, 6, 5), (0.5, 0.25, 5.0), is_label_map=False)
    assert str(header) == "7 x 6 x 5, 0.5 x 0.25 x 5 mm"
    assert read_image_header(_image(tmp_path / f"b{name[1:]}", sitk.sitkUInt8)).is_label_map


def test_a_label_map_may_say_so_whatever_its_type(tmp_path: Path) -> None:
    assert read_image_header(segmentation(tmp_path / "s.seg.nrrd", "ICH")).is_label_map
    path = nifti1(tmp_path / "labels.nii")
    data = bytearray(path.read_bytes())
    data[68:70] = (1002).to_bytes(2, "little")  # intent_code, nifti1.h
    path.write_bytes(data)
    assert read_image_header(path).is_label_map


def test_bytes_that_are_scaled_to_hu_are_an_image(tmp_path: Path) -> None:
    values = np.zeros((4, 3, 2), np.uint8)
    assert not read_image_header(nifti1(tmp_path / "a.nii", values, 2, scl_slope=8.0, scl_inter=-1024.0)).is_label_map
    assert read_image_header(nifti1(tmp_path / "b.nii", values, 2, scl_slope=1.0)).is_label_map
    assert read_image_header(nifti1(tmp_path / "c.nii.gz", values, 2, order=">")).is_label_map


def test_only_the_header_is_needed(tmp_path: Path) -> None:
    path = nifti1(tmp_path / "a.nii", dim=(4, 512, 512, 30, 20, 1, 1, 1))
    path.write_bytes(path.read_bytes()[:352])
    assert read_image_header(path).sizes == (512, 512, 30, 20)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.nii", b"", "unreadable_file"),
        ("a.nii.gz", b"\x1f\x8b but no more", "unreadable_file"),
        ("a.nrrd", b"NRRD0004\ntype: ", "unreadable_file"),
        ("a.nrrd", b"NRRD0004\nsizes: 3 x\n\n", "unreadable_file"),
        ("a.nrrd", b"NRRD0004\nspace directions: (1,,0)\n\n", "unreadable_file"),
        ("a.mha", b"ObjectType = Image\n", "unreadable_file"),
        ("a.mha", METAIMAGE.format("MET_SHORT", "a.raw").encode(), "detached_data"),
        ("a.dcm", b"", "unknown_format"),
    ],
)
def test_what_has_no_header_is_refused(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_image_header(path)
    assert (raised.value.kind, str(tmp_path) in raised.value.message) == (kind, False)
