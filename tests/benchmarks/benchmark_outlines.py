"""How well hematomas are outlined without hands: python -m tests.benchmarks.benchmark_outlines --results FILE [--heads 40]

Synthetic heads on the stored grid of 0.5 x 0.5 x 5 mm, outlined by the mean of three networks (`blast-ct`) and by `threshold`. Dice
is against two truths on that grid: `as_drawn`, the hematoma as drawn on the scan's own slices and laid onto the grid, as a person's
outline is; and `as_it_is`, drawn on slices of 1 mm. Their own Dice is what the scan's thick slices cost, whoever draws.

With --real, also the real head that CVTBATCH_DATA names or `download` fetched: without blood, in which nothing may be found, and
with made-up hematomas. --blood-free names further heads without blood, each a file or a folder.

A line a head goes into FILE; what is there already is not done again. Seconds are the processor's, since others may use it as well.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cvtbatch.downloads import fetch_data_set
from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack, Triple
from cvtbatch.imaging.placement import place_mask, slab_edges_mm
from cvtbatch.imaging.resampling import resample_stack
from cvtbatch.ingest.volumes import read_volume
from cvtbatch.outlining.blood import LEAST_ML
from cvtbatch.outlining.ensemble import Ensemble
from cvtbatch.outlining.head import Method, find_head
from cvtbatch.outlining.outline import Outlines, outlines_of
from cvtbatch.outlining.threshold import Threshold
from cvtbatch.outlining.weights import load_weights
from cvtbatch.synthesis import CasePlan, SyntheticCase, plan_cohort, render
from cvtbatch.synthesis.anatomy import BRAIN
from cvtbatch.synthesis.fields import Pose, Rows
from cvtbatch.synthesis.hematoma import HematomaPlan, grow_hematoma
from tests.support.series import case

Result = dict[str, Any]

SPACING_MM = (0.5, 0.5, 5.0)
# A made-up hematoma replaces what this smoothing leaves of the head; its oedema lies in brain alone.
SMOOTHING_MM = 2.5
MOST_BRAIN_HU = 60.0
REAL_HEAD = "head-ct-ge"
# In the real head's right hemisphere, away from its old hypodensity: deep, under the cortex, and small.
MADE_UP = tuple(
    HematomaPlan(center, volume_ml, (1.0, 1.2, 0.9), 20.0, 63.0, 5.0, 0.15, 0.2, 2.2, 4.0)
    for center, volume_ml in (((-27.0, 2.0, 8.0), 20.0), ((-38.0, -25.0, 25.0), 30.0), ((-30.0, 30.0, 20.0), 8.0))
)


@dataclass(frozen=True, slots=True)
class Scan:
    """Slices as a scanner made them, and the hematoma that was put into them, if there is one.

    Attributes:
        drawn_zyx: as drawn on the slices, of the shape of `hu_zyx`.
        true_on: gives the hematoma as it is, on a grid.
    """

    name: str
    hu_zyx: np.ndarray
    stack: SliceStack
    drawn_zyx: np.ndarray | None = None
    true_on: Callable[[Grid], np.ndarray] | None = None


def stack_of(case: SyntheticCase) -> SliceStack:
    """Return where the slices of a case lie."""
    _, rows, columns = case.hu_zyx.shape
    x, y, z = np.cross(case.row_direction, case.column_direction).tolist()
    positions = tuple(case.slice_position_mm(index) for index in range(len(case.hu_zyx)))
    axes = case.row_direction, case.column_direction, (x, y, z)
    return SliceStack(columns, rows, case.spacing_xyz_mm[:2], *axes, positions)


def synthetic_scan(plan: CasePlan, size: str) -> Scan:
    """Draw a planned head, and its hematoma once more on slices of 1 mm."""
    drawn = render(plan)
    slices = math.ceil(plan.scanner.slices * plan.scanner.gap_mm)
    fine = render(replace(plan, scanner=replace(plan.scanner, gap_mm=1.0, slices=slices)))

    def true_on(grid: Grid) -> np.ndarray:
        return place_mask(fine.mask_zyx, stack_of(fine), grid) != 0

    return Scan(f"{size} {plan.case_id}", drawn.hu_zyx, stack_of(drawn), drawn.mask_zyx, true_on)


def real_scan(path: Path, name: str) -> Scan:
    """Read a head without blood."""
    volume = read_volume(case(path))
    return Scan(name, volume.hu_zyx, volume.stack)


def with_hematoma(scan: Scan, number: int) -> Scan:
    """Put a made-up hematoma into a head that has none: it replaces what smoothing leaves of the head, so that noise stays."""
    head = find_head(*resample_stack(scan.hu_zyx, scan.stack, SPACING_MM))
    center = head.grid.to_point(np.argwhere(head.inside.mask_zyx)[:, ::-1].mean(axis=0)[None])[0].tolist()
    blood = grow_hematoma(MADE_UP[number], Pose(tuple(center)), BRAIN, np.random.default_rng(number))
    hu_zyx, drawn_zyx = scan.hu_zyx.astype(np.float32), np.zeros(scan.hu_zyx.shape, np.uint8)
    edges, depths, pixel = slab_edges_mm(scan.stack), scan.stack.depths_mm(), scan.stack.pixel_mm[0]
    for index, (hu, drawn) in enumerate(zip(hu_zyx, drawn_zyx, strict=True)):
        smooth = gaussian_filter(hu, SMOOTHING_MM / pixel)
        low, high = edges[index : index + 2]
        layers = []
        for share in (1 / 6, 1 / 2, 5 / 6):
            layers.append(smooth.copy())
            away = (low + share * (high - low) - depths[index]) * np.array(scan.stack.slice_axis)
            place = np.array(scan.stack.positions_mm[index]) + away
            rows = _rows(place, scan.stack.column_axis, hu.shape, scan.stack.pixel_mm)
            blood.paint(layers[-1], rows, (smooth < MOST_BRAIN_HU).astype(np.float32))
        hu += np.mean(layers, axis=0) - smooth
        place = np.array(scan.stack.positions_mm[index])
        drawn[:] = blood.contains(_rows(place, scan.stack.column_axis, hu.shape, scan.stack.pixel_mm))

    def true_on(grid: Grid) -> np.ndarray:
        planes = grid.to_point(np.array([(0, 0, z) for z in range(grid.size_xyz[2])], np.float64))
        down, shape, pixel_mm = tuple(grid.axes()[:, 1]), grid.shape_zyx[1:], grid.spacing_mm[:2]
        return np.array([blood.contains(_rows(place, down, shape, pixel_mm)) for place in planes])

    name = f"{scan.name}, made-up {number + 1}"
    return Scan(name, np.rint(hu_zyx).astype(np.int16), scan.stack, drawn_zyx, true_on)


def _rows(first_mm: np.ndarray, down: Triple, shape_yx: tuple[int, int], pixel_mm: tuple[float, float]) -> Rows:
    """Return the pixels of a slice whose rows run along x; `down` is where its columns run."""
    x, y, z = first_mm
    along_y = np.arange(shape_yx[0]) * pixel_mm[1]
    return Rows(
        (x + np.arange(shape_yx[1]) * pixel_mm[0]).astype(np.float32),
        (y + along_y * down[1]).astype(np.float32),
        (z + along_y * down[2]).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Truths:
    """What is blood on the stored grid."""

    as_drawn: np.ndarray
    as_it_is: np.ndarray

    @classmethod
    def of(cls, scan: Scan, grid: Grid) -> "Truths | None":
        if scan.drawn_zyx is None or scan.true_on is None:
            return None
        return cls(place_mask(scan.drawn_zyx, scan.stack, grid) != 0, scan.true_on(grid))


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def measure(scan: Scan, methods: dict[str, Method]) -> Result:
    """Outline one head by each method: volumes, Dice and seconds, or why that cannot be done."""
    try:
        start = time.process_time()
        head = find_head(*resample_stack(scan.hu_zyx, scan.stack, SPACING_MM))
        found: Result = {"name": scan.name, "inside_s": time.process_time() - start}
    except InputError as error:
        return {"name": scan.name, "refused": error.message}
    truths = Truths.of(scan, head.grid)
    if truths is not None:
        found["drawn_ml"] = float(truths.as_drawn.sum()) * head.grid.voxel_ml
        found["blood_inside"] = float(head.inside.mask_zyx[truths.as_drawn].mean())
        found["truths"] = dice(truths.as_drawn, truths.as_it_is)
    for name, method in methods.items():
        start = time.process_time()
        (blood,) = method.find([head])
        seconds = time.process_time() - start
        found[name] = {"s": seconds, **_told(outlines_of(head, blood, LEAST_ML), truths)}
    return found


def _told(outlines: Outlines, truths: Truths | None) -> Result:
    told: Result = {
        "parts_ml": [part.volume_ml for part in outlines.parts],
        "blood_ml": outlines.blood_ml,
        "agreement": outlines.agreement,
        "flags": list(outlines.flags),
    }
    if truths is not None:
        outline = outlines.parts[0].mask_zyx if outlines.parts else np.zeros_like(truths.as_drawn)
        told["as_drawn"] = dice(outline, truths.as_drawn)
        told["as_it_is"] = dice(outline, truths.as_it_is)
    return told


def scans(chosen: argparse.Namespace, done: set[str]) -> Iterator[Scan]:
    """Yield the heads that were asked for and are not done."""
    for plan in plan_cohort(40, 4, 1, chosen.size):
        if f"{chosen.size} {plan.case_id}" not in done and _number(plan) in range(0, 40, 40 // chosen.heads):
            yield synthetic_scan(plan, chosen.size)
    free = [(path.name, path) for path in chosen.blood_free]
    if chosen.real:
        free.insert(0, (REAL_HEAD, next(iter(fetch_data_set(REAL_HEAD).values())).parent))
    for name, path in free:
        scan = real_scan(path, name)
        made_up = [with_hematoma(scan, number) for number in range(len(MADE_UP))] if name == REAL_HEAD else []
        yield from (one for one in (scan, *made_up) if one.name not in done)


def _number(plan: CasePlan) -> int:
    """Return the place of a case among the 40, ten a centre."""
    _, center, number = plan.stream
    return 10 * center + number


def summary(results: list[Result], methods: list[str]) -> Result:
    """Return medians and worst values over some heads with a hematoma."""
    outlined = [result for result in results if "drawn_ml" in result]
    told: Result = {
        "heads": len(results),
        "refused": [result["name"] for result in results if "refused" in result],
        "truths": _spread([result["truths"] for result in outlined]),
        "least_share_of_blood_inside": round(min(result["blood_inside"] for result in outlined), 4),
        "inside_s": round(float(np.median([result["inside_s"] for result in outlined])), 2),
    }
    for name in methods:
        own = [result[name] for result in outlined]
        told[name] = {
            "as_drawn": _spread([one["as_drawn"] for one in own]),
            "as_it_is": _spread([one["as_it_is"] for one in own]),
            "volume_ratio": _spread(
                [sum(one["parts_ml"][:1]) / result["drawn_ml"] for one, result in zip(own, outlined, strict=True)]
            ),
            "s": round(float(np.median([one["s"] for one in own])), 2),
        }
    return told


def _spread(values: list[float]) -> dict[str, float]:
    points = {"median": np.median(values), "p10": np.percentile(values, 10), "least": min(values), "most": max(values)}
    return {name: round(float(value), 3) for name, value in points.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="file of JSON lines, gone on with")
    parser.add_argument("--heads", type=int, default=40, choices=[1, 2, 4, 5, 8, 10, 20, 40])
    parser.add_argument("--size", choices=["full", "small"], default="full", help="slices of 3 to 5 mm, or of 6 mm")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--blood-free", type=Path, nargs="*", default=[])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    methods: dict[str, Method] = {
        "blast-ct": Ensemble(load_weights(), torch.device("cpu"), threads=1),
        "threshold": Threshold(),
    }
    results = [json.loads(line) for line in chosen.results.read_text().splitlines()] if chosen.results.exists() else []
    with chosen.results.open("a") as file:
        for scan in scans(chosen, {result["name"] for result in results}):
            results.append(measure(scan, methods))
            print(json.dumps(results[-1]), file=file, flush=True)
    for kind in ("small", "full", f"{REAL_HEAD}, made-up"):
        if some := [result for result in results if result["name"].startswith(kind)]:
            print(json.dumps({kind: summary(some, list(methods))}))
    for result in results:
        if "drawn_ml" not in result:
            print(json.dumps(result))


if __name__ == "__main__":
    main()
