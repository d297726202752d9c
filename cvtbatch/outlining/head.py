"""A head as outlining takes it: HU on a stored grid, and the inside of its skull."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.geometry import Grid
from cvtbatch.outlining.blood import Labels, Mask
from cvtbatch.outlining.skull import Inside, NoInside, find_inside


@dataclass(frozen=True, slots=True)
class Head:
    """A volume and the inside of its skull.

    Attributes:
        hu_zyx: (z, y, x), on `grid`, whose axes are at right angles.
    """

    hu_zyx: npt.NDArray[np.int16]
    grid: Grid
    inside: Inside


@dataclass(frozen=True, slots=True)
class BloodMap:
    """What a method takes for blood in a head, (z, y, x) on the head's grid.

    Attributes:
        blood_zyx: blood of all classes, inside the skull.
        labels_zyx: the likeliest `Tissue` of each voxel; None of a method that tells no classes. In blood that may be another
            one, where no class of blood is the likeliest and all of them together are.
        members_zyx: what each member of an ensemble takes for blood; empty of a single one.
    """

    blood_zyx: Mask
    labels_zyx: Labels | None = None
    members_zyx: tuple[Mask, ...] = ()


class Method(Protocol):
    """A way to find blood.

    Attributes:
        device: what computes it, as rows say it.
    """

    device: str

    def find(self, heads: Sequence[Head]) -> Sequence[BloodMap | CvtbatchError]:
        """Return what is blood in each head, or why that cannot be said of it."""
        ...


def find_head(hu_zyx: npt.NDArray[np.int16], grid: Grid) -> Head:
    """Find the inside of the skull in a stored volume.

    Raises:
        InputError: "no_inside": it cannot be found, and the message says why.
    """
    x_mm, y_mm, z_mm = grid.spacing_mm
    found = find_inside(hu_zyx, (z_mm, y_mm, x_mm))
    if isinstance(found, NoInside):
        raise InputError(
            "no_inside", f"the inside of the skull cannot be found, so that nothing is outlined: {found.text}"
        )
    return Head(hu_zyx, grid, found)
