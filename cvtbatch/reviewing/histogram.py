"""The HU of an outline, counted, and drawn as an inline SVG of a few hundred characters."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOW_HU, HIGH_HU, STEP_HU = -20, 120, 5
TICKS_HU = (0, 40, 80)
BARS_PX = 40


@dataclass(frozen=True, slots=True)
class Histogram:
    """HU of the voxels of an outline.

    Attributes:
        counts: voxels by bins of 5 HU from -20 on; the first and the last bin hold what lies beyond.
        percentiles: the 5th, the 50th and the 95th, in HU.
    """

    counts: tuple[int, ...]
    percentiles: tuple[float, float, float]


def count_hu(hu: npt.NDArray[np.int16]) -> Histogram:
    """Return the histogram of some voxels, at least one."""
    bins = (np.clip(hu, LOW_HU, HIGH_HU - 1).astype(int) - LOW_HU) // STEP_HU
    counts = np.bincount(bins, minlength=(HIGH_HU - LOW_HU) // STEP_HU)
    low, median, high = np.percentile(hu, [5, 50, 95]).tolist()
    return Histogram(tuple(counts.tolist()), (low, median, high))


def histogram_svg(histogram: Histogram, color: str) -> str:
    """Return an <svg> element: a unit to the right is 1 HU, the highest bar has the whole height."""
    low, median, high = (f"{value:.0f}" for value in histogram.percentiles)
    most = max(histogram.counts)
    heights = [round(BARS_PX * count / most, 1) for count in histogram.counts]
    bars = "".join(f"V{BARS_PX - height:g}h{STEP_HU}" for height in heights)
    ticks = "".join(
        f'<path d="M{tick - LOW_HU} {BARS_PX}v3" stroke="#57606a"/>'
        f'<text x="{tick - LOW_HU}" y="{BARS_PX + 11}" text-anchor="middle">{tick}</text>'
        for tick in TICKS_HU
    )
    width = HIGH_HU - LOW_HU
    return (
        f'<svg class="histogram" role="img" viewBox="-1 -1 {width + 2} {BARS_PX + 15}" '
        f'aria-label="HU: 5 % below {low}, median {median}, 95 % below {high}">'
        f'<path d="M0 {BARS_PX}{bars}V{BARS_PX}z" fill="{color}" stroke="#1b1f24" stroke-width=".4"/>'
        f'<path d="M0 {BARS_PX}h{width}" stroke="#57606a" stroke-width=".7"/>{ticks}'
        f'<text x="{width}" y="{BARS_PX + 11}" text-anchor="end">HU</text></svg>'
    )
