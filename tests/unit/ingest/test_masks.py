import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.imaging.resampling import stack_of
from cvtbatch.ingest import mask_fingerprint, read_mask
from cvtbatch.ingest.image_files import FORMAT_NAMES, FORMATS
from cvtbatch.manifest import RoiSource
from tests.support.mask_files import another_image, slices_of
from tests.support.nifti_files import nifti1
from tests.support.outside_data import outside


def source(path: Path, label: int | None = None, segment: str | None = None) -> RoiSource:
    return RoiSource("A/1/hematoma/A/1", "hematoma", "A", 1, str(path), path.name, label, segment, 1)


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
    mask = read_mask(source(path, label=7), another_image)
    assert np.array_equal(mask.voxels_zyx, (labels == 7).astype(np.uint8))
    assert mask.volume_ml == pytest.approx(4 * 0.5 / 1000)


def test_the_only_label_needs_no_name_and_floats_are_labels(tmp_path: Path, labels: np.ndarray) -> None:
    path = write(tmp_path / "m.nrrd", np.where(labels == 1, 255.0, 0.0).astype(np.float32))
    assert int(read_mask(source(path), another_image).voxels_zyx.sum()) == 32


FLOATS = {
    "whole numbers with round-off": ({0: 0, 1: 0.9995, 7: 7.0004}, {1: 1, 7: 7}),
    "NaN outside": ({0: np.nan, 1: 1, 7: 7}, {1: 1, 7: 7}),
    "round-off around 0": ({0: 2e-4, 1: 1, 7: 7}, {1: 1, 7: 7}),
    "one value, whatever it is": ({0: 0, 1: 1 / 255, 7: 0}, {1: 1}),
    "one value, and NaN": ({0: np.nan, 1: 0.5, 7: 0.5}, {1: (1, 7)}),
    "one value, and a residue": ({0: -1e-12, 1: 0.5, 7: 1e-9}, {1: 1}),
    "another label below 0": ({0: 0, 1: 1, 7: -1}, {1: 1}),
    "beyond 65,535": ({0: 0, 1: 70_000, 7: 16_777_216}, {70_000: 1, 16_777_216: 7}),
}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_floats_mean(tmp_path: Path, labels: np.ndarray, name: str, dtype: type) -> None:
    values, expected = FLOATS[name]
    stored = np.choose(np.searchsorted([0, 1, 7], labels), [values[0], values[1], values[7]]).astype(dtype)
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        path = write(tmp_path / f"m{suffix}", stored)
        for label, meant in expected.items():
            mask = read_mask(source(path, label=label), another_image)
            assert np.array_equal(mask.voxels_zyx, np.isin(labels, meant))
        if len(expected) == 1 and values[7] != -1:
            assert read_mask(source(path), another_image).mask_digest() == mask.mask_digest()


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int64, np.uint64])
def test_large_labels(tmp_path: Path, labels: np.ndarray, dtype: type) -> None:
    path = write(tmp_path / "m.nii.gz", np.where(labels == 1, 2_000_000_011, labels.astype(np.int64)).astype(dtype))
    assert np.array_equal(read_mask(source(path, label=2_000_000_011), another_image).voxels_zyx, labels == 1)


def test_a_label_map_scaled_by_its_header(tmp_path: Path, labels: np.ndarray) -> None:
    """255 stored as 255 and scaled by 1/255 in float32 is 1; seven of 255 is no label."""
    stored = np.where(labels == 1, 255, 0).astype(np.uint8)
    slope = float(np.float32(1 / 255))
    path = nifti1(tmp_path / "m.nii", stored, 2, scl_slope=slope, scl_inter=0.0, qform_code=1)
    assert np.array_equal(read_mask(source(path, label=1), another_image).voxels_zyx, labels == 1)
    path = nifti1(
        tmp_path / "n.nii", np.where(labels == 7, 7, stored).astype(np.uint8), 2, scl_slope=slope, qform_code=1
    )
    with pytest.raises(InputError, match=r"2 values beside 0, such as 0.02745, 1;") as raised:
        read_mask(source(path), another_image)
    assert raised.value.kind == "not_a_label_map"


@pytest.mark.parametrize(
    ("values", "evidence"),
    [
        (np.linspace(0, 1, 384).astype(np.float32), r"383 values beside 0, such as 0.002611, .*, 1; .*probability map"),
        (np.repeat([0, 0.5, 1], 128), r"2 values beside 0, such as 0.5, 1; .*probability map"),
        (np.repeat([0, 0.5, 2.5], 128), r"2 values beside 0, such as 0.5, 2.5; .*interpolated"),
        (np.repeat([0, 1.0, np.inf], 128), r"such as 1, inf; "),
        (np.repeat([0, np.inf, 0], 128), r"1 value beside 0, such as inf; "),
    ],
)
def test_what_is_no_label_map_is_refused_with_its_values(tmp_path: Path, values: np.ndarray, evidence: str) -> None:
    path = write(tmp_path / "m.nrrd", values.reshape(6, 8, 8))
    with pytest.raises(InputError, match=evidence) as raised:
        read_mask(source(path), another_image)
    assert raised.value.kind == "not_a_label_map"


def test_a_map_of_background_alone_is_empty(tmp_path: Path) -> None:
    residues = [np.repeat([0, residue], 192) for residue in (1e-9, 5e-4, 9.9e-4, -1e-12, -5e-4)]
    for values in (np.full(384, np.nan), np.repeat([0, 1e-4, np.nan, -2e-4], 96), *residues):
        with pytest.raises(InputError) as raised:
            read_mask(source(write(tmp_path / "m.mha", values.reshape(6, 8, 8))), another_image)
        assert raised.value.kind == "empty_mask"


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float32, np.float64])
def test_a_value_below_0_is_no_label(tmp_path: Path, labels: np.ndarray, dtype: type) -> None:
    for value in (-1, -1024) if dtype != np.int8 else (-1,):
        path = write(tmp_path / "m.mha", np.where(labels == 1, value, 0).astype(dtype))
        for label in (None, value):
            with pytest.raises(InputError, match=f"{value}") as raised:
                read_mask(source(path, label=label), another_image)
            assert raised.value.kind == "not_a_label_map"
    with pytest.raises(InputError, match=r"such as -0\.5") as raised:
        read_mask(source(write(tmp_path / "m.mha", np.where(labels == 1, -0.5, 0))), another_image)
    assert raised.value.kind == "not_a_label_map"


def test_refusals(tmp_path: Path, labels: np.ndarray) -> None:
    def kind(path: Path, **selectors) -> str:
        with pytest.raises(InputError) as raised:
            read_mask(source(path, **selectors), another_image)
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


def test_the_manifest_names_each_format() -> None:
    for name in FORMAT_NAMES:
        assert name in contracts.manifest_fields()["mask"].description
        assert name in contracts.manifest_fields()["image"].description


@pytest.mark.parametrize("suffix", [entry.suffix for entry in FORMATS])
def test_what_a_file_is_shows_where_its_suffix_does_not(tmp_path: Path, labels: np.ndarray, suffix: str) -> None:
    path = write(tmp_path / f"m{suffix}", labels)
    expected = read_mask(source(path, label=1), another_image)
    for name in ("outline", "outline.img_2", "outline.gz"):
        path = path.rename(tmp_path / name)
        mask = read_mask(source(path, label=1), another_image)
        assert (mask.mask_digest(), mask.mask_format) == (expected.mask_digest(), expected.mask_format)


def test_dicom_and_segments_are_known_by_content(tmp_path: Path) -> None:
    image = sitk.ReadImage(str(outside("segmentations/dicom_seg/liver_seg.nrrd")))
    for name in ("liver", "liver.nii.gz", "liver.bin"):
        path = Path(shutil.copy(outside("segmentations/dicom_seg/liver.dcm"), tmp_path / name))
        mask = read_mask(source(path), lambda: slices_of(stack_of(image)))
        assert np.array_equal(mask.voxels_zyx, sitk.GetArrayViewFromImage(image))
    path = Path(shutil.copy(outside("segmentations/Segmentation.seg.nrrd"), tmp_path / "segmentation"))
    assert read_mask(source(path, segment="ribs"), another_image).mask_format == "Slicer segmentation"


def test_a_files_fingerprint_follows_its_selectors_and_a_folders_its_files(tmp_path: Path) -> None:
    path = Path(shutil.copy(outside("segmentations/dicom_seg/liver.dcm"), tmp_path / "liver.dcm"))
    marks = [mask_fingerprint(source(path, **more)) for more in ({}, {"label": 1}, {"segment": "liver"})]
    assert len(set(marks)) == 3
    folder = mask_fingerprint(source(tmp_path))
    shutil.copy(path, tmp_path / "again.dcm")
    assert mask_fingerprint(source(tmp_path)) != folder
