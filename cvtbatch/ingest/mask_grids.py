"""Where the voxels of a mask lie that has a grid of its own: by physical position, or slice by slice on the image's slices.

An image file has one step for all slices. Of a tilted or uneven series, what wrote it put the slices where the scanner had none:
dcm2niix continues the first gap, ITK's series reader spreads first to last evenly along the normal, and both keep every slice. A
mask drawn on such a file agrees with the series in all but the positions of slices: size, axes, pixels, and the end from which the
step was counted. It is the series' own then, and goes with its slices. What was resampled onto a regular grid
(dcm2niix's `_Tilt` and `_Eq`) has other sizes and is placed by position. A mask of the same sizes that begins and ends elsewhere
may be either, and is refused.

Where one step does hold all slices, no program moved them, and every mask is placed by position: that of a thinner series may have
the same size and begin at the same place. A file names no patient and no series, so that what lies on other voxels than the
image's may be anybody's: it is flagged `other_slices`.

A NIfTI file may state two places (`nifti`). Where a mask has the image's grid under any of them, its voxels are the image's voxels;
any other mask cannot say which was meant, and is refused.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import SAME_PLACE_MM, Grid, SliceStack, Vector
from cvtbatch.ingest.nifti import OtherPlace
from cvtbatch.ingest.outlines import ImageSlices, SourceMask

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Fit:
    """A mask whose slices have the image's pixels, whatever their order.

    Attributes:
        turn: which way its slices, rows and columns run (z, y, x), 1 or -1 beside the image's.
        off_mm: (slices,), how far each of its slices lies from the image's slice of the same number.
    """

    turn: tuple[int, int, int]
    off_mm: Vector

    @property
    def is_exact(self) -> bool:
        return bool(self.off_mm.max() <= SAME_PLACE_MM)

    @property
    def shares_an_end(self) -> bool:
        return bool(min(self.off_mm[0], self.off_mm[-1]) <= SAME_PLACE_MM)

    def turned(self, voxels_zyx: Mask) -> Mask:
        """Return the voxels of one in the order of the other."""
        z, y, x = self.turn
        return np.ascontiguousarray(voxels_zyx[::z, ::y, ::x])

    def on_slices(self, voxels_zyx: Mask, image: ImageSlices, mask_format: str) -> SourceMask:
        return SourceMask(self.turned(voxels_zyx), image.stack, mask_format, ("placed_by_index", *image.flags))


def place_voxels(
    voxels_zyx: Mask, grid: Grid, other: OtherPlace | None, image: ImageSlices, mask_format: str
) -> SourceMask:
    """Return a mask at its place.

    Args:
        voxels_zyx: 1 in the ROI.
        grid: where the file puts them; `other`: where else.

    Raises:
        InputError: `missing_geometry` if the file of the image states no place, and the mask is not on its grid, or the mask has
            lost the image's; `two_places` if the file of the mask or of the image states two, and nothing tells which was meant;
            `mask_off_slices` if nothing tells whether its slices are the image's.
    """
    if not image.is_placed:
        require_place("image", grid, image)
    on_slices = by_index(voxels_zyx, grid, other, image, mask_format)
    if on_slices is not None:
        return on_slices
    fit = fit_of(grid, image.stack)
    if fit is not None and not fit.is_exact and not _one_step_holds(image.stack):
        raise _off_slices(grid, image.stack)
    # Of an array that was saved with its axes in another order, too.
    if (
        (fit is None or not fit.is_exact)
        and grid.begins_at_origin
        and sorted(grid.size_xyz) == sorted(_Lattice.of(image.stack).size_xyz)
    ):
        raise InputError(
            "missing_geometry",
            "the mask has the size of the image, and says that its voxels begin at the origin, as an array that is saved without a "
            "place does: save it with the geometry of the image on which it was drawn",
        )
    others = () if _on_its_voxels(grid, image.stack) else ("other_slices",)
    return SourceMask(voxels_zyx, grid, mask_format, (*others, *image.flags))


def by_index(
    voxels_zyx: Mask, grid: Grid, other: OtherPlace | None, image: ImageSlices, mask_format: str
) -> SourceMask | None:
    """Return a mask on the image's slices; None if its own grid is its place.

    Raises:
        InputError: `two_places`.
    """
    own = [grid] if other is None else [grid, other.grid]
    images: list[Grid | SliceStack] = (
        [image.stack] if image.other_place is None else [image.stack, image.other_place.grid]
    )
    fits = {(i, k): fit for i, mine in enumerate(own) for k, its in enumerate(images) if (fit := fit_of(mine, its))}
    exact = {pair: fit for pair, fit in fits.items() if fit.is_exact}
    drawn_on_it = exact
    if not exact and not _one_step_holds(image.stack):
        drawn_on_it = {pair: fit for pair, fit in fits.items() if fit.shares_an_end}
    # Places that are mirror images of one another have the same voxels in another order.
    if len({fit.turn for fit in drawn_on_it.values()}) == 1 or {(0, 0), (1, 1)} <= exact.keys():
        if (0, 0) not in exact:
            return next(iter(drawn_on_it.values())).on_slices(voxels_zyx, image, mask_format)
    else:
        _require_one_place("mask", other)
        of_one_place(image)
    return None


def of_one_place(image: ImageSlices) -> ImageSlices:
    """Return an image that states one place.

    Raises:
        InputError: `two_places`, or `missing_geometry` if it states none.
    """
    if not image.is_placed:
        raise _without_place("image")
    _require_one_place("image", image.other_place)
    return image


def require_place(what: str, grid: Grid, image: ImageSlices) -> None:
    """Refuse a mask that has not the image's voxels, where one of them does not say where in the patient its own lie.

    Args:
        what: does not say so, the mask or the image.
        grid: of the mask.

    Raises:
        InputError: `missing_geometry`.
    """
    fit = fit_of(grid, image.stack)
    if fit is None or not fit.is_exact:
        raise _without_place(what)


def _without_place(what: str) -> InputError:
    return InputError(
        "missing_geometry",
        f"the NIfTI file of the {what} has neither sform nor qform: it does not say where in the patient its voxels lie, and image "
        "and mask are not on one grid; write it with the geometry of the image that was drawn on",
    )


def _require_one_place(what: str, other: OtherPlace | None) -> None:
    if other is not None and other.contradicts:
        by_sform, by_qform = other.corner_mm
        raise InputError(
            "two_places",
            f"the NIfTI file of the {what} puts one and the same corner at {by_sform} mm (LPS) by its sform and at {by_qform} mm "
            "by its qform, and nothing of the mask tells which was meant; write the place on which it was drawn into both forms",
        )


def _off_slices(grid: Grid, stack: SliceStack) -> InputError:
    gaps, axes = stack.gaps_mm(), grid.axes()
    step = grid.spacing_mm[2] * abs(float(axes[:, 2] @ np.array(stack.slice_axis)))
    first, its_first = (np.round(place, 1).tolist() for place in (grid.origin_mm, stack.positions_mm[0]))
    return InputError(
        "mask_off_slices",
        f"the mask has the size and pixels of the image, but its slices are {step:.4g} mm apart from {first} mm (LPS), the "
        f"image's {gaps.min():.4g} to {gaps.max():.4g} mm from {its_first} mm, tilted by {stack.tilt_deg():.1f} degrees: nothing "
        "tells whether they are the same; save it with the positions of the image on which it was drawn, or as DICOM SEG",
    )


def _one_step_holds(stack: SliceStack) -> bool:
    """Say whether slices lie where one step puts them: along their normal, the gap at either end continued, or spread evenly."""
    offsets = stack.offsets_mm()
    counts = np.arange(len(offsets))
    return all(
        np.linalg.norm(way - np.outer(counts, (0.0, 0.0, step)), axis=1).max() <= SAME_PLACE_MM
        for way in (offsets, offsets[-1] - offsets[::-1])
        for step in (way[1, 2], way[-1, 2] / counts[-1])
    )


def _on_its_voxels(own: Grid, stack: SliceStack) -> bool:
    """Say whether a mask's voxels are the image's, as far as the image reaches: all of it, a part, or with a margin around.

    Slices of a tilted series may have been moved in their planes, as dcm2niix does for `_Tilt`: there the planes count.
    """
    mine, theirs = _Lattice.of(own), _Lattice.of(stack)
    if mine.turn_to(theirs) is None:
        return False
    normal = np.array(stack.slice_axis)
    depths, its_depths = mine.positions_mm @ normal, theirs.positions_mm @ normal
    within = (depths > its_depths.min() - SAME_PLACE_MM) & (depths < its_depths.max() + SAME_PLACE_MM)
    nearest = np.abs(depths[within, None] - its_depths).argmin(axis=1)
    off = mine.positions_mm[within] - theirs.positions_mm[nearest]
    for step, moved_mm in zip((theirs.along_mm, theirs.down_mm), np.ptp(stack.shifts_mm(), axis=0), strict=True):
        pixels = off @ step / (step @ step)
        off -= np.outer(pixels if moved_mm > SAME_PLACE_MM else np.rint(pixels), step)
    return bool(np.linalg.norm(off, axis=1).max(initial=0) <= SAME_PLACE_MM and (np.abs(np.diff(nearest)) == 1).all())


def on_image_voxels(mask: SourceMask, stack: SliceStack) -> Mask:
    """Return the voxels of a mask in the order of the image's: each is one of the image's own, and nothing is resampled.

    Raises:
        InputError: "grid_mismatch": it was drawn on others.
    """
    fit = fit_of(mask.place, stack)
    if fit is None or not fit.is_exact:
        raise InputError(
            "grid_mismatch",
            f"the outline was drawn on other voxels than the image's, and a mask is not resampled where features are computed on "
            f"the source's grid: it has {_shown(mask.place)}, the image {_shown(stack)}; save it on the image's grid, or compute "
            "the set on the stored grid (--params)",
        )
    return fit.turned(mask.voxels_zyx)


def _shown(place: Grid | SliceStack) -> str:
    """Return size and first voxel in words."""
    lattice = _Lattice.of(place)
    first = lattice.positions_mm[0].round(2).tolist()
    return f"{' x '.join(map(str, lattice.size_xyz))} voxels from {first} mm (LPS)"


def fit_of(own: Grid | SliceStack, its: Grid | SliceStack) -> Fit | None:
    """Compare a mask's grid with the image's; None if its slices have not the image's pixels, or are not as many."""
    mine, theirs = _Lattice.of(own), _Lattice.of(its)
    turn = mine.turn_to(theirs)
    if mine.size_xyz != theirs.size_xyz or mine.size_xyz[2] < 2 or turn is None:
        return None
    z, y, x = turn
    columns, rows, _ = mine.size_xyz
    # The mask's voxel at the image's first one, where rows or columns run the other way.
    first = (columns - 1) * (x < 0) * mine.along_mm + (rows - 1) * (y < 0) * mine.down_mm
    off = np.linalg.norm((mine.positions_mm + first)[::z] - theirs.positions_mm, axis=1)
    return Fit(turn, off)


@dataclass(frozen=True, slots=True)
class _Lattice:
    """What a grid and a stack of slices have in common.

    Attributes:
        along_mm, down_mm: (3,), from a voxel to the next in its row, and in its column.
        through_mm: (3,), the way from the first slice to later ones, of any length.
        positions_mm: (slices, 3), the first voxel of every slice.
    """

    size_xyz: tuple[int, int, int]
    along_mm: Vector
    down_mm: Vector
    through_mm: Vector
    positions_mm: Vector

    @classmethod
    def of(cls, place: Grid | SliceStack) -> Self:
        if isinstance(place, SliceStack):
            along, down = (
                np.array(axis) * step
                for axis, step in zip((place.row_axis, place.column_axis), place.pixel_mm, strict=True)
            )
            positions = np.array(place.positions_mm)
            return cls(
                (place.columns, place.rows, len(positions)), along, down, positions[-1] - positions[0], positions
            )
        along, down, across = (place.axes() * np.array(place.spacing_mm)).T
        positions = np.array(place.origin_mm) + np.outer(np.arange(place.size_xyz[2]), across)
        return cls(place.size_xyz, along, down, across, positions)

    def turn_to(self, other: "_Lattice") -> tuple[int, int, int] | None:
        """Return which way the slices, rows and columns run (z, y, x) beside the other's; None if their pixels differ."""
        ways = (
            (self.along_mm, other.along_mm),
            (self.down_mm, other.down_mm),
            (self.through_mm, other.through_mm),
        )
        x, y, z = (int(np.sign(mine @ its)) for mine, its in ways)
        if 0 in (x, y, z):
            return None
        columns, rows, _ = self.size_xyz
        drift_x = np.linalg.norm(x * self.along_mm - other.along_mm) * (columns - 1)
        drift_y = np.linalg.norm(y * self.down_mm - other.down_mm) * (rows - 1)
        return None if max(drift_x, drift_y) > SAME_PLACE_MM else (z, y, x)
