"""The figures of docs/reference/signs.md: `python -m tests.support.draw_signs`.

Each shows a painted hematoma that has one sign, with a scan's noise, and beside it one that is just short of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk

from cvtbatch.imaging import outline_picture
from tests.support.hematomas import BLOOD, SLICES, Paint, around, disc, inside, painted
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "signs"
NOISE_HU, ENLARGED, SHOWN_MM, GAP = 2.5, 2, 66, 8
SEPARATE = [Paint(around(angle, 24, 2.5), BLOOD, outlined=True) for angle in (20, 90, 160)]
BUDS = [Paint(around(angle, 19, 3.5), BLOOD, outlined=True) for angle in (215, 325)]
LOBES = [Paint(around(angle, 19, 6), BLOOD, outlined=True) for angle in (-20, 200)]
FOCI = [Paint(around(angle, 8, 2.5), BLOOD - 24) for angle in (30, 150, 270)]
WINDING = Paint(inside(lambda x, y: np.hypot(x - 2 * np.sin(y / 2), y) < 4 + np.sin(x)), 38, SLICES[:2])
# By sign: what has it, and what is just short of it.
CASES: Mapping[str, tuple[Sequence[Paint], Sequence[Paint]]] = {
    "satellite_sign": ([Paint(disc(24, -8, 2.5), BLOOD)], [Paint(disc(16, -4, 5.5), BLOOD, outlined=True)]),
    "island_sign": (SEPARATE, SEPARATE[:2]),
    "irregular_shape": (LOBES, LOBES[:1]),
    "heterogeneous_density": (FOCI, FOCI[:2]),
    "black_hole_sign": ([Paint(disc(3, -2, 4), BLOOD - 32)], [Paint(disc(14, -2, 4), BLOOD - 32)]),
    "swirl_sign": ([WINDING], [Paint(WINDING.area, 48)]),
    "blend_sign": (
        [Paint(inside(lambda x, y: x + y / 2 > 4), BLOOD - 22)],
        [Paint(inside(lambda x, y: x > -99), lambda x, y: BLOOD - x - y / 2)],
    ),
    "fluid_level": (
        [Paint(inside(lambda x, y: y < 1), BLOOD - 24)],
        [Paint(inside(lambda x, y: y - x < 1), BLOOD - 24)],
    ),
}


def scan(paints: Sequence[Paint]) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and mask of a painted hematoma, with noise."""
    hu, mask = painted(*paints)
    return np.rint(hu + np.random.default_rng(0).normal(0, NOISE_HU, hu.shape)).astype(np.int16), mask


def draw(sign: str) -> np.ndarray:
    """Return the figure of a sign, RGB (y, x, 3): on the left what has it."""
    panels = []
    for paints in CASES[sign]:
        hu, mask = scan(paints)
        start = (hu.shape[1] - 2 * SHOWN_MM) // 2
        shown = np.s_[SLICES[1], start : start + 2 * SHOWN_MM, start : start + 2 * SHOWN_MM]
        panels.append(outline_picture(hu[shown], mask[shown]).repeat(ENLARGED, 0).repeat(ENLARGED, 1))
    between = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], between, panels[1]], axis=1)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for sign in CASES:
        sitk.WriteImage(sitk.GetImageFromArray(draw(sign), isVector=True), str(FOLDER / f"{sign}.png"))


if __name__ == "__main__":
    main()
