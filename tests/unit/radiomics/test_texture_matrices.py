"""The compiled matrices against slow, obvious ones."""

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import label

from cvtbatch.errors import InputError
from cvtbatch.radiomics import glcm
from cvtbatch.radiomics.angles import list_angles
from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.discretisation import bin_edges, discretise
from cvtbatch.radiomics.settings import Calculation, Preparation
from cvtbatch.radiomics.texture_grid import lay_grid
from cvtbatch.radiomics.texture_matrices import fill_matrices


@pytest.fixture(params=range(9))
def counted(request):
    """Levels in a (z, y, x) array, 0 outside the ROI, and what the kernels count in it."""
    rng = np.random.default_rng(request.param)
    shape = (6, 7, 8)
    inside = rng.random(shape) < (0.2, 0.5, 0.9)[request.param % 3]
    if request.param == 5:
        inside[1:] = False
    if request.param == 6:  # two parts with more between them than is compared in one go
        shape = (4, 3, 120)
        inside = rng.random(shape) < 0.7
        inside[:, :, 6:112] = False
    # Rows as long as several times what is compared in one go, and a neighbour that is nearer than all of it.
    if request.param == 7:
        shape = (2, 3, 150)
        inside = rng.random(shape) < 0.9
    hu = rng.integers(0, 20, shape)
    # Levels of which 26 add up to more than 16 bits hold.
    if request.param == 8:
        hu[rng.random(shape) < 0.5] += 20_000
    images = sitk.GetImageFromArray(hu.astype(np.int16)), sitk.GetImageFromArray(inside.astype(np.uint8))
    for image in images:
        image.SetSpacing((3.0, 3.0, 3.0))
    box = cut_box(*images, Preparation())
    calculation = Calculation(bin_width=5.0)
    gray = discretise(box.values[box.index], calculation)
    levels = np.zeros(shape, np.int64)
    levels[inside] = gray.levels[gray.codes - 1]
    return levels, gray, fill_matrices(lay_grid(box, calculation), gray, 0), box


def neighbours(levels, voxel, angles):
    """Levels of a voxel's neighbours inside the ROI."""
    for angle in angles:
        place = tuple(np.add(voxel, angle))
        if all(0 <= at < size for at, size in zip(place, levels.shape, strict=True)) and levels[place]:
            yield levels[place]


def test_glcm(counted):
    levels, gray, matrices, box = counted
    for number, angle in enumerate(list_angles(box.shape)):
        expected = np.zeros((len(gray.levels),) * 2)
        for voxel in np.argwhere(levels):
            for other in neighbours(levels, voxel, [-angle]):
                expected[tuple(np.searchsorted(gray.levels, (levels[tuple(voxel)], other)))] += 1
        np.testing.assert_array_equal(matrices.glcm[number], expected)


@pytest.mark.parametrize("symmetrical", [True, False])
@pytest.mark.parametrize("levels", [(1, 2, 3, 4, 5), (1, 2, 4, 5, 6), (2, 3, 7, 90, 400), (7,)])
def test_sums_of_glcm_in_turn_have_the_bits_of_numpys(levels, symmetrical):
    levels = np.array(levels)
    pairs = np.random.default_rng(3).integers(0, 40, (13, len(levels), len(levels))).astype(np.int32)
    pairs[:, 0, 0] += 1
    p = glcm._probabilities(pairs, levels, symmetrical, None)
    by_angle, terms, means, complete = glcm._lay_terms(pairs, levels * 1.0, symmetrical, glcm._is_turned(levels))
    assert complete
    np.testing.assert_array_equal(by_angle, p[0].transpose(2, 0, 1))
    np.testing.assert_array_equal(glcm._sums_in_turn(terms, means, levels), glcm._sums_by_numpy(p, levels))
    pairs[4] = 0
    assert not glcm._lay_terms(pairs, levels * 1.0, symmetrical, False)[3]


def test_glrlm(counted):
    levels, gray, matrices, box = counted
    for number, angle in enumerate(list_angles(box.shape)):
        expected = Counter()
        for voxel in np.argwhere(levels):
            level = levels[tuple(voxel)]
            if level in neighbours(levels, voxel, [-angle]):
                continue
            length = 1
            while level in neighbours(levels, voxel + (length - 1) * angle, [angle]):
                length += 1
            expected[int(level), length] += 1
        found = {
            (int(gray.levels[i]), int(j) + 1): int(matrices.glrlm[number, i, j])
            for i, j in np.argwhere(matrices.glrlm[number])
        }
        assert found == expected


def test_gldm_and_ngtdm(counted):
    levels, gray, matrices, _ = counted
    angles = [step for step in product((-1, 0, 1), repeat=3) if any(step)]
    dependences, contrasts = np.zeros((len(gray.levels), matrices.gldm.shape[1])), np.zeros(len(gray.levels))
    for voxel in np.argwhere(levels):
        level = levels[tuple(voxel)]
        around = list(neighbours(levels, voxel, angles))
        place = np.searchsorted(gray.levels, level)
        dependences[place, around.count(level)] += 1
        contrasts[place] += abs(level - np.mean(around)) if around else 0
    np.testing.assert_array_equal(matrices.gldm, dependences)
    np.testing.assert_allclose(matrices.ngtdm, contrasts, rtol=1e-12)


def test_glszm(counted):
    levels, gray, matrices, _ = counted
    expected = Counter()
    for place, level in enumerate(gray.levels):
        zones, _ = label(levels == level, np.ones((3, 3, 3)))
        expected.update((place, int(size)) for size in np.bincount(zones.ravel())[1:])
    found = Counter(zip(matrices.glszm_levels.tolist(), matrices.glszm_sizes.tolist(), strict=True))
    assert found == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bin_width", [0.1, 5.0, 25.0])
def test_levels_are_those_of_digitize(dtype, bin_width):
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(0, 40, 500), np.arange(-50, 50, 5), [np.nan]]).astype(dtype)
    calculation = Calculation(bin_width=bin_width)
    # At edges, and as near to them as numbers lie.
    edges = bin_edges(values, calculation)[1:-2]
    values = np.concatenate([values, edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)]).astype(dtype)
    gray = discretise(values, calculation)
    expected = np.digitize(values, bin_edges(values, calculation))
    np.testing.assert_array_equal(gray.levels[gray.codes - 1], expected)
    np.testing.assert_array_equal(gray.counts, np.unique(expected, return_counts=True)[1])


def test_values_between_which_and_a_bin_no_number_lies_have_no_gray_levels() -> None:
    with pytest.raises(InputError) as raised:
        discretise(np.full(5, 1e17), Calculation(bin_width=1.0))
    assert raised.value.kind == "undefined_gray_levels"


@pytest.mark.parametrize("extent", [61_439, 61_440])
def test_runs_are_counted_as_far_as_their_lengths_have_columns(extent: int) -> None:
    calculation = Calculation(bin_width=5.0)
    inside = np.zeros((1, 4, extent + 2), np.uint8)
    inside[0, 1:3, 1:-1] = 1
    hu = np.full(inside.shape, 60, np.int16)
    box = cut_box(sitk.GetImageFromArray(hu), sitk.GetImageFromArray(inside), Preparation())
    if extent > 61_439:
        with pytest.raises(InputError, match="61440 x 2 x 1 voxels \\(limit 61439 along an axis\\)"):
            lay_grid(box, calculation)
        return
    # As many gray levels as there may be, the last one in a run along the whole box; one angle, as each takes 2 GB.
    values = np.full((2, extent), 4095.0)
    values[1, :4096] = np.arange(4096)
    grid = lay_grid(box, calculation)
    [along] = [number for number, angle in enumerate(grid.line_angles) if tuple(angle) == (0, 0, 1)]
    grid = replace(grid, line_steps=grid.line_steps[[along]])
    [runs] = fill_matrices(grid, discretise(values.ravel() * 5, calculation), 0, ("glrlm",)).glrlm
    assert (runs[4095, extent - 1], runs[4095, extent - 4096], runs.sum()) == (1, 1, 2 + 4095)


def test_neighbours_at_very_many_distances_are_all_counted() -> None:
    hu, inside = np.zeros((41, 41, 43), np.int16), np.ones((41, 41, 43), np.uint8)
    inside[:, :, [0, -1]] = 0
    box = cut_box(sitk.GetImageFromArray(hu), sitk.GetImageFromArray(inside), Preparation())
    grid = lay_grid(box, Calculation(bin_width=5.0, distances=tuple(range(1, 21))))
    assert grid.neighbours[41**3 // 2] == 41**3 - 1 == 68_920
