"""The fast engine against stock PyRadiomics on small random ROIs: any mask, any image, and what stock refuses."""

import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvtbatch.errors import InputError
from cvtbatch.radiomics import profile_of, study_settings
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.reference import stock_features
from tests.support.parity import NAMES, deviations, skip_without_pyradiomics, study_set

# LoG of sigma 3 mm fits into as few as 4 voxels of this size.
SPACINGS_MM = ((3.0, 3.0, 5.0), (1.0, 2.5, 3.0), (3.0, 3.0, 3.0))


@st.composite
def rois(draw):
    """A small volume with one of five kinds of image and of mask, and settings."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.tuples(st.integers(4, 9), st.integers(4, 9), st.integers(4, 9))))
    step = draw(st.sampled_from([1, 5, 7]))
    hu = rng.integers(0, draw(st.sampled_from([2, 3, 8, 40])), shape) * step + draw(st.sampled_from([-1000, 0, 30]))
    match draw(st.sampled_from(["noise", "flat", "striped", "sparse"])):
        case "flat":
            hu[:] = draw(st.integers(-60, 60))
        case "striped":
            hu[:, :, ::2] = 40
        case "sparse":
            hu[rng.random(shape) < 0.8] = 35
    mask = np.zeros(shape, np.uint8)
    low = rng.integers(0, shape)
    high = np.minimum(low + rng.integers(1, 5, 3), shape)
    match draw(st.sampled_from(["points", "random", "block", "slice", "block and points"])):
        case "points":
            mask[tuple(rng.integers(0, shape, (draw(st.integers(1, 5)), 3)).T)] = 1
        case "random":
            mask[rng.random(shape) < draw(st.floats(0.05, 0.7))] = 1
        case "block":
            mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
        case "slice":
            mask[low[0]][rng.random(shape[1:]) < 0.5] = 1
        case _:
            mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
            mask[tuple(rng.integers(0, shape))] = 1
            mask[tuple(rng.integers(0, shape))] = 2
    ct, roi = sitk.GetImageFromArray(hu.astype(np.int16)), sitk.GetImageFromArray(mask)
    for image in (ct, roi):
        image.SetSpacing(draw(st.shared(st.sampled_from(SPACINGS_MM), key="spacing")))
    profile = study_set(
        bin_width=draw(st.sampled_from([5.0, 25.0])),
        voxel_array_shift=draw(st.sampled_from([0, 1000])),
        pre_crop=draw(st.booleans()),
        pad_distance=draw(st.sampled_from([2, 10])),
        minimum_roi_dimensions=draw(st.sampled_from([1, 2, 2, 3])),
    )
    return ct, roi, profile


def _refusal_or_values(compute, errors, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compute(*arguments)
        except errors as error:
            return error


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rois())
def test_small_rois_equal_stock(roi):
    skip_without_pyradiomics()
    stock = _refusal_or_values(stock_features, (InputError, ValueError, RuntimeError, IndexError), *roi)
    fast = _refusal_or_values(compute_features, InputError, *roi)
    # Stock drops whole image types where a filter's support does not fit; the fast engine refuses the ROI.
    if isinstance(stock, Exception) or len(stock) < len(NAMES):
        assert isinstance(fast, InputError), f"stock refuses ({stock!r:.80}), fast does not"
        return
    assert not isinstance(fast, InputError), f"stock gives values, fast refuses: {fast}"
    assert deviations(fast.values, stock) == []


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rois(), st.sampled_from([25.0, 60.0]))
def test_small_normalised_rois_equal_stock(roi, bin_width):
    ct, mask, profile = roi
    changed = {**study_settings(profile), "normalize": True, "normalizeScale": 200.0, "binWidth": bin_width}
    test = profile_of(changed)
    if np.ptp(sitk.GetArrayViewFromImage(ct)) == 0:
        with pytest.raises(InputError):
            compute_features(ct, mask, test)
        return
    test_small_rois_equal_stock.hypothesis.inner_test((ct, mask, test))
