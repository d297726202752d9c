"""Label maps come back to the voxels of their image, whatever the order and direction of their axes."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.outlining.label_maps import find_turn, read_blood

GRID = Grid(
    (5, 4, 3),
    (0.5, 0.6, 5.0),
    (-30.0, 12.5, 7.0),
    tuple(Rotation.from_euler("zyx", [9, 4, -6], True).as_matrix().ravel()),
)
LABELS = np.random.default_rng(0).integers(0, 3, GRID.shape_zyx).astype(np.uint8)
ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("LR", "AP", "SI")) for letters in itertools.product(*order)
]


@dataclass(frozen=True)
class Stated:
    grid: Grid


def to_image(labels: np.ndarray, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def grid_of(image: sitk.Image) -> Grid:
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def reader(image: sitk.Image, other: Grid | None = None) -> Callable[..., tuple[sitk.Image, Stated | None]]:
    return lambda path, announce: (image, Stated(other) if other is not None else None)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_order_and_direction_of_axes_is_turned_back(orientation: str) -> None:
    turned = sitk.DICOMOrient(to_image(LABELS, GRID), orientation)
    np.testing.assert_array_equal(read_blood(Path(), GRID, (), reader(turned)), LABELS > 0)
    np.testing.assert_array_equal(read_blood(Path(), GRID, (2,), reader(turned)), LABELS == 2)


@pytest.mark.parametrize(
    ("shift_mm", "same"),
    [((0.2, 0, 0), True), ((0.26, 0, 0), False), ((0, 0, 0.31), False), ((0, 0, 5), False), ((0.5, 0, 0), False)],
)
def test_a_place_is_the_same_within_half_a_voxel_and_what_headers_round(
    shift_mm: tuple[float, ...], same: bool
) -> None:
    origin = tuple(np.array(GRID.origin_mm) + GRID.axes() @ shift_mm)
    assert (find_turn(GRID, replace(GRID, origin_mm=origin)) is not None) is same


@pytest.mark.parametrize(
    "other",
    [
        replace(GRID, size_xyz=(5, 4, 4)),
        replace(GRID, spacing_mm=(0.6, 0.5, 5.0)),
        replace(GRID, spacing_mm=(0.5, 0.6, 4.8)),
        replace(GRID, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)),
        # Mirrored about its first voxel, as by a program that takes LPS for RAS.
        replace(GRID, direction=tuple((GRID.axes() @ np.diag([-1, -1, 1])).ravel())),
    ],
)
def test_other_voxels_are_refused(other: Grid) -> None:
    assert find_turn(GRID, other) is None
    labels = np.ones(other.shape_zyx, np.uint8)
    with pytest.raises(InputError) as caught:
        read_blood(Path(), GRID, (), reader(to_image(labels, other)))
    assert caught.value.kind == "label_map_off_grid"


def test_of_two_places_the_one_of_the_image_is_taken() -> None:
    elsewhere = replace(GRID, origin_mm=(0, 0, 0))
    for image, other in ((to_image(LABELS, GRID), elsewhere), (to_image(LABELS, elsewhere), GRID)):
        np.testing.assert_array_equal(read_blood(Path(), GRID, (), reader(image, other)), LABELS > 0)


def test_two_places_with_other_orders_of_the_image_are_refused() -> None:
    flipped = grid_of(sitk.Flip(to_image(LABELS, GRID), [True, False, False]))
    with pytest.raises(InputError, match="two places"):
        read_blood(Path(), GRID, (), reader(to_image(LABELS, GRID), flipped))


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf])
def test_what_is_no_label_is_refused(value: float) -> None:
    values = LABELS.astype(np.float32)
    values[1, 2, 3] = value
    with pytest.raises(InputError, match=rf"holds the value {value:g}, ") as caught:
        read_blood(Path(), GRID, (1,), reader(to_image(values, GRID)))
    assert caught.value.kind == "bad_label_map"
