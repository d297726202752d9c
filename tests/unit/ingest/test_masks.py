from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.ingest import SourceVolume, read_mask
from cvtbatch.manifest import RoiSource


def source(path: Path, label: int | None = None, segment: str | None = None) -> RoiSource:
    return RoiSource("A/1/hematoma/A/1", "hematoma", "A", 1, str(path), path.name, label, segment, 1)


def no_image() -> SourceVolume:
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
