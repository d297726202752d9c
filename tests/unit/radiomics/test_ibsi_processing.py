"""IBSI's order of processing on images whose every voxel can be worked out by hand; the phantom is held in tests/golden."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.radiomics import audit_features, extract_features
from cvtbatch.radiomics.box import cut_box, label_index
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.ibsi_processing import Interpolated, cut_ibsi_box, interpolate, lay_grid, resegment
from cvtbatch.radiomics.parameter_file import check_parameters, load_feature_set
from cvtbatch.radiomics.settings import IbsiPreparation
from tests.support.parity import skip_without_pyradiomics

SPACING_MM = (1.0, 1.5, 3.0)
DIRECTION = (1, 0, 0, 0, 0.96, -0.28, 0, 0.28, 0.96)


def pair(hu: np.ndarray, mask: np.ndarray) -> tuple[sitk.Image, sitk.Image]:
    """An oblique image and its mask, from (z, y, x)."""
    images = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask.astype(np.uint8))
    for image in images:
        image.SetSpacing(SPACING_MM)
        image.SetOrigin((-12.5, 3.25, 40.0))
        image.SetDirection(DIRECTION)
    return images


def interpolated(ct: sitk.Image, mask: sitk.Image, own: IbsiPreparation) -> Interpolated:
    """Image and mask on the whole grid."""
    return interpolate(ct, label_index(mask, 1), own, lay_grid(ct, own))


def lumpy(shape: tuple[int, int, int] = (7, 11, 13)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    mask = np.zeros(shape, bool)
    mask[1:6, 2:9, 3:10] = rng.random((5, 7, 7)) < 0.7
    return np.round(np.cumsum(rng.normal(0, 30, shape), axis=2)).astype(np.int16), mask


def by_hand(array: np.ndarray, spacing_mm: tuple[float, float, float], order: int) -> np.ndarray:
    """The (z, y, x) array on the centred grid, by SciPy: points in voxels, counted from the middle of both grids."""
    old, new = np.array(SPACING_MM[::-1]), np.array(spacing_mm[::-1])
    counts = np.ceil(np.array(array.shape) * old / new - 1e-6).astype(int)
    axes = [
        (size - 1) / 2 + (np.arange(count) - (count - 1) / 2) * step / before
        for size, count, step, before in zip(array.shape, counts, new, old, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    # Beside the outermost voxels' centres, the value is the nearest one's (linear) or mirrored (B-spline), as in ITK.
    return map_coordinates(array.astype(float), points, order=order, mode="nearest" if order == 1 else "mirror")


@pytest.mark.parametrize(("interpolator", "order"), [("sitkLinear", 1), ("sitkBSpline", 3)])
@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (0.7, 1.5, 1.1)])
def test_image_and_mask_lie_on_a_grid_with_the_same_centre(
    interpolator: str, order: int, spacing_mm: tuple[float, float, float]
) -> None:
    hu, mask = lumpy()
    found = interpolated(*pair(hu, mask), IbsiPreparation(resampled_spacing_mm=spacing_mm, interpolator=interpolator))
    assert found.spacing_mm == spacing_mm[::-1]
    theirs = by_hand(hu, spacing_mm, order)
    sure = np.abs(theirs - np.floor(theirs) - 0.5) > 1e-6
    np.testing.assert_array_equal(found.hu[sure], np.rint(theirs)[sure])
    np.testing.assert_array_equal(found.mask, by_hand(mask, spacing_mm, 1) >= 0.5 - 1e-9)
    assert sure.mean() > 0.95


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (0.7, 1.5, 1.1), (5.0, 0.0, 7.0), (0.3, 9.0, 30.0)])
def test_what_lies_far_from_the_roi_is_left_out_and_nothing_else(spacing_mm: tuple[float, float, float]) -> None:
    hu, mask = lumpy()
    own = IbsiPreparation(resampled_spacing_mm=spacing_mm)
    whole, box = interpolated(*pair(hu, mask), own), cut_ibsi_box(*pair(hu, mask), own)
    voxels = np.nonzero(whole.mask)
    assert [len(axis) for axis in box.outline] == [len(axis) for axis in voxels]
    for there, here in zip(voxels, box.outline, strict=True):
        np.testing.assert_array_equal(there - there.min(), here)
    np.testing.assert_array_equal(box.values[box.outline], whole.hu[voxels])


@pytest.mark.parametrize(
    ("marked", "slice_mm", "expected"),
    [
        # The middles of five slices of 2 mm lie 4, 2, 0, 2, 4 mm from the marked one's: shares 0, 1/3, 1, 1/3, 0.
        ([0, 1, 0], 2.0, [0, 0, 1, 0, 0]),
        # Of six of 1.5 mm, 0.75 mm from it the share is 3/4, 2.25 mm from it 1/4.
        ([0, 1, 0], 1.5, [0, 0, 1, 1, 0, 0]),
        # Where its middle is half way between two old ones', a half of it is marked.
        ([0, 1, 0, 0], 6.0, [1, 0]),
        ([1, 0], 6.0, [1]),
    ],
)
def test_a_voxel_belongs_to_the_mask_from_a_half_on(marked: list[int], slice_mm: float, expected: list[int]) -> None:
    mask = np.zeros((len(marked), 6, 6))
    mask[:, 1:5, 1:5] = np.array(marked)[:, None, None]
    own = IbsiPreparation(resampled_spacing_mm=(0.0, 0.0, slice_mm), interpolator="sitkLinear")
    assert interpolated(*pair(mask, mask), own).mask.any(axis=(1, 2)).tolist() == [bool(share) for share in expected]


def test_outliers_are_those_of_what_the_range_left() -> None:
    hu = np.array([[[-2000.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 50, 3000]]])
    mask = np.ones(hu.shape, bool)
    mask[0, 0, 1] = False
    ranged = resegment(hu, mask, IbsiPreparation(resegment_range=(-1000, 50)))
    assert np.flatnonzero(ranged).tolist() == list(range(2, 13))
    # Of those eleven the mean is 60 / 11 = 5.45 and the standard deviation 14.4: 50 lies 3.1 of them away.
    both = resegment(hu, mask, IbsiPreparation(resegment_range=(-1000, 50), resegment_outliers=3))
    assert np.flatnonzero(both).tolist() == list(range(2, 12))
    # Of all thirteen the mean is 82 and the standard deviation 1,019.
    alone = resegment(hu, mask, IbsiPreparation(resegment_outliers=2.5))
    assert np.flatnonzero(alone).tolist() == [0, *range(2, 13)]


def test_bins_start_at_the_lower_bound_and_shape_is_that_of_the_whole_mask() -> None:
    hu, mask = np.full((4, 6, 8), -990.0), np.zeros((4, 6, 8), bool)
    mask[1:3, 1:5, 1:7] = True
    hu[1:3, 1:5, 2:6] = 12.0
    hu[1:3, 2:4, 2:6] = 30.0
    content = {
        "featureClass": {"firstorder": ["Minimum", "Entropy"], "glcm": ["JointAverage"], "shape": ["VoxelVolume"]},
        "setting": {"processing": "ibsi", "resegmentRange": [-7, 400], "binWidth": 10},
    }
    feature_set = check_parameters(content).feature_set
    assert feature_set is not None
    values = compute_features(*pair(hu, mask), feature_set).values
    assert values["original_shape_VoxelVolume"] == mask.sum() * 4.5
    assert values["original_firstorder_Minimum"] == 12
    assert values["original_firstorder_Entropy"] == pytest.approx(1)
    # 12 and 30 are in the second and fourth bin from -7 on, and in the first and third from 10 on, as PyRadiomics has it.
    kept = mask & (hu >= -7)
    as_pyradiomics = check_parameters({**content, "setting": {"binWidth": 10}}).feature_set
    assert as_pyradiomics is not None
    theirs = compute_features(*pair(hu, kept), as_pyradiomics).values
    assert values["original_glcm_JointAverage"] == pytest.approx(theirs["original_glcm_JointAverage"] + 1)
    assert theirs["original_shape_VoxelVolume"] == kept.sum() * 4.5


def test_texture_is_that_of_the_intensity_mask_where_it_is_one_plane_of_the_other() -> None:
    hu, mask = lumpy()
    hu[[1, 2, 4, 5]] = -2000
    content = {"setting": {"processing": "ibsi", "resegmentRange": [-1000, 1000], "binCount": 8, "distances": [1, 2]}}
    theirs = {"setting": {"binCount": 8, "distances": [1, 2]}}
    own, stock = (check_parameters(one).feature_set for one in (content, theirs))
    assert own is not None
    assert stock is not None
    values = compute_features(*pair(hu, mask), own).values
    expected = compute_features(*pair(hu, mask & (hu >= -1000)), stock).values
    for name in (name for name in values if "shape" not in name):
        assert values[name] == pytest.approx(expected[name], rel=1e-12, abs=1e-12), name


FIXED = {"processing": "ibsi", "binCount": 8}


@pytest.mark.parametrize(
    ("content", "key", "told"),
    [
        ({"setting": {"resegmentOutliers": 3}}, "setting.resegmentOutliers", "it is of processing: ibsi"),
        ({"setting": {"processing": "pyradiomics"}}, "setting.processing", "is not one of ibsi"),
        ({"processing": "ibsi"}, "processing", "move it to the section 'setting'"),
        ({"setting": {**FIXED, "procesing": "ibsi"}}, "setting.procesing", "did you mean 'processing'"),
        ({"setting": {**FIXED, "resegmentOutliers": 0}}, "setting.resegmentOutliers", "limit: above 0"),
        ({"setting": {**FIXED, "normalize": True}}, "setting.normalize", "limit: false: gray values are HU"),
        ({"setting": {**FIXED, "resegmentMode": "sigma"}}, "setting.resegmentMode", "limit: absolute, in HU"),
        ({"setting": {**FIXED, "resegmentShape": True}}, "setting.resegmentShape", "the morphological mask"),
        ({"setting": {**FIXED, "interpolator": "sitkGaussian"}}, "setting.interpolator", "sitkLinear or sitkBSpline"),
        (
            {"setting": {"processing": "ibsi"}},
            "setting.resegmentRange",
            "start at its lower bound; give it, or binCount",
        ),
        ({"imageType": {"Square": {}}, "setting": FIXED}, "imageType.Square", "the image type Original alone"),
    ],
)
def test_what_does_not_belong_to_it_is_refused(content: dict[object, object], key: str, told: str) -> None:
    found = {one.key: one for one in check_parameters(content).verdicts}
    assert found[key].outcome == "refused"
    assert told in found[key].reason


def test_a_set_says_its_processing(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("setting: {processing: ibsi, resegmentRange: [-1000, 400], resegmentOutliers: 3, preCrop: true}\n")
    found = load_feature_set(file)
    assert isinstance(found.preparation, IbsiPreparation)
    document = json.loads(json.dumps(found.to_document()))
    assert (document["setting"]["processing"], document["setting"]["resegmentOutliers"]) == ("ibsi", 3.0)
    assert check_parameters(document).feature_set == found
    file.write_text("{}")
    assert "processing" not in load_feature_set(file).to_document()["setting"]
    verdicts = {one.key: one.outcome for one in check_parameters({"setting": {**FIXED, "preCrop": True}}).verdicts}
    assert verdicts["setting.processing"] == "fast"
    assert verdicts["setting.preCrop"] == "no effect"


def test_pyradiomics_does_not_compute_it_and_no_job_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("setting: {processing: ibsi, resegmentRange: [-1000, 400]}\n")
    with pytest.raises(InputError, match="PyRadiomics has no processing: ibsi") as caught:
        extract_features(*pair(*lumpy()), engine="pyradiomics", params=file)
    assert caught.value.kind == "not_pyradiomics"
    shape = check_parameters({"featureClass": {"shape": None}, "setting": FIXED}).feature_set
    assert shape is not None
    for compute in (audit_features, lambda ct, mask, own, _: cut_box(ct, mask, own.preparation)):
        with pytest.raises(InputError, match="PyRadiomics has no processing: ibsi"):
            compute(*pair(*lumpy()), shape, {})
    with pytest.raises(ProblemsError) as refused:
        extract_features(*pair(*lumpy()), profile=str(file))
    assert 'setting processing = "ibsi" is not supported' in refused.value.private


def test_pyradiomics_itself_refuses_the_file(tmp_path: Path) -> None:
    skip_without_pyradiomics()
    from pykwalify.errors import SchemaError
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    file = tmp_path / "params.yaml"
    file.write_text("setting: {processing: ibsi, binCount: 8}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SchemaError, match="Key 'processing' was not defined"):
            RadiomicsFeatureExtractor(str(file))


@pytest.mark.parametrize(
    ("settings", "kind", "told"),
    [
        ({"resegmentRange": [3000, 4000]}, "roi_too_small", "resegmentRange leaves 0 of"),
        ({"resegmentOutliers": 1e-6, "binCount": 4}, "roi_too_small", "resegmentOutliers leaves"),
        ({"label": 2, "binCount": 4}, "label_absent", "label 2 is absent"),
        ({"resampledPixelSpacing": [400, 400, 400], "binCount": 4}, "roi_too_small", "in no voxel after interpolation"),
        ({"resampledPixelSpacing": [1e6, 1e6, 1e6], "binCount": 4}, "roi_too_small", "in no voxel after interpolation"),
        (
            {"resampledPixelSpacing": [0.01, 0.01, 0.01], "binCount": 4},
            "bad_setting",
            "makes 1300 x 1650 x 2100 voxels",
        ),
    ],
)
def test_an_roi_that_cannot_be_computed_is_refused(settings: dict[str, object], kind: str, told: str) -> None:
    found = check_parameters({"setting": {"processing": "ibsi", "interpolator": "sitkLinear", **settings}}).feature_set
    assert found is not None
    with pytest.raises(InputError, match=told) as caught:
        compute_features(*pair(*lumpy()), found)
    assert caught.value.kind == kind
