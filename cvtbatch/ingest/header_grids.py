"""Where voxels lie as headers tell it, without a voxel read: of a stack of slices, and of an image file."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.errors import CvtbatchError
from cvtbatch.geometry import SAME_PLACE_MM, Grid
from cvtbatch.ingest.image_files import image_format
from cvtbatch.ingest.mask_grids import fit_of
from cvtbatch.ingest.nifti import read_nifti_place
from cvtbatch.ingest.stack import Stack


def stack_grid(stack: Stack) -> Grid | None:
    """Return the grid of a stack; None where one step does not hold all its slices, or their headers do not agree or tell."""
    lattices = {
        (header.orientation, header.pixel_spacing_mm, header.pixels.rows, header.pixels.columns)
        for header in stack.slices
    }
    places = [header.position_mm for header in stack.slices if header.position_mm is not None]
    normal = stack.normal
    if len(lattices) != 1 or len(places) != len(stack.slices) or len(places) < 2 or normal is None:
        return None
    [(orientation, spacing_mm, rows, columns)] = lattices
    if orientation is None or spacing_mm is None:
        return None
    unsorted = np.array(places)
    places_mm = unsorted[np.argsort(unsorted @ normal)]
    step = (places_mm[-1] - places_mm[0]) / (len(places_mm) - 1)
    straight = places_mm[0] + np.outer(np.arange(len(places_mm)), step)
    if np.linalg.norm(places_mm - straight, axis=1).max() > SAME_PLACE_MM:
        return None
    gap_mm = float(np.linalg.norm(step))
    axes = np.array([orientation[:3], orientation[3:], step / max(gap_mm, np.finfo(float).tiny)]).T
    down, along = spacing_mm
    try:
        return Grid(
            (columns, rows, len(places_mm)),
            (along, down, gap_mm),
            tuple(places_mm[0].tolist()),
            tuple(axes.ravel().tolist()),
        )
    except CvtbatchError:
        return None


def file_grid(path: Path) -> Grid | None:
    """Return the grid of an image file; None where it has none of three axes, states two places, or cannot be read."""
    try:
        if image_format(path) == "NIfTI":
            grid, other = read_nifti_place(path)
            return None if other is not None and other.contradicts else grid
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        if reader.GetDimension() != 3:
            return None
        return Grid(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
    except (CvtbatchError, OSError, RuntimeError):
        return None


def is_same_grid(one: Grid, other: Grid) -> bool:
    """Say whether two grids have the same voxels, in whatever order."""
    fit = fit_of(one, other)
    return fit is not None and fit.is_exact
