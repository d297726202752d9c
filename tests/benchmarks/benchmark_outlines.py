"""How well blood is outlined by its attenuation alone, and the inside of the skull: `benchmark_outlines.py [--cases 40]`.

Draws a synthetic cohort, resamples every case onto the stored grid of 0.5 x 0.5 x 5 mm, finds the inside of the skull and outlines
the blood in it by `threshold`. Prints the median and the tenth percentile of Dice against the truth on that grid, all cases whose
inside or outline was not found, and the seconds of one core for each of the two.
"""

import argparse
import json
import time

import numpy as np

from cvtbatch.geometry import SliceStack
from cvtbatch.imaging.placement import place_mask
from cvtbatch.imaging.resampling import resample_stack
from cvtbatch.outlining.blood import blood_parts
from cvtbatch.outlining.skull import Inside, find_inside
from cvtbatch.outlining.threshold import blood_by_threshold
from cvtbatch.synthesis import SyntheticCase, plan_cohort, render

SPACING_MM = (0.5, 0.5, 5.0)


def stack_of(case: SyntheticCase) -> SliceStack:
    """Return where the slices of a case lie."""
    _, rows, columns = case.hu_zyx.shape
    x, y, z = np.cross(case.row_direction, case.column_direction).tolist()
    positions = tuple(case.slice_position_mm(index) for index in range(len(case.hu_zyx)))
    axes = case.row_direction, case.column_direction, (x, y, z)
    return SliceStack(columns, rows, case.spacing_xyz_mm[:2], *axes, positions)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def measure(case: SyntheticCase) -> dict[str, float | str]:
    """Outline one case: Dice and seconds, or why there is no outline."""
    stack = stack_of(case)
    hu_zyx, grid = resample_stack(case.hu_zyx, stack, SPACING_MM)
    truth = place_mask(case.mask_zyx, stack, grid) != 0
    spacing_mm = SPACING_MM[::-1]
    start = time.process_time()
    inside = find_inside(hu_zyx, spacing_mm)
    found = time.process_time()
    if not isinstance(inside, Inside):
        return {"state": inside.reason}
    parts = blood_parts(blood_by_threshold(hu_zyx, inside.mask_zyx, spacing_mm), grid.voxel_ml)
    stop = time.process_time()
    if not parts:
        return {"state": "no_hemorrhage"}
    return {
        "state": "outlined",
        "dice": dice(parts[0].mask_zyx, truth),
        "blood_inside": float(inside.mask_zyx[truth].mean()),
        "inside_ml": inside.volume_ml,
        "inside_s": found - start,
        "threshold_s": stop - found,
    }


def main() -> None:
    """Outline a cohort and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--centers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", choices=["small", "full"], default="small")
    chosen = parser.parse_args()
    results = [measure(render(plan)) for plan in plan_cohort(chosen.cases, chosen.centers, chosen.seed, chosen.size)]
    outlined = [result for result in results if result["state"] == "outlined"]
    values = {name: np.array([result[name] for result in outlined]) for name in outlined[0] if name != "state"}
    print(
        json.dumps(
            {
                "cases": len(results),
                "not_outlined": [result["state"] for result in results if result["state"] != "outlined"],
                "dice_median": round(float(np.median(values["dice"])), 3),
                "dice_p10": round(float(np.percentile(values["dice"], 10)), 3),
                "dice_min": round(float(values["dice"].min()), 3),
                "least_share_of_blood_inside": round(float(values["blood_inside"].min()), 4),
                "inside_ml": [round(float(value)) for value in (values["inside_ml"].min(), values["inside_ml"].max())],
                "inside_s": round(float(np.median(values["inside_s"])), 2),
                "threshold_s": round(float(np.median(values["threshold_s"])), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
