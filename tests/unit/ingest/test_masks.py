import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.imaging.resampling import stack_of
from cvtbatch.ingest import ImageSlices, mask_fingerprint, read_mask
from cvtbatch.manifest import RoiSource
from tests.mask_files import slices_of
from tests.support import DATA


def source(path: Path, label: int | None = None, segment: str | None = None) -> RoiSource:
    return RoiSource("A/1/hematoma/A/1", "hematoma", "A", 1, str(path), path.name, label, segment, 1)


def no_image() -> ImageSlices:
    raise AssertionError("a label map needs no image")


def write(path: Path, values: np.ndarray) -> Path:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.5, 0.5, 2.0))
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def labels() -> np.ndarray:
    values = np.zeros((6, 8, 8), np.int16)
    values[2:4, 2:6, 2:6] = 1
    values[4, 2:4, 2:4] = 7
    return values


def test_one_label_is_chosen(tmp_path: Path, labels: np.ndarray) -> None:
    path = write(tmp_path / "m.nii.gz", labels)
    mask = read_mask(source(path, label=7), no_image)
    assert np.array_equal(mask.voxels_zyx, (labels == 7).astype(np.uint8))
    assert mask.volume_ml == pytest.approx(4 * 0.5 / 1000)


def test_the_only_label_needs_no_name_and_floats_are_labels(tmp_path: Path, labels: np.ndarray) -> None:
    path = write(tmp_path / "m.nrrd", np.where(labels == 1, 255.0, 0.0).astype(np.float32))
    assert int(read_mask(source(path), no_image).voxels_zyx.sum()) == 32


def test_refusals(tmp_path: Path, labels: np.ndarray) -> None:
    def kind(path: Path, **selectors) -> str:
        with pytest.raises(InputError) as raised:
            read_mask(source(path, **selectors), no_image)
        assert str(tmp_path) not in raised.value.message
        return raised.value.kind

    several = write(tmp_path / "several.nii.gz", labels)
    assert kind(several) == "ambiguous_mask"
    assert kind(several, label=3) == "empty_mask"
    assert kind(write(tmp_path / "empty.nii.gz", labels * 0)) == "empty_mask"
    assert kind(write(tmp_path / "soft.nii.gz", labels / np.float32(3))) == "not_a_label_map"
    assert kind(several, segment="hematoma") == "no_such_segment"
    (tmp_path / "rt.dcm").write_bytes(b"x")
    assert kind(tmp_path / "rt.dcm") == "unreadable_file"
    (tmp_path / "bad.nii.gz").write_bytes(b"no gzip")
    assert kind(tmp_path / "bad.nii.gz") == "unreadable_file"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_what_a_file_is_shows_where_its_suffix_does_not(tmp_path: Path, labels: np.ndarray, suffix: str) -> None:
    path = write(tmp_path / f"m{suffix}", labels)
    expected = read_mask(source(path, label=1), no_image)
    for name in ("outline", "outline.img_2", "outline.gz"):
        path = path.rename(tmp_path / name)
        mask = read_mask(source(path, label=1), no_image)
        assert (mask.mask_digest(), mask.mask_format) == (expected.mask_digest(), expected.mask_format)


def test_dicom_and_segments_are_known_by_content(tmp_path: Path) -> None:
    image = sitk.ReadImage(str(DATA / "segmentations" / "liver_seg.nrrd"))
    for name in ("liver", "liver.nii.gz", "liver.bin"):
        path = Path(shutil.copy(DATA / "segmentations" / "liver.dcm", tmp_path / name))
        mask = read_mask(source(path), lambda: slices_of(stack_of(image)))
        assert np.array_equal(mask.voxels_zyx, sitk.GetArrayViewFromImage(image))
    path = Path(shutil.copy(DATA / "segmentations" / "Segmentation.seg.nrrd", tmp_path / "segmentation"))
    assert read_mask(source(path, segment="ribs"), no_image).mask_format == "Slicer segmentation"


def test_a_files_fingerprint_follows_its_selectors_and_a_folders_its_files(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATA / "segmentations" / "liver.dcm", tmp_path / "liver.dcm"))
    marks = [mask_fingerprint(source(path, **more)) for more in ({}, {"label": 1}, {"segment": "liver"})]
    assert len(set(marks)) == 3
    folder = mask_fingerprint(source(tmp_path))
    shutil.copy(path, tmp_path / "again.dcm")
    assert mask_fingerprint(source(tmp_path)) != folder
