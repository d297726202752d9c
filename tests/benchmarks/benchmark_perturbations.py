"""Features of 20 perturbed outlines of a case: `python -m tests.benchmarks.benchmark_perturbations [ML ...] [--count N]`.

One process, one thread; hematomas of 10, 30 and 90 ml in a head of 32 x 500 x 500 voxels. Beside the seconds of a case stand the
features of the outline alone, and how many times these the perturbations take. The bar is 10 s for 20 of them.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import time

import numpy as np
import SimpleITK as sitk

from cvtbatch.outlining.perturbation import draw_perturbations, perturb
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.profiles import PROFILES
from tests.benchmarks.benchmark_radiomics import head_with_bleed

BAR_S, BAR_COUNT = 10.0, 20
PROFILE = PROFILES["cvt-1834"]
ROW = "{:>6} ml{:>12}{:>12}{:>14}{:>12}{:>10}"


def timed_case(ml: float, count: int) -> tuple[float, float, float]:
    """Return CPU seconds of the outline's own features, of perturbing it, and of the perturbed ones' features."""
    ct, mask = head_with_bleed(ml)
    hu_zyx, outline_zyx = sitk.GetArrayFromImage(ct).astype(np.int16), sitk.GetArrayFromImage(mask)
    start = time.process_time()
    compute_features(ct, mask, PROFILE)
    alone_s = time.process_time() - start
    start = time.process_time()
    spacing_mm = ct.GetSpacing()[::-1]
    changed = [perturb(outline_zyx, hu_zyx, spacing_mm, how) for how in draw_perturbations("benchmark", count)]
    drawn_s = time.process_time() - start
    start = time.process_time()
    for outline in changed:
        image = sitk.GetImageFromArray(outline.astype(np.uint8))
        image.CopyInformation(ct)
        compute_features(ct, image, PROFILE)
    return alone_s, drawn_s, time.process_time() - start


def main() -> None:
    """Print a row a volume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ml", nargs="*", type=float, default=[10.0, 30.0, 90.0])
    parser.add_argument("--count", type=int, default=BAR_COUNT)
    arguments = parser.parse_args()
    timed_case(10.0, 1)
    print(ROW.format("", "features s", "perturb s", f"{arguments.count} x feat. s", "together s", "ratio"))
    for ml in arguments.ml:
        alone_s, drawn_s, features_s = timed_case(ml, arguments.count)
        together_s = drawn_s + features_s
        numbers = (alone_s, drawn_s, features_s, together_s, together_s / alone_s)
        print(ROW.format(f"{ml:.0f}", *(f"{number:.2f}" for number in numbers)))
        if arguments.count == BAR_COUNT:
            print(f"{'':>10}bar of {BAR_S:.0f} s: {'met' if together_s < BAR_S else 'not met'}")


if __name__ == "__main__":
    main()
