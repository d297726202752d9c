"""The coarse grid of a volume, there and back, against SimpleITK's BinShrink and Resample."""

import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cvtbatch.outlining.work_grid import work_grid

SHAPES = st.tuples(st.integers(2, 9), st.integers(2, 30), st.integers(2, 30))
SPACINGS = st.tuples(
    st.sampled_from([0.5, 0.625, 1.0, 2.5, 5.0, 7.5]), *[st.sampled_from([0.3, 0.488, 0.5, 0.7, 1.0, 2.5])] * 2
)
SEEDS = st.integers(0, 1000)
IDENTITY = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)


def on_work_grid(values, spacing_mm) -> sitk.Image:
    """Return values on the grid of about 2 mm by SimpleITK."""
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing(spacing_mm[::-1])
    blocks = [min(max(1, round(2 / step)), size) for step, size in zip(spacing_mm, values.shape, strict=True)]
    shrunk = sitk.BinShrink(image, blocks[::-1])
    parts = max(1, round(spacing_mm[0] / 2))
    columns, rows, slices = shrunk.GetSize()
    x_mm, y_mm, z_mm = shrunk.GetSpacing()
    size, spacing = (columns, rows, (slices - 1) * parts + 1), (x_mm, y_mm, z_mm / parts)
    return sitk.Resample(shrunk, size, sitk.Transform(), sitk.sitkLinear, shrunk.GetOrigin(), spacing, IDENTITY)


@settings(max_examples=150, deadline=None)
@given(SHAPES, SPACINGS, SEEDS)
def test_it_has_the_means_and_regions_that_simpleitk_gives(shape, spacing_mm, seed) -> None:
    rng = np.random.default_rng(seed)
    hu = rng.integers(-1024, 3072, shape).astype(np.int16)
    work, expected = work_grid(shape, spacing_mm, 2.0), on_work_grid(hu, spacing_mm)
    assert work.spacing_mm == expected.GetSpacing()[::-1]
    np.testing.assert_allclose(work.means(hu), sitk.GetArrayFromImage(expected), rtol=2e-7, atol=1e-4)
    bone = sitk.GetArrayFromImage(on_work_grid(hu > 1000, spacing_mm))
    assert ((work.means(hu > 1000) > 0.25) == (bone > 0.25)).all()

    region = ndimage.binary_dilation(rng.random(bone.shape) < 0.1)
    image = sitk.GetImageFromArray(region.astype(np.float32))
    image.CopyInformation(expected)
    share = sitk.Resample(
        image, shape[::-1], sitk.Transform(), sitk.sitkLinear, (0.0, 0.0, 0.0), spacing_mm[::-1], IDENTITY, 0.0,
        sitk.sitkFloat32, True,
    )  # fmt: skip
    assert (work.on_volume(region) == (sitk.GetArrayFromImage(share) >= 0.5)).all()
