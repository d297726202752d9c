"""What the backbone sees of a hematoma: its slices under CT windows, at the size that the network takes. Pure NumPy and SciPy.

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

from cvtbatch.embedding.inputs import IMAGENET, SIDE, NetworkInput, Window
from cvtbatch.errors import InputError

Field = Literal["slice", "roi"]
Part = Literal["all", "largest", "others"]  # of an outline's slices; the others are all but the largest
# What a network takes, 0 at a window's lower end and 1 at its upper one: (n, y, x) where all channels are one window of one slice,
# (n, channels, y, x) where they are not, and (n, channels, z, y, x) of boxes, whose channels may be one that stands for all.
Gray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
ReadSlices = Callable[[Sequence[int]], npt.NDArray[np.int16]]  # z indices -> HU (n, y, x)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a slice becomes the backbone's input.

    Attributes:
        level_hu, width_hu: centre and width of the CT window.
        field: "slice", the whole stored slice, or "roi", the box of the whole ROI in the plane.
        margin_mm: what is added to that box on every side, cut at the slice's edge; of no effect on whole slices.
        windows: of the channels, in place of that one window in all of them.
        taken: what the network takes.

    Raises:
        InputError: "bad_windows": windows are not one a channel, or the channels are slices.
    """

    level_hu: float = 40.0
    width_hu: float = 80.0
    field: Field = "slice"
    margin_mm: float = 10.0
    windows: tuple[Window, ...] = ()
    taken: NetworkInput = IMAGENET

    def __post_init__(self) -> None:
        if self.windows and self.taken.kind == "neighbours":
            raise InputError(
                "bad_windows", "embedding.windows: the network's channels are neighbouring slices, of one window"
            )
        if self.windows and len(self.windows) != self.taken.channels:
            raise InputError(
                "bad_windows",
                f"embedding.windows names {len(self.windows)}, and the network has {self.taken.channels} channels: "
                "one window for each, or null for one in all of them",
            )

    def settings(self) -> Mapping[str, object]:
        """Return everything that moves a value, for the specification."""
        seen: dict[str, object] = {"kind": self.field}
        if self.field == "roi":
            seen["margin_mm"] = float(self.margin_mm)
        taken, box = self.taken, self.taken.kind == "box"
        size = {"size_zyx": [taken.depth, taken.side, taken.side]} if box else {"size_yx": [taken.side, taken.side]}
        channels = "neighbours" if taken.kind == "neighbours" else "windows" if self.windows else "equal"
        return {
            **(
                {"windows": [[float(level), float(width)] for level, width in self.windows]}
                if self.windows
                else {"window": {"level_hu": float(self.level_hu), "width_hu": float(self.width_hu)}}
            ),
            "field": seen,
            "slices": "all that the mask spans, as one box"
            if box
            else "all that the mask touches; the first of those with the largest area is the largest",
            "resize": {**size, "filter": "bilinear, antialiased", "aspect": "not kept"},
            "channels": {channels: taken.channels, "mean": list(taken.mean), "std": list(taken.std)},
        }


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of one ROI, in order of their index; of a box that is all of them a single one, the largest.

    Attributes:
        index: z in the stored volume.
        area_mm2: of the mask in each slice; of a box, in all of them.
        largest, smallest: z of the slice with the largest area, the first of equals, and of that with the smallest one, the last
            of equals; of all that the mask touches, whether they are among these or not.
        gray: the backbone's input, one for each index.
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
    rows, columns = _box(mask_zyx, spacing_mm, preprocessing)
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]

    def read(index: Sequence[int]) -> list[npt.NDArray[np.int16]]:
        return [hu_yx[rows, columns] for hu_yx in read_slices(index)]

    if preprocessing.taken.kind == "box":
        # Its one row stands for all slices.
        gray = _to_box(read(range(int(touched[0]), int(touched[-1]) + 1)), preprocessing)
        return Slices((largest,), (float(areas.sum()) * pixel_mm2,), largest, largest, gray)
    index = touched if part == "all" else touched[(touched == largest) == (part == "largest")]
    if preprocessing.taken.kind == "neighbours":
        gray = _with_neighbours(index.tolist(), len(mask_zyx), read, preprocessing)
    else:
        gray = np.stack([_gray(hu_yx, preprocessing) for hu_yx in read(index.tolist())])
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


def _gray(hu_yx: npt.NDArray[np.int16], preprocessing: Preprocessing) -> Gray:
    """Return a slice (y, x), or (windows, y, x) where there are several."""
    side, windows = preprocessing.taken.side, preprocessing.windows
    if windows:
        return np.stack([resize(_windowed(hu_yx, window), side) for window in windows]).astype(np.float32)
    return resize(_windowed(hu_yx, (preprocessing.level_hu, preprocessing.width_hu)), side).astype(np.float32)


def _windowed(hu_yx: npt.NDArray[np.int16], window: Window) -> npt.NDArray[np.float64]:
    level_hu, width_hu = window
    windowed: npt.NDArray[np.float64] = np.clip((hu_yx.astype(np.float64) - (level_hu - width_hu / 2)) / width_hu, 0, 1)
    return windowed


def _with_neighbours(
    index: Sequence[int],
    slices: int,
    read: Callable[[Sequence[int]], list[npt.NDArray[np.int16]]],
    preprocessing: Preprocessing,
) -> Gray:
    """Return (n, 3, y, x): of every slice the one below, itself and the one above; each is read and prepared once.

    Args:
        slices: of the volume.
    """
    around = [(max(z - 1, 0), z, min(z + 1, slices - 1)) for z in index]
    needed = sorted({z for three in around for z in three})
    prepared = dict(zip(needed, (_gray(hu_yx, preprocessing) for hu_yx in read(needed)), strict=True))
    return np.stack([np.stack([prepared[z] for z in three]) for three in around])


def _to_box(hu: Sequence[npt.NDArray[np.int16]], preprocessing: Preprocessing) -> Gray:
    """Return the slices as one box (1, windows, z, y, x): each is resized in the plane, and all of them then along z, alike."""
    side, depth = preprocessing.taken.side, preprocessing.taken.depth
    planes = np.stack([_gray(hu_yx, preprocessing).reshape(-1, side, side) for hu_yx in hu])  # (z, windows, y, x)
    box = (_triangle_weights(len(planes), depth) @ planes.reshape(len(planes), -1)).reshape(depth, -1, side, side)
    return np.ascontiguousarray(box.swapaxes(0, 1)[None], np.float32)


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
