"""Connected parts of a mask, by runs: what of a row is unbroken is one thing, and a head has a thousandth as many as voxels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.compiled_arrays import empty
from cvtbatch.compiled_code import compiled

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a mask whose voxels are connected by faces, numbered from 0 by their first voxels in the order of memory.

    Attributes:
        shape: of the mask.
        first, stop: (runs,) from where to before where each run along x goes, as flat indices.
        part: (runs,) of which part it is.
    """

    shape: tuple[int, ...]
    first: Indices
    stop: Indices
    part: Indices

    @property
    def sizes(self) -> Indices:
        """Voxels of each part."""
        found = np.zeros(int(self.part.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(found, self.part, self.stop - self.first)
        return found

    def mask(self, kept: npt.ArrayLike) -> Mask:
        """Return the voxels of some parts, bool of the mask's shape.

        Args:
            kept: (parts,) which; or the number of one.
        """
        runs = np.asarray(kept)
        runs = runs[self.part] if runs.ndim else self.part == runs
        found = np.zeros(self.shape, dtype=np.bool_)
        _fill(self.first[runs], self.stop[runs], found.reshape(-1))
        return found

    def largest(self) -> Mask:
        """Return the voxels of the largest part, of equal ones the first; none where there is no part."""
        sizes = self.sizes
        return self.mask(int(sizes.argmax()) if len(sizes) else -1)

    def reach_rim(self) -> npt.NDArray[np.bool_]:
        """Say which parts (parts,) touch the first or last row or column of a slice."""
        rows, columns = self.shape[1:]
        row, column = np.divmod(self.first, columns)
        at_rim = (column == 0) | (self.stop % columns == 0) | np.isin(row % rows, (0, rows - 1))
        found = np.zeros(len(self.sizes), dtype=np.bool_)
        found[self.part[at_rim]] = True
        return found

    def part_of(self, flat_index: int) -> int:
        """Return the part of a voxel of the mask."""
        return int(self.part[np.searchsorted(self.first, flat_index, side="right") - 1])


def connected_parts(mask_zyx: Mask, in_slices: bool = False) -> Parts:
    """Return the parts of a mask, which may have none, as `scipy.ndimage.label` finds them.

    Args:
        in_slices: slices are not connected.
    """
    slices, rows, columns = mask_zyx.shape
    # A column of nothing ends the run of every row.
    ended = np.zeros((slices * rows, columns + 1), dtype=np.bool_)
    ended[:, :-1] = mask_zyx.reshape(slices * rows, columns)
    flat = ended.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[:1].any():
        edges = np.concatenate([[0], edges])
    row = edges[::2] // (columns + 1)
    first, stop = edges[::2] - row, edges[1::2] - row
    begins = np.searchsorted(row, np.arange(slices * rows + 1))
    return Parts(mask_zyx.shape, first, stop, _join(first, stop, begins, rows, columns, in_slices))


@compiled
def _join(
    first: Indices, stop: Indices, begins: Indices, rows: int, columns: int, in_slices: bool
) -> Indices:  # pragma: no cover - compiled
    """Return the part of each run; those of row r are `begins[r]` to `begins[r + 1]`."""
    # Of each run an earlier one of its part, or itself.
    earlier = empty(len(first), np.int64)
    for run in range(len(first)):
        earlier[run] = run
    for row in range(len(begins) - 1):
        if row % rows:
            _join_rows(first, stop, begins, earlier, row, row - 1, columns)
        if row >= rows and not in_slices:
            _join_rows(first, stop, begins, earlier, row, row - rows, columns)
    count = 0
    for run in range(len(earlier)):
        if earlier[run] == run:
            earlier[run] = count
            count += 1
        else:
            # An earlier run has its number by now.
            earlier[run] = earlier[earlier[run]]
    return earlier


@compiled
def _join_rows(
    first: Indices, stop: Indices, begins: Indices, earlier: Indices, row: int, before: int, columns: int
) -> None:  # pragma: no cover - compiled
    """Make one of the runs of two rows that lie beside each other."""
    run, other, shift = begins[row], begins[before], (row - before) * columns
    while run < begins[row + 1] and other < begins[before + 1]:
        if first[run] < stop[other] + shift and first[other] + shift < stop[run]:
            one, two = run, other
            while earlier[one] != one:
                one = earlier[one]
            while earlier[two] != two:
                two = earlier[two]
            earlier[max(one, two)] = earlier[run] = earlier[other] = min(one, two)
        if stop[run] < stop[other] + shift:
            run += 1
        else:
            other += 1


@compiled
def _fill(first: Indices, stop: Indices, flat: Mask) -> None:  # pragma: no cover - compiled
    for run in range(len(first)):
        flat[first[run] : stop[run]] = True
