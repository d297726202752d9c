"""What cannot be computed is refused with a kind, before any kernel runs."""

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.fast import compute_features
from tests.support.parity import preparation, study_set


def pair(shape=(8, 12, 12), dtype=np.int16):
    """A volume of noise with a block of 2 x 4 x 4 voxels in it."""
    hu = np.random.default_rng(0).integers(20, 80, shape).astype(dtype)
    mask = np.zeros(shape, np.uint8)
    mask[3:5, 4:8, 4:8] = 1
    images = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask)
    for image in images:
        image.SetSpacing((2.0, 2.0, 5.0))
    return images


def remasked(ct, mask, change):
    """The pair with a changed mask array."""
    array = sitk.GetArrayFromImage(mask)
    array = change(array) if callable(change) else change
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(mask)
    return ct, changed


def kind_of(ct, mask, **settings):
    with pytest.raises(InputError) as caught:
        compute_features(ct, mask, study_set(**settings))
    assert caught.value.message
    return caught.value.kind


def only(*voxels):
    """A mask change that leaves these voxels alone."""

    def change(array):
        array[:] = 0
        for voxel in voxels:
            array[voxel] = 1
        return array

    return change


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (np.zeros_like, "empty_mask"),
        (np.ones_like, "full_mask"),
        (lambda array: array * 7, "label_absent"),
        (only((3, 4, 4)), "roi_too_small"),
        (only((3, 4, 4), (3, 4, 5), (3, 4, 6)), "roi_too_thin"),
        (lambda array: np.where(array, np.nan, 0.0), "non_finite_voxels"),
    ],
)
def test_masks_are_refused(change, kind):
    assert kind_of(*remasked(*pair(), change)) == kind


def test_limits_of_the_profile_hold():
    assert kind_of(*pair(), minimum_roi_size=32) == "roi_too_small"
    compute_features(*pair(), study_set(minimum_roi_size=31))
    assert kind_of(*remasked(*pair(), only((3, 4, 4), (3, 5, 5))), minimum_roi_dimensions=3) == "roi_too_thin"


@pytest.mark.parametrize(
    "move",
    [
        lambda mask: mask.SetOrigin((0.1, 0.0, 0.0)),
        lambda mask: mask.SetSpacing((2.0, 2.0, 5.1)),
        lambda mask: mask.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1)),
    ],
    ids=["origin", "spacing", "direction"],
)
def test_other_grids_are_refused(move):
    ct, mask = pair()
    move(mask)
    assert kind_of(ct, mask) == "grid_mismatch"
    assert kind_of(ct[:, :, 1:], mask) == "grid_mismatch"


def test_grids_equal_within_tolerance_pass():
    ct, mask = pair()
    mask.SetOrigin((1e-7, 0.0, 0.0))
    cut_box(ct, mask, preparation())


def test_other_pixels_are_refused():
    ct, mask = pair()
    assert kind_of(sitk.Compose(ct, ct), mask) == "bad_pixel_type"
    assert kind_of(ct[:, :, 3], mask[:, :, 3]) == "bad_dimension"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_must_be_finite_where_they_count(bad):
    ct, mask = pair(dtype=np.float64)
    ct[0, 0, 0] = bad
    assert kind_of(ct, mask, pre_crop=False) == "non_finite_voxels"
    assert kind_of(ct, mask, normalize=True, pad_distance=2) == "non_finite_voxels"
    assert np.isfinite(compute_features(ct, mask, study_set(pad_distance=2)).values["original_firstorder_Mean"])


def test_thin_boxes_are_refused():
    assert kind_of(*pair(), pad_distance=0) == "box_too_thin"
    ct, mask = pair()
    for image in (ct, mask):
        image.SetSpacing((0.2, 2.0, 5.0))
    assert kind_of(ct, mask) == "box_too_thin"


def test_flat_volumes_are_refused_where_a_filter_is_undefined():
    ct, mask = pair()
    assert kind_of(ct * 0, mask) == "flat_image"
    assert kind_of(ct * 0 + 7, mask, normalize=True) == "flat_image"


def test_absurd_bins_are_refused():
    assert kind_of(*pair(), bin_width=1e-4) == "too_many_gray_levels"


def test_the_box_is_the_roi_and_its_margin():
    box = cut_box(*pair(), preparation(pad_distance=2))
    assert box.values.shape == (6, 8, 8)
    assert (box.lower, box.shape, box.spacing_mm) == ((2, 2, 2), (2, 4, 4), (5.0, 2.0, 2.0))
    assert len(box.index[0]) == 32
    assert box.largest_hu == np.abs(box.values).max()


def test_degenerate_classes_are_named():
    ct, mask = pair()
    result = compute_features(ct * 0 + 40, mask, study_set())
    assert "original/glcm: one gray level" in result.degenerate
    assert result.filter_scale_hu == 40
    apart = compute_features(*remasked(ct, mask, only((3, 4, 4), (3, 5, 9))), study_set())
    assert "original/glcm: no neighbouring voxels" in apart.degenerate
    assert np.isnan(apart.values["original_glcm_Contrast"])
