"""Measures of outlines: by hand, by all pairs of corners, and by stock PyRadiomics."""

import math
from itertools import combinations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import variation

from cvtbatch.signs.geometry import Geometry, diameters
from cvtbatch.signs.signs import find_signs
from tests.support.hematomas import grid_for


def geometry(mask: np.ndarray, spacing_mm: tuple[float, float, float] = (0.5, 0.5, 5.0)) -> Geometry:
    return find_signs(
        np.full(mask.shape, 60, np.int16), mask.astype(np.uint8), grid_for(mask.shape, spacing_mm)
    ).geometry


def box(*sizes: tuple[int, int]) -> np.ndarray:
    """Return a mask of rectangles (y, x), one a slice, with an empty slice before and after them."""
    mask = np.zeros((len(sizes) + 2, 64, 64), bool)
    for index, (y, x) in enumerate(sizes, 1):
        mask[index, 20 : 20 + y, 20 : 20 + x] = True
    return mask


def test_a_rectangle_s_measures_are_those_by_hand() -> None:
    """20 x 15 mm; the diagonal is 25 mm, and perpendicular to it lies 2 x 20 x 15 / 25 = 24 mm."""
    found = geometry(box((30, 40), (30, 40)))
    assert found.volume_ml == pytest.approx(20 * 15 * 10 / 1000)
    assert found.largest_slice_area_mm2 == pytest.approx(300)
    assert found.largest_slice_diameter_mm == pytest.approx(25)
    assert found.perpendicular_diameter_mm == pytest.approx(24)
    assert found.abc2_ml == pytest.approx(25 * 24 * 10 / 2 / 1000)


@pytest.mark.parametrize(
    ("rows", "counted"), [(76, 2), (75, 1.5), (25, 1.5), (24, 1)], ids=["76 %", "75 %", "25 %", "24 %"]
)
def test_slices_of_abc2_count_by_their_area(rows: int, counted: float) -> None:
    """Kothari 1996: above 75 % of the largest slice one, from 25 % half a slice, below none."""
    mask = np.zeros((4, 110, 20), bool)
    mask[1, :100, 5:15], mask[2, :rows, 5:15] = True, True
    assert geometry(mask).abc2_slices == counted


def test_abc2_of_an_ellipsoid_is_nearly_its_volume() -> None:
    """Kothari 1996: ABC/2 is the volume of an ellipsoid with pi taken for 3; on thin slices, all of which count."""
    z, y, x = np.meshgrid(*(np.arange(-size, size + 1) * 0.5 for size in (1, 44, 64)), indexing="ij")
    mask = ((x / 30) ** 2 + (y / 20) ** 2 < 1) & (z > -9)
    found = geometry(mask, (0.5, 0.5, 5.0))
    assert found.abc2_ml == pytest.approx(60 * 40 * 15 / 2 / 1000, rel=0.03)


MASKS = arrays(bool, (7, 9)).filter(lambda mask: bool(mask.any()))


@settings(max_examples=40, deadline=None)
@given(MASKS, st.sampled_from([0.5, 0.75]))
def test_diameters_are_those_of_all_pairs_of_corners(mask: np.ndarray, x_mm: float) -> None:
    corners = {(x + i, y + j) for y, x in np.argwhere(mask).tolist() for i in (0, 1) for j in (0, 1)}
    points = [(x * x_mm, y * 0.5) for x, y in corners]
    longest = max(math.dist(one, other) for one, other in combinations(points, 2))
    widths = []
    for one, other in combinations(points, 2):
        if math.dist(one, other) > longest - 1e-9:
            along = ((other[0] - one[0]) / longest, (other[1] - one[1]) / longest)
            across = [x * -along[1] + y * along[0] for x, y in points]
            widths.append(max(across) - min(across))
    assert diameters(mask, x_mm, 0.5) == pytest.approx((longest, max(widths)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the way in which PyRadiomics loads its classes
def test_the_irregularity_index_follows_from_stock_pyradiomics_sphericity() -> None:
    """HII = 100 sqrt(S / pi) / 2 / (3 V / 4 pi)^(1/3), of PyRadiomics' surface and volume."""
    shape = pytest.importorskip("radiomics.shape", reason="the extra stock is not installed")
    mask = np.random.default_rng(0).normal(size=(4, 20, 20)) > -0.5
    image, label = sitk.GetImageFromArray(np.full(mask.shape, 60.0)), sitk.GetImageFromArray(mask.astype(np.uint8))
    for one in (image, label):
        one.SetSpacing((0.5, 0.5, 5.0))
    stock = shape.RadiomicsShape(image, label)
    surface, volume = stock.getSurfaceAreaFeatureValue(), stock.getMeshVolumeFeatureValue()
    expected = 100 * math.sqrt(surface / math.pi) / 2 / (3 * volume / (4 * math.pi)) ** (1 / 3)
    assert geometry(np.pad(mask, (1, 3))).irregularity_index == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(100 / math.sqrt(stock.getSphericityFeatureValue()))


def test_a_ball_has_an_index_of_nearly_100() -> None:
    z, y, x = np.meshgrid(*[np.arange(-22, 23) * 0.5] * 3, indexing="ij")
    assert geometry(np.sqrt(x**2 + y**2 + z**2) < 10, (0.5, 0.5, 0.5)).irregularity_index == pytest.approx(103, abs=2)


def test_density_is_that_of_the_outline_alone() -> None:
    hu = np.random.default_rng(1).normal(60, 8, (4, 30, 30)).round().astype(np.int16)
    mask = np.zeros(hu.shape, np.uint8)
    mask[1:3, 5:20, 5:20] = 1
    density = find_signs(hu, mask, grid_for(hu.shape)).density
    inside = hu[mask > 0]
    assert (density.mean_hu, density.sd_hu) == pytest.approx((np.mean(inside), np.std(inside)))
    assert density.density_cv == pytest.approx(variation(inside))
    below = find_signs((hu - 100).astype(np.int16), mask, grid_for(hu.shape))
    assert (below.density.density_cv, below.undetermined[-1]) == (None, "density_cv: the mean is not above 0 HU")
