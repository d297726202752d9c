"""Label maps that programs write of an image: whether they have its voxels, in which order, and which of them are blood.

Some programs turn or mirror axes and keep the place: such a map is turned back by what it states of its place.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.geometry import SAME_PLACE_MM, Grid

Mask = npt.NDArray[np.bool_]  # (z, y, x)
Value = TypeVar("Value", bound=np.generic)

# What reading a map may take for each voxel of its image, and beside that: some copies of float64.
VOXEL_BYTES, SPARE_BYTES = 64, 1 << 26


class StatedPlace(Protocol):
    """Another place that a file states of its voxels."""

    @property
    def grid(self) -> Grid:
        """Where they lie then."""
        ...


# From a NIfTI file, and what hears how many bytes it takes and may refuse, to the image and another place that the file states.
ReadNifti = Callable[[Path, Callable[[int], None]], tuple[sitk.Image, StatedPlace | None]]


@dataclass(frozen=True, slots=True)
class Turn:
    """From a label map's axes to an image's.

    Attributes:
        axes_zyx: for z, y and x of the image the array's axis.
        steps_zyx: for z, y and x of the image 1, or -1 where the array's axis runs the other way.
    """

    axes_zyx: tuple[int, int, int]
    steps_zyx: tuple[int, int, int]

    def apply(self, values_zyx: npt.NDArray[Value]) -> npt.NDArray[Value]:
        """Return an array with the image's axes."""
        z, y, x = self.steps_zyx
        return np.ascontiguousarray(values_zyx.transpose(self.axes_zyx)[::z, ::y, ::x])


def find_turn(image: Grid, label_map: Grid) -> Turn | None:
    """Return how a label map's voxels become the image's; None if they are not the same ones.

    They are if none lies farther than SAME_PLACE_MM, or half a voxel, from the image's.
    """
    # Row: an axis of the label map; column: an axis of the image; x, y, z.
    steps = np.rint(image.to_index(label_map.to_point(np.eye(3))) - image.to_index(np.array([label_map.origin_mm])))
    used = np.abs(steps)
    if not ((used.sum(axis=0) == 1).all() and (used.sum(axis=1) == 1).all()):
        return None
    axes = used.argmax(axis=0)
    signs = steps[axes, np.arange(3)].astype(int)
    sizes = np.array(image.size_xyz)
    if (np.array(label_map.size_xyz)[axes] != sizes).any():
        return None
    corners = np.array(list(itertools.product(*((0.0, size - 1.0) for size in label_map.size_xyz))))
    on_image = np.where(signs > 0, corners[:, axes], sizes - 1 - corners[:, axes])
    apart_mm = np.linalg.norm(image.to_point(on_image) - label_map.to_point(corners), axis=1).max()
    if apart_mm > SAME_PLACE_MM or apart_mm >= min(image.spacing_mm) / 2:
        return None
    x, y, z = (2 - axes).tolist()
    step_x, step_y, step_z = signs.tolist()
    return Turn((z, y, x), (step_z, step_y, step_x))


def read_blood(path: Path, grid: Grid, labels: Sequence[int], read: ReadNifti) -> Mask:
    """Read which voxels of an image a label map calls blood.

    Args:
        grid: of the image.
        labels: that are blood; none means every one above 0.

    Raises:
        InputError: it cannot be read, holds what is no label, or has other voxels than the image.
    """
    values, places = _read_values(path, grid, read)
    turns = {turn for place in places if (turn := find_turn(grid, place)) is not None}
    if len(turns) != 1:
        size, at = places[0].size_xyz, [round(value, 1) for value in places[0].origin_mm]
        raise _off_grid(
            "it states two places, and has them in another order at each" if turns else f"{size} voxels from {at} mm"
        )
    whole = np.rint(values)
    wrong = values[~np.isfinite(values) | (whole != values) | (values < 0)]
    if wrong.size:
        raise InputError(
            "bad_label_map",
            f"the outlining command's label map holds the value {wrong[0]:g}, and labels are whole numbers from 0: have it write "
            "labels, no probabilities",
        )
    return turns.pop().apply(np.isin(values, labels) if labels else values > 0)


class _TooLargeError(Exception):
    """A label map has far more voxels than its image."""


def _read_values(path: Path, grid: Grid, read: ReadNifti) -> tuple[npt.NDArray[np.number], tuple[Grid, ...]]:
    """Return a label map's values (z, y, x), and every place that it states of them."""

    def refuse_more(needed_bytes: int) -> None:
        if needed_bytes > VOXEL_BYTES * math.prod(grid.size_xyz) + SPARE_BYTES:
            raise _TooLargeError

    try:
        image, other = read(path, refuse_more)
    except _TooLargeError:
        raise _off_grid("it has far more") from None
    except CvtbatchError as error:
        raise InputError(
            "bad_label_map", f"the outlining command's label map cannot be read: {error.message}", error.private
        ) from None
    place = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return sitk.GetArrayFromImage(image), (place,) if other is None else (place, other.grid)


def _off_grid(found: str) -> InputError:
    return InputError(
        "label_map_off_grid",
        f"the outlining command's label map does not have the voxels of its image ({found}): have it write labels on the grid of "
        "the image that it got, as most programs do, some by an option",
    )
