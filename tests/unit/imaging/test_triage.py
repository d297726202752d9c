"""Where a mask is refused, and what is flagged."""

import numpy as np
import pytest

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.imaging import require_in_head, triage_mask

GRID = Grid((100, 100, 16), (0.5, 0.5, 5.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def head() -> np.ndarray:
    """A ball of tissue with a bubble of air in it, beside a rod of the headrest, in air."""
    z, y, x = np.mgrid[:16, :100, :100]
    away = np.sqrt((0.5 * (x - 50)) ** 2 + (0.5 * (y - 45)) ** 2 + (5 * (z - 8)) ** 2)
    hu = np.where(away < 20, 60, -1000).astype(np.int16)
    hu[7:10, 30:36, 50:56] = -1000
    hu[:, 92:96, 20:80] = 200
    return hu


def box(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(GRID.shape_zyx, np.uint8)
    mask[z, y, x] = 1
    return mask


CLOT = box(slice(6, 11), slice(40, 60), slice(40, 60))


def flags(mask: np.ndarray, hu: np.ndarray, change: float = 1.0) -> tuple[str, ...]:
    return triage_mask(mask, hu, GRID, mask.sum() * GRID.voxel_ml * change).flags


def test_a_plausible_mask_has_no_flag_and_its_measures() -> None:
    hu = head()
    hu[CLOT == 1] = np.random.default_rng(0).integers(40, 90, int(CLOT.sum()))
    triage = triage_mask(CLOT, hu, GRID, CLOT.sum() * GRID.voxel_ml)
    assert (triage.components, triage.flags) == (1, ())
    assert [triage.hu_p05, triage.hu_p50, triage.hu_p95] == np.percentile(hu[CLOT == 1], [5, 50, 95]).tolist()


def test_tiny() -> None:
    assert flags(box(slice(8, 9), slice(40, 59), slice(40, 61)), head()) == ("tiny",)  # 399 voxels of 1.25 mm3
    assert flags(box(slice(8, 9), slice(40, 60), slice(40, 60)), head()) == ()


def test_components_touch_at_corners() -> None:
    mask = CLOT.copy()
    mask[11, 60, 60] = 1
    assert triage_mask(mask, head(), GRID, 1.0).components == 1
    for number in range(5):
        mask[8, 30, 40 + 2 * number] = 1
    assert flags(mask, head()) == ("many_components",)
    assert triage_mask(mask, head(), GRID, 1.0).components == 6


@pytest.mark.parametrize(
    ("level", "expected"), [(39, ("implausible_hu",)), (40, ()), (100, ()), (101, ("implausible_hu",))]
)
def test_hu_of_blood(level: int, expected: tuple[str, ...]) -> None:
    hu = head()
    hu[CLOT == 1] = level
    assert flags(CLOT, hu) == expected


@pytest.mark.parametrize("change", [0.96, 1.04])
def test_a_volume_that_resampling_changed(change: float) -> None:
    assert flags(CLOT, head(), change) == ("volume_changed",)
    assert flags(CLOT, head(), 1 + (change - 1) / 2) == ()


def test_border_contact_is_with_what_was_scanned() -> None:
    hu = np.full(GRID.shape_zyx, 60, np.int16)
    assert flags(CLOT, hu) == ()
    for part in (
        box(slice(0, 5), slice(40, 60), slice(40, 60)),
        box(slice(11, 16), slice(40, 60), slice(40, 60)),
        box(slice(6, 11), slice(80, 100), slice(40, 60)),
        box(slice(6, 11), slice(40, 60), slice(0, 20)),
    ):
        assert flags(part, hu) == ("border_contact",)
    hu[11:] = -1024  # past the last slice
    assert flags(CLOT, hu) == ("border_contact",)


def test_most_of_a_mask_must_lie_in_the_head() -> None:
    hu = head()
    require_in_head(CLOT, hu, GRID)
    require_in_head(
        box(slice(7, 10), slice(30, 36), slice(50, 56)), hu, GRID
    )  # a bubble of air within it belongs to it
    for outside in (
        box(slice(6, 11), slice(0, 4), slice(0, 100)),
        box(slice(6, 11), slice(92, 96), slice(20, 80)),  # the headrest is no head
    ):
        with pytest.raises(InputError, match=r"^0% of the mask") as raised:
            require_in_head(outside, hu, GRID)
        assert raised.value.kind == "mask_outside_head"
    inside, above = box(slice(8, 9), slice(40, 42), slice(30, 70)), box(slice(8, 9), slice(0, 2), slice(30, 70))
    require_in_head(inside | above, hu, GRID)
    with pytest.raises(InputError, match=r"^49% of the mask"):
        require_in_head(inside | above | box(slice(8, 9), slice(2, 3), slice(50, 52)), hu, GRID)


def test_an_image_without_tissue_has_no_head() -> None:
    with pytest.raises(InputError) as raised:
        require_in_head(CLOT, np.full(GRID.shape_zyx, -1000, np.int16), GRID)
    assert raised.value.kind == "mask_outside_head"
    require_in_head(CLOT, np.full(GRID.shape_zyx, 40, np.int16), GRID)  # a field of view within the head
