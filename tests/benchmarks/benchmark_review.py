"""Seconds that the pages of a review take, and their size: `benchmark_review.py [--cases 500] [--workers 2]`.

Cases are synthetic heads of scanner size on the study's grid, each outlined by a person and by a method; every tenth has no
outline. A few heads stand for all, under their own keys, so that the store is quickly made; each case is read and drawn for itself.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import binary_dilation

from cvtbatch.engine import open_cluster
from cvtbatch.geometry import Grid
from cvtbatch.imaging import place_mask, resample_volume
from cvtbatch.imaging.resampling import to_image
from cvtbatch.pipelines.reviews.pages import Choice, write_review
from cvtbatch.store import FeatureStore, StoredArray
from cvtbatch.synthesis import plan_cohort, render
from tests.support.store_rows import VOLUME_SPEC, add_specs, row

HEADS = 8
LIMIT_SECONDS = 120.0
LIMIT_PAGE_BYTES = 1e6
AXES = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)


def store_heads(store: FeatureStore) -> list[tuple[Grid, StoredArray, list[tuple[np.ndarray, StoredArray]]]]:
    """Write volumes of heads that are not tilted, each with two masks, and return their grids and where they lie."""
    heads = []
    for plan in plan_cohort(10 * HEADS, 1, 7, "full"):
        if len(heads) == HEADS:
            break
        case = render(plan)
        if case.tilt_deg:
            continue
        depth, rows, columns = case.hu_zyx.shape
        source = Grid((columns, rows, depth), case.spacing_xyz_mm, case.origin_mm, AXES)
        image = resample_volume(to_image(case.hu_zyx, source))
        grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        mask = place_mask(case.mask_zyx, source, grid)
        grown = binary_dilation(mask, np.ones((1, 3, 3), bool)).astype(np.uint8)
        masks = [(part, store.write_mask(part, grid)) for part in (mask, grown)]
        heads.append((grid, store.write_volume(sitk.GetArrayFromImage(image), grid), masks))
    return heads


def fill(store: FeatureStore, cases: int) -> None:
    """Write the rows of the cases."""
    add_specs(store, VOLUME_SPEC)
    heads = store_heads(store)
    tables: dict[str, list[dict[str, object]]] = {"cases": [], "volumes": [], "rois": [], "outlines": []}
    for number in range(cases):
        grid, volume, masks = heads[number % len(heads)]
        key = {"case_key": f"A/{number:05d}", "center": "A", "case_id": f"{number:05d}"}
        image = {"volume_spec_id": VOLUME_SPEC.spec_id, "image_digest": f"{number:064x}"}
        place = {"size_xyz": list(grid.size_xyz), "spacing_mm": list(grid.spacing_mm), "direction": list(AXES)}
        tables["cases"].append(row("cases", **key))
        tables["volumes"].append(row("volumes", **key, **image, **place, path=volume.path, checksum=volume.checksum))
        if number % 10 == 9:
            continue
        for reader, (mask, stored) in zip(("A", "blast-ct:01234567"), masks, strict=True):
            found = roi_of(mask, reader, f"{number:060x}{reader[:1]}")
            tables["rois"].append(row("rois", **key, **image, **found, path=stored.path, checksum=stored.checksum))
    for name, rows in tables.items():
        store.table(name).append(rows)


def roi_of(mask_zyx: np.ndarray, reader: str, digest: str) -> dict[str, object]:
    """Return what a row of `rois` says of a mask."""
    hits = np.argwhere(mask_zyx)
    return {
        "roi": "hematoma",
        "reader": reader,
        "roi_key": f"{digest}/{reader}",
        "input_digest": digest,
        "volume_ml": mask_zyx.sum() * 1.25e-3,
        "largest_slice": int(mask_zyx.sum(axis=(1, 2)).argmax()),
        "box_start_zyx": hits.min(axis=0).tolist(),
        "box_size_zyx": (np.ptp(hits, axis=0) + 1).tolist(),
        "flags": ["auto", "disagreement"] if reader != "A" else [],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the store and the pages, and print seconds and sizes; exit code 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.open_for_writing(f"{folder}/store")
        fill(store, given.cases)
        out = Path(folder) / "review"
        began = time.perf_counter()
        with open_cluster(given.workers) as cluster:
            report = write_review(store.location.url, out, Choice(), cluster)
        seconds = time.perf_counter() - began
        pages = [page.stat().st_size for page in out.glob("*.html")]
        pictures = [file.stat().st_size for file in (out / "pictures").iterdir()]
    print(
        f"{report.cases} cases, {report.outlines} outlines, {given.workers} workers: {seconds:.1f} s with their start"
    )
    print(
        f"{len(pages)} pages, the largest {max(pages) / 1e3:.0f} kB; {len(pictures)} pictures, {sum(pictures) / 1e6:.0f} MB"
    )
    raise SystemExit(int(seconds > LIMIT_SECONDS or max(pages) > LIMIT_PAGE_BYTES))


if __name__ == "__main__":
    main()
