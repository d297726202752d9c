"""What the backbone sees of a hematoma: its slices under a CT window, at the size of ImageNet networks. Pure NumPy and SciPy.

Nothing is rounded to eight bits on the way. The resize is the antialiased bilinear of Pillow and torchvision: a triangle as wide
as the larger of both pixels, sampled at pixel centres and normalised, along each axis; in float64 and in one order, so that a
slice gives equal bits on every machine. A rectangle becomes a square, as `torchvision.transforms.Resize((224, 224))` makes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cvtbatch.errors import InputError

Field = Literal["slice", "roi"]
Part = Literal["all", "largest", "others"]  # of an outline's slices; the others are all but the largest
Gray = npt.NDArray[np.float32]  # (n, 224, 224), 0 at the window's lower end and 1 at its upper one
Mask = npt.NDArray[np.uint8]
ReadSlices = Callable[[Sequence[int]], npt.NDArray[np.int16]]  # z indices -> HU (n, y, x)

SIDE = 224
# https://docs.pytorch.org/vision/stable/models: mean and standard deviation of ImageNet's red, green and blue.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a slice becomes the backbone's input.

    Attributes:
        level_hu, width_hu: centre and width of the CT window.
        field: "slice", the whole stored slice, or "roi", the box of the whole ROI in the plane.
        margin_mm: what is added to that box on every side, cut at the slice's edge; of no effect on whole slices.
    """

    level_hu: float = 40.0
    width_hu: float = 80.0
    field: Field = "slice"
    margin_mm: float = 10.0

    def settings(self) -> Mapping[str, object]:
        """Return everything that moves a value, for the specification."""
        field: dict[str, object] = {"kind": self.field}
        if self.field == "roi":
            field["margin_mm"] = float(self.margin_mm)
        return {
            "window": {"level_hu": float(self.level_hu), "width_hu": float(self.width_hu)},
            "field": field,
            "slices": "all that the mask touches; the first of those with the largest area is the largest",
            "resize": {"size_yx": [SIDE, SIDE], "filter": "bilinear, antialiased", "aspect": "not kept"},
            "channels": {"equal": 3, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        }


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of one ROI, in order of their index.

    Attributes:
        index: z in the stored volume.
        area_mm2: of the mask in each slice.
        largest, smallest: z of the slice with the largest area, the first of equals, and of that with the smallest one, the last
            of equals; of all that the mask touches, whether they are among these or not.
        gray: the backbone's input, one channel.
    """

    index: tuple[int, ...]
    area_mm2: tuple[float, ...]
    largest: int
    smallest: int
    gray: Gray


def prepare_slices(
    mask_zyx: Mask,
    read_slices: ReadSlices,
    spacing_mm: tuple[float, float, float],
    preprocessing: Preprocessing,
    part: Part = "all",
) -> Slices:
    """Return the backbone's input for the slices that the mask touches.

    Args:
        spacing_mm: x, y, z.
        part: of these slices; a mask that touches a single one has no others.

    Raises:
        InputError: the mask is empty.
    """
    areas = np.count_nonzero(mask_zyx, axis=(1, 2))
    touched = np.flatnonzero(areas)
    if not len(touched):
        raise InputError("empty_mask", "the stored mask is empty: run extract with --verify-inputs")
    largest = int(areas.argmax())
    smallest = int(touched[::-1][areas[touched[::-1]].argmin()])
    index = touched if part == "all" else touched[(touched == largest) == (part == "largest")]
    box = _box(mask_zyx, spacing_mm, preprocessing)
    gray = np.stack([_gray(hu_yx[box], preprocessing) for hu_yx in read_slices(index.tolist())])
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    return Slices(
        index=tuple(int(z) for z in index),
        area_mm2=tuple(float(areas[z]) * pixel_mm2 for z in index),
        largest=largest,
        smallest=smallest,
        gray=gray,
    )


def _box(mask_zyx: Mask, spacing_mm: tuple[float, float, float], preprocessing: Preprocessing) -> tuple[slice, slice]:
    """Return rows and columns of the field; one box for all slices of an ROI, so that they have one scale."""
    if preprocessing.field == "slice":
        return slice(None), slice(None)
    flat: npt.NDArray[np.bool_] = np.any(mask_zyx, axis=0)
    sides = []
    for axis, step_mm in ((1, spacing_mm[1]), (0, spacing_mm[0])):
        inside = np.flatnonzero(np.any(flat, axis=axis))
        margin = int(np.ceil(preprocessing.margin_mm / step_mm - 1e-9))
        sides.append(slice(max(int(inside[0]) - margin, 0), int(inside[-1]) + margin + 1))
    return sides[0], sides[1]


def _gray(hu_yx: npt.NDArray[np.int16], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    lower_hu = preprocessing.level_hu - preprocessing.width_hu / 2
    windowed = np.clip((hu_yx.astype(np.float64) - lower_hu) / preprocessing.width_hu, 0, 1)
    return resize(windowed).astype(np.float32)


def resize(image_yx: npt.NDArray[np.float64], side: int = SIDE) -> npt.NDArray[np.float64]:
    """Resize an image to a square by antialiased bilinear interpolation."""
    rows, columns = (_triangle_weights(size, side) for size in image_yx.shape)
    # Along x first, as Pillow does.
    along_x = (columns @ np.ascontiguousarray(image_yx.T)).T
    resized: npt.NDArray[np.float64] = rows @ np.ascontiguousarray(along_x)
    return resized


@cache
def _triangle_weights(size: int, side: int) -> scipy.sparse.csr_array:
    """Return the matrix (side, size) that resizes one axis; its rows sum to 1."""
    scale = size / side
    support = max(scale, 1.0)
    centre = (np.arange(side)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(size)[None, :] + 0.5 - centre) / support
    weights = np.maximum(1 - distance, 0)
    return scipy.sparse.csr_array(weights / weights.sum(axis=1, keepdims=True))
