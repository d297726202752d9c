"""NIfTI files whose sform and qform put the voxels at different places, and labels by programs that take the one or the other."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack, stored_grid
from cvtbatch.imaging import place_mask, resample_stack
from cvtbatch.ingest import ImageSlices, SourceMask, read_mask, read_volume
from cvtbatch.ingest.image_files import read_image_file
from tests.support.mask_files import another_image, ball, roi, slices_of, write_structure_set
from tests.support.nifti_files import forms, nifti1
from tests.support.outside_data import outside
from tests.support.series import case, refused

SHAPE = (10, 40, 50)
# Index to LPS; the slices are 12 mm apart in the two forms, as in `cases/qform_sform.nii.gz`.
SFORM = np.array([[-0.9, 0, 0, 22.5], [0, -0.8, 0, 31.0], [0, 0, 5.0, -42.0]])
QFORM = SFORM + np.array([[0, 0, 0, 0.0], [0, 0, 0, 0], [0, 0, 0, -12.0]])
BALL = np.stack(np.meshgrid(*(np.arange(n) - n / 2 + 1 for n in SHAPE), indexing="ij"))
LABEL = (np.linalg.norm(BALL * np.reshape([5.0, 0.8, 0.9], (3, 1, 1, 1)), axis=0) < 12).astype(np.uint8)
HU = np.where(LABEL, 60, np.where(np.abs(BALL[1]) < 18, 30, -1000)).astype(np.int16)


def moved(by: Sequence[float]) -> np.ndarray:
    return SFORM + np.array([[0, 0, 0, step] for step in by])


def image(path: Path, sform: np.ndarray = SFORM, codes: tuple[int, int] = (2, 1), qform: np.ndarray = QFORM) -> Path:
    return nifti1(path, HU, 4, **forms(sform, codes[0], qform, codes[1]))


def label(path: Path, sform: np.ndarray, codes: tuple[int, int], qform: np.ndarray, values: np.ndarray = LABEL) -> Path:
    return nifti1(path, values, 2, **forms(sform, codes[0], qform, codes[1]))


def read(ct: Path, mask: Path) -> tuple[SourceMask, float]:
    """The mask, and the mean HU of the image's own voxels under it as it is stored."""
    volume = read_volume(case(ct))
    source = read_mask(roi(mask), lambda: ImageSlices.of(volume))
    stack = volume.stack
    grid = stored_grid(stack, (*stack.pixel_mm, float(stack.gaps_mm()[0])))
    placed = place_mask(source.voxels_zyx, source.place, grid)
    return source, float(volume.hu_zyx[placed != 0].mean())


def two_places(ct: Path, mask: Path) -> InputError:
    with pytest.raises(InputError) as raised:
        read(ct, mask)
    assert raised.value.kind == "two_places"
    assert str(mask.parent) not in raised.value.message
    return raised.value


def test_itk_takes_the_qform_unless_the_sforms_code_is_1(tmp_path: Path) -> None:
    """What this module stands on: SimpleITK's own choice for all pairs of codes."""
    for sform_code, qform_code in itertools.product(range(1, 5), range(1, 5)):
        origin = sitk.ReadImage(str(image(tmp_path / "ct.nii", codes=(sform_code, qform_code)))).GetOrigin()
        assert origin[2] == pytest.approx(-42.0 if sform_code == 1 else -54.0)


@pytest.mark.parametrize("codes", list(itertools.product(range(1, 5), range(1, 5))))
def test_a_label_by_either_rule_lies_on_its_voxels(tmp_path: Path, codes: tuple[int, int]) -> None:
    """SimpleITK's label, one with the sform alone as nibabel writes it, and one with the image's own two forms."""
    ct = image(tmp_path / "ct.nii", codes=codes)
    by_itk = sitk.GetImageFromArray(LABEL)
    by_itk.CopyInformation(sitk.ReadImage(str(ct)))
    sitk.WriteImage(by_itk, str(tmp_path / "itk.nii.gz"))
    masks = {
        tmp_path / "itk.nii.gz": () if codes[0] == 1 else ("placed_by_index",),
        label(tmp_path / "sform.nii", SFORM, (2, 0), QFORM): (),
        label(tmp_path / "qform.nii", SFORM, (0, 1), QFORM): ("placed_by_index",),
        label(tmp_path / "both.nii", SFORM, codes, QFORM): (),
    }
    for path, flags in masks.items():
        mask, hu = read(ct, path)
        assert (mask.flags, hu) == (flags, 60.0), path.name
        assert mask.volume_ml == pytest.approx(LABEL.sum() * 0.9 * 0.8 * 5 / 1000, rel=1e-6)


def test_a_label_of_two_places_on_an_image_of_one(tmp_path: Path) -> None:
    """As a CT moved to an MR by SPM, of which the DICOM series is given, and the label's own sform or qform is that series'."""
    drawn = ball()
    stack = drawn.stack
    along, down = (
        np.array(axis) * step for axis, step in zip((stack.row_axis, stack.column_axis), stack.pixel_mm, strict=True)
    )
    own = np.stack([along, down, np.array(stack.slice_axis) * 4, stack.positions_mm[0]], axis=1)
    away = own + np.array([[0, 0, 0, step] for step in (3.0, -7.0, 12.0)])
    for forms_of_it, flags in (((own, (2, 1), away), ()), ((away, (2, 1), own), ("placed_by_index",))):
        path = label(tmp_path / "m.nii", *forms_of_it, values=drawn.mask())
        mask = read_mask(roi(path), lambda: slices_of(stack))
        assert (mask.flags, isinstance(mask.place, Grid)) == (flags, not flags)
        assert np.array_equal(mask.voxels_zyx, drawn.mask())
    path = label(tmp_path / "m.nii", away, (2, 1), away + 9 * np.eye(3, 4, 3), values=drawn.mask())
    with pytest.raises(InputError, match=r"file of the mask .* tells which was meant") as raised:
        read_mask(roi(path), lambda: slices_of(stack))
    assert raised.value.kind == "two_places"


def test_a_mask_of_another_grid_cannot_say_which_place_was_meant(tmp_path: Path) -> None:
    ct, cropped = image(tmp_path / "ct.nii"), np.ascontiguousarray(LABEL[2:])
    error = two_places(ct, label(tmp_path / "m.nii", moved([0, 0, 10.0]), (1, 0), QFORM, cropped))
    assert "[22.5, 31.0, -42.0] mm (LPS) by its sform" in error.message
    assert "[22.5, 31.0, -54.0] mm by its qform" in error.message
    seg = sitk.GetImageFromArray(cropped)
    seg.SetMetaData("Segment0_Name", "clot")
    sitk.WriteImage(seg, str(tmp_path / "m.seg.nrrd"))
    assert "NIfTI file of the image" in two_places(ct, tmp_path / "m.seg.nrrd").message
    alone = label(tmp_path / "alone.nii", SFORM, (2, 1), QFORM, cropped)
    with pytest.raises(InputError, match="NIfTI file of the mask"):
        read_mask(roi(alone), another_image)


def test_dicom_outlines_of_an_image_of_two_places(tmp_path: Path) -> None:
    """They lie where the scanner had the slices: by the one form or by the other."""
    structure_set = write_structure_set(tmp_path / "rt.dcm", {"clot": [("CLOSED_PLANAR", ball().circles()[0])]})
    two_places(image(tmp_path / "ct.nii"), structure_set)


def test_a_file_of_no_place_goes_with_its_own_grid_alone(tmp_path: Path) -> None:
    """By pixdim alone its voxels begin at the origin of whatever the scanner's coordinates are."""
    ct = image(tmp_path / "ct.nii", SFORM, (0, 0))
    none = label(tmp_path / "none.nii", SFORM, (0, 0), SFORM)
    placed = image(tmp_path / "placed.nii"), label(tmp_path / "own.nii", SFORM, (1, 1), SFORM)
    assert read(ct, none)[0].flags == ()
    structures = write_structure_set(tmp_path / "rt.dcm", {"blood": [("CLOSED_PLANAR", np.eye(3))]})
    for its, mask in ((placed[0], none), (ct, placed[1]), (ct, structures)):
        with pytest.raises(InputError) as raised:
            read(its, mask)
        assert raised.value.kind == "missing_geometry"


def test_places_that_are_mirror_images_of_one_another(tmp_path: Path) -> None:
    """A field whose middle is 0 has the same voxels left to right and right to left: only a label with both forms is certain."""
    left = np.array([[-0.9, 0, 0, 22.05], [0, -0.8, 0, 31.0], [0, 0, 5.0, -42.0]])
    right = np.array([[0.9, 0, 0, -22.05], [0, -0.8, 0, 31.0], [0, 0, 5.0, -42.0]])
    ct = image(tmp_path / "ct.nii", left, (2, 1), right)
    assert read(ct, label(tmp_path / "both.nii", left, (2, 1), right))[1] == 60.0
    two_places(ct, label(tmp_path / "one.nii", left, (2, 0), right))
    two_places(ct, label(tmp_path / "other.nii", right, (2, 0), right))


def test_an_image_of_two_places_is_read_and_of_two_sizes_refused(tmp_path: Path) -> None:
    """Which place it is moves no value; which size it is moves every volume."""
    volume = read_volume(case(image(tmp_path / "ct.nii")))
    assert volume.other_place is not None
    assert volume.other_place.contradicts
    assert volume.stack.positions_mm[0] == pytest.approx((22.5, 31.0, -42.0), abs=1e-5)
    scaled = SFORM * np.array([[1.1, 1.1, 1.1, 1.0]])
    error = refused(image(tmp_path / "mni.nii", scaled, (4, 1), SFORM))
    assert error.kind == "two_places"
    assert "0.99 x 0.88 x 5.5 mm by the sform" in error.message
    assert "0.9 x 0.8 x 5 mm by its qform" in error.message


@pytest.mark.parametrize("degrees", [0.0, 0.01, 0.02, 0.036, 0.04, 0.1, 0.5, 31.0])
@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, -1, 1), (1, 1, 1)])  # in RAS: no turn, and half turns about y and z
def test_round_off_is_one_place(tmp_path: Path, degrees: float, signs: tuple[int, int, int]) -> None:
    """One place in both forms, of a whole head: what float32 leaves of a quaternion near a half turn is off by up to 0.2 mm."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    steps = np.diag(signs) @ np.diag([0.488281, 0.488281, 150.0])
    place = np.concatenate([np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ steps, [[120.3], [-99.7], [31.1]]], axis=1)
    fields = forms(place, 1, place, 1)
    assert read_image_file(nifti1(tmp_path / "a.nii", np.zeros((2, 512, 512), np.int16), 4, **fields)).other is None
    off = place + 0.5 * np.eye(3, 4, 3)
    other = read_image_file(
        nifti1(tmp_path / "a.nii", np.zeros((2, 512, 512), np.int16), 4, **forms(off, 1, place, 1))
    ).other
    assert other is not None
    assert other.contradicts


def test_a_sheared_sform_is_not_contradicted_by_a_qform_that_cannot_hold_it(tmp_path: Path) -> None:
    """As dcm2niix writes tilted series: both codes 1, one first voxel, and another place from there on; moved, it contradicts."""
    sheared = SFORM.copy()
    sheared[1, 2] = 1.7
    straight = SFORM.copy()
    straight[:, 2] = np.array([0, 0, np.linalg.norm(sheared[:, 2])])
    for path, contradicts in ((straight, False), (straight + 4 * np.eye(3, 4, 3), True)):
        other = read_image_file(nifti1(tmp_path / "a.nii", HU, 4, **forms(sheared, 1, path, 1))).other
        assert other is not None
        assert other.contradicts == contradicts


@pytest.mark.parametrize(
    "fields",
    [
        {"quatern": (np.nan, 0, 0)},
        {"pixdim": (1, 0, 0.8, 5, 1, 1, 1, 1)},
        {"quatern": (3.0, 0, 0), "qform_code": 0},
        {"qoffset": (np.inf, 0, 0)},
    ],
)
def test_a_qform_that_says_nothing_contradicts_nothing(tmp_path: Path, fields: dict[str, object]) -> None:
    path = nifti1(tmp_path / "a.nii", HU, 4, **{**forms(SFORM, 1, QFORM, 1), **fields})
    assert read_image_file(path).other is None
    assert read_volume(case(path)).stack.positions_mm[0] == pytest.approx((22.5, 31.0, -42.0), abs=1e-5)


def test_the_real_files_match() -> None:
    """As `cases/README.md` has it: the label of SimpleITK 2.5.7 has a mean of 55.8 HU on its image, 44.7 where it is 12 mm off."""
    volume = read_volume(case(outside("cases/qform_sform.nii.gz")))
    mask = read_mask(roi(outside("cases/qform_sform_itk_label.nii.gz")), lambda: ImageSlices.of(volume))
    assert mask.flags == ("placed_by_index",)
    assert isinstance(mask.place, SliceStack)
    hu_zyx, grid = resample_stack(volume.hu_zyx, volume.stack, (0.5, 0.5, 5.0))
    placed = place_mask(mask.voxels_zyx, mask.place, grid)
    assert hu_zyx[placed != 0].mean() == pytest.approx(55.8, abs=0.05)
