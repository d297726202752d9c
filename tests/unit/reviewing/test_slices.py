"""Which slices of a case are shown."""

import itertools

import numpy as np
import pytest

from cvtbatch.reviewing.slices import slices_of_head, slices_of_outline


@pytest.mark.parametrize(
    ("outline", "depth", "shown"),
    [
        ((10, 10, 10), 30, (8, 9, 10, 11, 12)),
        ((10, 14, 12), 30, (9, 10, 11, 12, 13, 14, 15)),
        ((0, 0, 0), 30, (0, 1, 2, 3, 4)),
        ((29, 29, 29), 30, (25, 26, 27, 28, 29)),
        ((1, 2, 1), 3, (0, 1, 2)),
        # 9 to 21 in steps of two; the largest slice takes the place of its neighbour.
        ((10, 20, 15), 30, (9, 11, 13, 15, 17, 19, 21)),
        ((10, 20, 14), 30, (9, 11, 14, 15, 17, 19, 21)),
        # The largest beside an end, which stays.
        ((10, 20, 10), 30, (9, 10, 13, 15, 17, 19, 21)),
    ],
)
def test_slices_of_outlines(outline: tuple[int, int, int], depth: int, shown: tuple[int, ...]) -> None:
    assert slices_of_outline(*outline, depth) == shown


def test_every_outline_gets_five_to_seven_slices_with_its_largest_and_its_ends() -> None:
    depth = 24
    for first, last in itertools.combinations_with_replacement(range(depth), 2):
        for largest in range(first, last + 1):
            shown = slices_of_outline(first, last, largest, depth)
            assert 5 <= len(shown) <= 7
            assert list(shown) == sorted(set(shown))
            assert largest in shown
            assert shown[0] <= max(first - 1, 0)
            assert shown[-1] >= min(last + 1, depth - 1)
            assert shown[0] >= 0
            assert shown[-1] < depth


def test_slices_of_a_head_are_spread_over_it() -> None:
    hu_zyx = np.full((40, 8, 8), -1000, np.int16)
    hu_zyx[6:29] = 30
    # A head rest alone is no head.
    hu_zyx[29:35, 7, :2] = 30
    assert slices_of_head(hu_zyx) == (6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28)
    assert slices_of_head(hu_zyx[:3]) == (0, 1, 2)
    assert slices_of_head(hu_zyx[5:10]) == (1, 2, 3, 4)
