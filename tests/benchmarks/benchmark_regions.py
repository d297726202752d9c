"""What a rim costs beside its outline: `python -m tests.benchmarks.benchmark_regions [ML] [--cases N]`. One process, one thread.

A DICOM series of 64 slices of 512 x 512 pixels of 0.488 mm at 2.5 mm with a hematoma of 30 ml, N times (3), is extracted into a new
store without regions, into another one with `rim5`, and then with `rim5` into the first one; without embeddings. Printed are
processor seconds of a case in workers, and of its features; outline and rim may take 2.2 times as long as the outline. First the
features of both masks are held to stock PyRadiomics' on the same masks. Returns 1 where limit or contract does not hold.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import stack_of, to_image
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.radiomics.audit import deviation
from cvtbatch.radiomics.profiles import PROFILES
from cvtbatch.radiomics.reference import stock_features
from cvtbatch.store import FeatureStore, StoredArray
from tests.benchmarks.benchmark_radiomics import head_with_bleed
from tests.support.archives import write_rows
from tests.support.commands import extract_json

SOURCE = Grid((512, 512, 64), (0.488, 0.488, 2.5), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
RIM = ("--set", "regions=[rim5]")
MOST = 2.2
ROW = "{:<44}{:>12}{:>10}"


def archive(folder: Path, ml: float, cases: int) -> Path:
    """Write series and masks, and return the manifest."""
    rows = []
    for number in range(cases):
        ct, mask = (np.repeat(sitk.GetArrayFromImage(image), 2, axis=0) for image in head_with_bleed(ml, number + 1))
        beside = ((0, 0), (6, 6), (6, 6))
        image = to_image(np.pad(ct, beside, constant_values=-1000).astype(np.int16), SOURCE)
        write_series(
            folder / f"ct{number}",
            sitk.GetArrayFromImage(image),
            stack_of(image),
            SeriesTags(f"{number}", f"{number}", 0.0),
        )
        sitk.WriteImage(to_image(np.pad(mask, beside).astype(np.uint8), SOURCE), str(folder / f"mask{number}.nii.gz"))
        rows.append({"center": "A", "case_id": str(number), "image": f"ct{number}", "mask": f"mask{number}.nii.gz"})
    return write_rows(folder / "manifest.csv", rows)


def seconds(document: Mapping[str, Any]) -> float:
    """Return the processor seconds of a case in workers."""
    cost = document["cost"]
    return float(cost["cpu_hours_per_1000_cases"]) * 3.6


def feature_seconds(document: Mapping[str, Any]) -> float:
    """Return the wall seconds of a case in the stage of features."""
    cost = document["cost"]
    return (
        float(next(stage["seconds"] for stage in cost["stages"] if stage["stage"] == "radiomics"))
        / cost["worked_cases"]
    )


def worst_deviation(store: FeatureStore, case_id: str) -> float:
    """Return the worst deviation of a case's features from stock PyRadiomics' on its masks, in units of the contract."""
    [volume] = [row for row in store.current("volumes").to_pylist() if row["case_id"] == case_id]
    grid = Grid(*(tuple(volume[name]) for name in ("size_xyz", "spacing_mm", "origin_mm", "direction")))
    values = {row["roi_key"]: row for row in store.radiomics().to_pylist()}
    found = []
    for roi in store.rois(where=f"case_id = '{case_id}'").to_pylist():
        ct, mask = (
            to_image(store.read_array(StoredArray(row["path"], row["checksum"])), grid) for row in (volume, roi)
        )
        stock = stock_features(ct, mask, PROFILES["cvt-1834"])
        found.append(max(deviation(values[roi["roi_key"]][name], value) for name, value in stock.items()))
        print(
            f"{roi['roi']}: {roi['volume_ml']:.1f} ml, {roi['voxels']} voxels, worst deviation {found[-1]:.2g} of the contract"
        )
    return max(found)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ml", type=float, nargs="?", default=30.0)
    parser.add_argument("--cases", type=int, default=3)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = archive(folder, arguments.ml, arguments.cases)
        extract_json(manifest, folder / "warm", *RIM)
        worst = worst_deviation(FeatureStore(str(folder / "warm")), "0")
        alone = extract_json(manifest, folder / "alone")
        both = extract_json(manifest, folder / "both", *RIM)
        added = extract_json(manifest, folder / "alone", *RIM)
    print(ROW.format("processor seconds of a case", "all", "ratio"))
    for what, document in (("the outline", alone), ("the outline and its rim", both), ("the rim, added later", added)):
        print(ROW.format(what, f"{seconds(document):.2f}", f"{seconds(document) / seconds(alone):.2f}"))
    ratio = feature_seconds(both) / feature_seconds(alone)
    print(ROW.format("features of both beside the outline's", f"{feature_seconds(both):.2f}", f"{ratio:.2f}"))
    return int(worst > 1 or seconds(both) > MOST * seconds(alone))


if __name__ == "__main__":
    sys.exit(main())
