"""Which slices of a case are shown."""

import numpy as np
import numpy.typing as npt

from cvtbatch.imaging.picture import BODY_HU

FEWEST, MOST = 5, 7
"""Slices of an outline, where the volume has so many."""
OF_HEAD = 12
"""Slices of a case without an outline, at most."""
HEAD_SHARE = 0.25
"""Of the fullest slice's body: with less of it a slice is hardly head."""


def slices_of_outline(first: int, last: int, largest: int, depth: int) -> tuple[int, ...]:
    """Return 5 to 7 slices, from the one below an outline to the one above it, the largest among them, as even as can be.

    Args:
        first, last: slices that the outline begins and ends in.
        largest: slice of its largest area.
        depth: slices of the volume; with fewer than 5 all are returned.
    """
    low, high = max(first - 1, 0), min(last + 1, depth - 1)
    while high - low + 1 < min(FEWEST, depth):
        low, high = max(low - 1, 0), min(high + 1, depth - 1)
    if high - low + 1 <= MOST:
        return tuple(range(low, high + 1))
    even = np.rint(np.linspace(low, high, MOST)).astype(int).tolist()
    if largest not in even:
        # The ends stay: they show where the outline stops.
        inner = range(1, MOST - 1)
        even[min(inner, key=lambda place: abs(even[place] - largest))] = largest
    return tuple(even)


def slices_of_head(hu_zyx: npt.NDArray[np.int16]) -> tuple[int, ...]:
    """Return up to 12 slices that are spread evenly over the head; over the whole volume where there is none."""
    body = np.count_nonzero(hu_zyx > BODY_HU, axis=(1, 2))
    [head] = np.nonzero(body >= max(HEAD_SHARE * body.max(), 1))
    low, high = (int(head[0]), int(head[-1])) if len(head) else (0, len(hu_zyx) - 1)
    return tuple(sorted(set(np.rint(np.linspace(low, high, OF_HEAD)).astype(int).tolist())))
