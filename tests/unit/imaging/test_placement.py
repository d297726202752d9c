"""Masks on the stored grid, against SimpleITK on regular grids and against each voxel's own nearest slice on others."""

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack, box_of, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.imaging.placement import _place_lines, mask_volume_ml, nearest_slices, slab_edges_mm
from cvtbatch.imaging.resampling import stack_of, to_image, to_image_frame

SPACING = (0.5, 0.5, 5.0)
IDENTITY = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)


def test_a_mask_is_placed_by_physical_position() -> None:
    grid = Grid((40, 40, 10), SPACING, (0.0, 0.0, 0.0), IDENTITY)
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[8:12, 5:9, 6:10] = 1
    placed = place_mask(mask, Grid((20, 20, 20), (1.0, 1.0, 2.5), (2.0, 3.0, 0.0), grid.direction), grid)
    index = np.argwhere(placed)[:, ::-1].astype(float)
    centre = grid.to_point(index).mean(axis=0)
    assert np.allclose(centre, [2 + 7.5, 3 + 6.5, 9.5 * 2.5], atol=1.3)
    assert placed.sum() * grid.voxel_ml == pytest.approx(4**3 * 2.5 / 1000, rel=0.3)


def test_a_mask_elsewhere_is_refused_with_where_it_lies() -> None:
    grid = Grid((40, 40, 10), SPACING, (0.0, 0.0, 0.0), IDENTITY)
    far = Grid((2, 2, 2), (1.0, 1.0, 1.0), (500.0, 0.0, 0.0), grid.direction)
    with pytest.raises(InputError, match="500") as raised:
        place_mask(np.ones((2, 2, 2), np.uint8), far, grid)
    assert raised.value.kind == "mask_outside_image"
    thin = Grid((1, 1, 1), (0.1, 0.1, 0.1), (0.25, 0.25, 2.5), grid.direction)
    with pytest.raises(InputError) as raised:
        place_mask(np.ones((1, 1, 1), np.uint8), thin, grid)
    assert raised.value.kind == "mask_lost"


def random_mask(shape: tuple[int, int, int]) -> np.ndarray:
    return (np.random.default_rng(4).random(shape) < 0.4).astype(np.uint8)


OBLIQUE = tuple(np.linalg.qr(np.array([[1.0, 0.2, -0.1], [-0.2, 1.0, 0.3], [0.1, -0.3, 1.0]]))[0].ravel().tolist())


@pytest.mark.parametrize(
    ("spacing", "direction"),
    [
        ((0.488, 0.488, 2.5), OBLIQUE),
        ((0.9, 0.7, 5.0), OBLIQUE),
        ((0.45, 0.45, 7.0), OBLIQUE),
        ((0.25, 1.0, 10.0), IDENTITY),  # every second voxel lies halfway between two
    ],
)
def test_on_regular_slices_the_two_ways_of_placing_are_itks(
    spacing: tuple[float, float, float], direction: tuple[float, ...]
) -> None:
    image = sitk.Image(30, 26, 12, sitk.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetOrigin((-11.5, 7.75, 40.0))
    image.SetDirection(direction)
    stack, mask = stack_of(image), random_mask((12, 26, 30))
    grid = stored_grid(stack, SPACING)
    own = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    expected = sitk.GetArrayFromImage(
        sitk.Resample(to_image(mask, own), to_image_frame(grid), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    )
    assert np.array_equal(place_mask(mask, own, grid), expected)
    assert np.array_equal(place_mask(mask, stack, grid), expected)
    assert mask_volume_ml(mask, stack) == pytest.approx(mask_volume_ml(mask, own))
    assert mask_volume_ml(mask, own) == pytest.approx(mask.sum() * np.prod(spacing) / 1000)


def test_on_parallel_grids_every_voxel_is_itks() -> None:
    """Spacings that are no binary fractions, axes either way, and voxels that lie halfway between two of the mask's."""
    rng, hit = np.random.default_rng(3), 0
    for _ in range(80):
        axes = np.diag(rng.choice([-1.0, 1.0], 3))
        nx, ny, nz = rng.integers(2, 30, 3).tolist()
        sx, sy, sz = rng.choice([0.4, 0.4493, 0.5, 1 / 3, 5.0, rng.uniform(0.3, 5)], 3).tolist()
        ox, oy, oz = rng.choice([0.0, -112.25, 0.25, rng.uniform(-100, 100)], 3).tolist()
        place = Grid((nx, ny, nz), (sx, sy, sz), (ox, oy, oz), tuple(axes.ravel().tolist()))
        turned = axes @ np.diag(rng.choice([-1.0, 1.0, 1.0, 1.0], 3))
        ox, oy, oz = (place.to_point(rng.integers(0, 2, (1, 3))) + rng.choice([0, 0.25, 0.5, 0.1], 3))[0].tolist()
        nx, ny, nz = rng.integers(2, 30, 3).tolist()
        sx, sy, sz = rng.choice([0.5, 5.0, 1.0, 0.25], 3).tolist()
        grid = Grid((nx, ny, nz), (sx, sy, sz), (ox, oy, oz), tuple(turned.ravel().tolist()))
        mask = random_mask(place.shape_zyx)
        whole = (to_image(mask, place), to_image_frame(grid), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        by_itk = sitk.GetArrayFromImage(sitk.Resample(*whole))
        assert np.array_equal(_place_lines(mask, box_of(mask), place, grid), by_itk)
        hit += bool(by_itk.any())
    assert hit > 50


def tilted(gaps: list[float], slope: float) -> SliceStack:
    depths = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = tuple((1.0, float(depth * slope), float(depth)) for depth in depths)
    return SliceStack(20, 24, (0.8, 0.7), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)


@pytest.mark.parametrize("slope", [0.0, 0.33, -0.2])
@pytest.mark.parametrize("gaps", [[4.0] * 9, [4.0] * 4 + [1.1] + [7.0] * 4, [2.5] * 5 + [5.0] * 5])
def test_every_stored_voxel_has_the_nearest_pixel_of_the_nearest_slice(gaps: list[float], slope: float) -> None:
    stack = tilted(gaps, slope)
    mask, grid = random_mask((len(gaps) + 1, 24, 20)), stored_grid(stack, SPACING)
    placed = place_mask(mask, stack, grid)
    # Every pixel of every slice as a point in space; a voxel takes the one nearest in depth, and of those the one nearest.
    positions = np.array(stack.positions_mm)
    for z, y, x in np.random.default_rng(5).integers(0, grid.shape_zyx, (400, 3)):
        voxel = grid.to_point(np.array([[x, y, z]], dtype=float))[0]
        away = np.abs(positions[:, 2] - voxel[2])
        k = int(away.argmin())
        columns, rows = np.meshgrid(positions[k, 0] + np.arange(20) * 0.8, positions[k, 1] + np.arange(24) * 0.7)
        beside = np.maximum(np.abs(columns - voxel[0]) / 0.8, np.abs(rows - voxel[1]) / 0.7)
        past_the_end = voxel[2] > positions[-1, 2] + np.median(gaps) / 2
        if np.diff(np.sort(away))[0] > 1e-6 and np.abs(beside - 0.5).min() > 1e-6:  # a tie has no nearest one
            assert placed[z, y, x] == (not past_the_end and bool(mask[k][beside < 0.5].any()))


def test_slabs_meet_halfway_and_add_up_to_the_stored_depth() -> None:
    stack = tilted([4.0, 4.0, 1.0, 7.0, 7.0], 0.1)
    assert slab_edges_mm(stack).tolist() == [-2.0, 2.0, 6.0, 8.5, 12.5, 19.5, 25.0]
    assert nearest_slices(np.array([-2.1, -2, 0, 2, 8.4, 8.6, 24.9, 25.1]), stack).tolist() == [
        -1,
        0,
        0,
        1,
        2,
        3,
        5,
        -1,
    ]
    mask = np.zeros((6, 24, 20), np.uint8)
    mask[2, 3:5, 3:8] = 1
    assert mask_volume_ml(mask, stack) == pytest.approx(10 * 0.8 * 0.7 * 2.5 / 1000)


@pytest.mark.parametrize(
    "direction", [OBLIQUE, (0, 0, 1.0, 0, -1.0, 0, 1.0, 0, 0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)]
)
@pytest.mark.parametrize("spacing", [(0.9, 0.7, 5.0), (0.61, 0.83, 1.07)])
def test_slices_of_any_direction_are_placed_as_itk_places_their_grid(
    spacing: tuple[float, float, float], direction: tuple[float, ...]
) -> None:
    mask, grid = random_mask((12, 26, 30)), Grid((70, 64, 14), SPACING, (-8.1, -7.3, -20.2), IDENTITY)
    mask[[0, -1]] = 0  # ITK's outermost voxels reach as far as the others, but on the rim itself
    middle = Grid((30, 26, 12), spacing, (0.0, 0.0, 0.0), direction).to_point(np.array([[15.0, 13, 6]]))[0]
    own = Grid((30, 26, 12), spacing, tuple((np.array([3.3, 2.2, 1.1]) - middle).tolist()), direction)
    stack = stack_of(to_image(mask, own))
    expected = sitk.GetArrayFromImage(
        sitk.Resample(to_image(mask, own), to_image_frame(grid), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    )
    assert expected.sum() > 500
    assert np.array_equal(place_mask(mask, stack, grid), expected)


def test_sheared_voxels_are_smaller_than_their_edges() -> None:
    """Base times height, and the height is what the slant leaves of the edge."""
    slant = np.radians(18.5)
    direction = (1.0, 0.0, 0.0, 0.0, 1.0, np.sin(slant), 0.0, 0.0, np.cos(slant))
    place = Grid((3, 3, 3), (0.5, 0.6, 4.0), (0.0, 0.0, 0.0), direction)
    assert mask_volume_ml(np.ones((3, 3, 3), np.uint8), place) == pytest.approx(
        27 * 0.5 * 0.6 * 4 * np.cos(slant) / 1000
    )


def test_a_tenth_may_lie_outside() -> None:
    grid = Grid((40, 40, 10), SPACING, (0.0, 0.0, 0.0), IDENTITY)
    place = Grid((20, 1, 1), (1.0, 1.0, 5.0), (0.0, 5.0, 5.0), IDENTITY)
    mask = np.zeros((1, 1, 20), np.uint8)
    mask[..., 1:] = 1
    assert place_mask(mask, place, grid).any()
    with pytest.raises(InputError, match="16%") as raised:
        place_mask(mask, Grid(place.size_xyz, place.spacing_mm, (3.0, 5.0, 5.0), IDENTITY), grid)
    assert raised.value.kind == "mask_cut"
