"""What locating a hematoma costs beside its features, on a head of a scanner's size with 30 ml of blood; draws the docs' figure.

python -m tests.benchmarks.benchmark_location [FIGURE]
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.location.head import MeasuredHead, measure_head
from cvtbatch.location.hematoma import Location, locate
from cvtbatch.location.rules import LocationRules
from cvtbatch.outlining.skull import find_inside
from cvtbatch.radiomics import roi_features
from cvtbatch.radiomics.profiles import load_profile
from cvtbatch.synthesis.cohort import plan_case
from cvtbatch.synthesis.head import scan_head
from cvtbatch.synthesis.scanner import Scanner

RULES = LocationRules()
REPEATS = 5
SCANNER = Scanner(500, 500, 32, 0.5, 5.0, 0.0, (0.0, 0.0, 5.0), 3.5, 0.7, 0.0)


def scanned() -> tuple[np.ndarray, np.ndarray, Grid]:
    """Return HU, mask and grid of a synthetic case on the stored grid."""
    plan = plan_case(7, 0, 4, "full")
    hematoma = replace(plan.hematoma, center_mm=(36, -8, 12), volume_ml=30.0)
    scan = scan_head(plan.head, hematoma, SCANNER, moved=False, seed=np.random.SeedSequence(7))
    grid = Grid((500, 500, 32), (0.5, 0.5, 5.0), SCANNER.origin_mm, (1, 0, 0, 0, 1, 0, 0, 0, 1))
    return scan.hu_zyx, scan.mask_zyx, grid


def seconds(what: Callable[[], object]) -> float:
    """Return the shortest processor time of several runs."""
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        what()
        times.append(time.process_time() - begin)
    return min(times)


def draw(path: str, hu: np.ndarray, mask: np.ndarray, head: MeasuredHead, location: Location) -> None:
    """Draw an axial and a coronal plane through the centroid with all that was found."""
    z, y, _ = np.rint(np.argwhere(mask).mean(axis=0)).astype(int)
    fluid = np.zeros(hu.shape, dtype=bool) if head.ventricles is None else head.ventricles.without(mask != 0)
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in head.grid.size_xyz), indexing="ij"), axis=-1)
    left = (indices * head.grid.spacing_mm) @ head.grid.axes().T @ np.array(head.midplane.normal)
    left_zyx = (left - head.midplane.offset_mm).transpose(2, 1, 0)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), facecolor="black")
    for plane, where, aspect in ((axes[0], np.s_[z], 1.0), (axes[1], np.s_[::-1, y], 10.0)):
        plane.imshow(hu[where], cmap="gray", vmin=-20, vmax=90, aspect=aspect, interpolation="bilinear")
        for drawn, color in ((head.inside_zyx, "gold"), (fluid, "cyan"), (mask != 0, "red")):
            plane.contour(drawn[where], [0.5], colors=color, linewidths=1)
        plane.contour(left_zyx[where], [0], colors="white", linewidths=0.8, linestyles="dashed")
        plane.axis("off")
    found = (
        ("midsagittal plane", location.midline),
        ("skull", location.skull),
        ("ventricles", location.ventricles),
        ("vertex", location.vertex),
    )
    distances = ",  ".join(f"{name} {value.nearest_mm:.1f} mm" for name, value in found if value is not None)
    words = f"{location.side},  {location.compartment},  {location.region},  depth {location.depth_share:.2f}"
    figure.text(0.5, 0.03, f"{distances}\n{words}", color="white", ha="center", fontsize=9)
    figure.subplots_adjust(0, 0.13, 1, 1, 0.02)
    figure.savefig(path, dpi=72)


def main() -> None:
    """Print seconds of one core, and draw the figure where its path is given."""
    hu, mask, grid = scanned()
    head = measure_head(hu, grid, RULES)
    print(f"{np.count_nonzero(mask) * grid.voxel_ml:.1f} ml; {locate(mask, head, RULES)}")
    ct, roi = to_image(hu, grid), to_image(mask, grid)
    profile = load_profile("cvt-1834")
    for what, function in (
        ("landmarks of the head", lambda: measure_head(hu, grid, RULES)),
        ("of these the inside of the skull", lambda: find_inside(hu, grid.spacing_mm[::-1])),
        ("location of the outline", lambda: locate(mask, head, RULES)),
        ("radiomics of the outline", lambda: roi_features(ct, roi, profile, "fast")),
    ):
        print(f"{what}: {seconds(function):.2f} s")
    if sys.argv[1:]:
        draw(sys.argv[1], hu, mask, head, locate(mask, head, RULES))


if __name__ == "__main__":
    main()
