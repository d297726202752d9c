"""What a case costs beside what a user would write: `python -m tests.benchmarks.benchmark_case [--cases N] [--pairs N]`.

Synthetic heads of scanner's size, series and NIfTI, are extracted by a worker process, which has done so once before, and go
through a script in a process of its own: SimpleITK reads image and outline and resamples both, and PyRadiomics 3.0.1 computes the
features of the profile. The script stores nothing; the worker writes volumes, masks and rows. Both have one thread and
take turns. Printed are processor seconds of a case, and of the worker the stages by the clock. First the features of one case are
held to PyRadiomics' on the same voxels, and the script's voxels to the stored ones, of which some thousandths of a percent
differ by 1 HU where a spline ends halfway. Returns 1 where the contract does not hold, or the ratio is below 12.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.engine import Cluster, open_cluster
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.archive.synthesize import write_archive
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.radiomics.profiles import PROFILES
from cvtbatch.radiomics.reference import stock_features
from cvtbatch.store import FeatureStore, StoredArray
from tests.benchmarks.benchmark_regions import worst_deviation

SPACING_MM = (0.5, 0.5, 5.0)
LEAST = 12.0
ROW = "{:<44}{:>12}{:>10}"


def read_image(path: Path) -> sitk.Image:
    """Read a series, or a file."""
    if path.is_file():
        return sitk.ReadImage(str(path), sitk.sitkInt16)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    return sitk.Cast(reader.Execute(), sitk.sitkInt16)


def resampled(image: sitk.Image, interpolator: int, outside: float) -> sitk.Image:
    """Return an image of SPACING_MM from its first voxel on, computed in float and rounded."""
    size = [
        int(np.ceil(n * own / step))
        for n, own, step in zip(image.GetSize(), image.GetSpacing(), SPACING_MM, strict=True)
    ]
    frame = (sitk.Transform(), interpolator, image.GetOrigin(), SPACING_MM, image.GetDirection(), outside)
    found = sitk.Resample(sitk.Cast(image, sitk.sitkFloat64), size, *frame)
    hu = np.rint(sitk.GetArrayViewFromImage(found)).clip(-1024, 32767).astype(np.int16)
    whole = sitk.GetImageFromArray(hu)
    whole.CopyInformation(found)
    return whole


def script(manifest: Path) -> None:
    """Do what a user would, and print processor seconds of a case."""
    seconds = []
    with manifest.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # PyRadiomics is imported, and SciPy's tables are made, with the first one, which is done again.
    for row in [rows[0], *rows]:
        began = time.process_time()
        ct = resampled(read_image(manifest.parent / row["image"]), sitk.sitkBSpline, -1024.0)
        outline = sitk.Cast(sitk.ReadImage(str(manifest.parent / row["mask"])) > 0, sitk.sitkUInt8)
        mask = sitk.Resample(outline, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        stock_features(ct, mask, PROFILES["cvt-1834"])
        seconds.append(time.process_time() - began)
    print(statistics.fmean(seconds[1:]))


def extracted(manifest: Path, folder: str, cluster: Cluster) -> tuple[float, dict[str, float], FeatureStore]:
    """Extract with a worker, and return processor seconds of a case, the clock's median by stage, and the store."""
    settings = resolve(read_job("extract", None, ["embedding.weights=none"]), folder)
    cases = read_manifest(manifest)
    report = extract(cases, settings, cluster, Options())
    if report.computed != len(cases):
        raise SystemExit(f"{report.computed} of {len(cases)} cases were computed")
    stages = {stage.stage: stage.p50_s for stage in report.cost.stages}
    return (report.cost.cpu_hours_per_1000_cases or 0.0) * 3.6, stages, FeatureStore(folder)


def farthest_voxel(manifest: Path, store: FeatureStore, case_id: str) -> int:
    """Return by how many HU the script's voxels of a case differ from the stored ones at most."""
    [volume] = [row for row in store.current("volumes").to_pylist() if row["case_id"] == case_id]
    [image] = [case.image for case in read_manifest(manifest) if case.case_id == case_id]
    ours = store.read_array(StoredArray(volume["path"], volume["checksum"])).astype(np.int32)
    theirs = sitk.GetArrayFromImage(resampled(read_image(Path(image)), sitk.sitkBSpline, -1024.0))
    distance = np.abs(ours - theirs)
    print(f"voxels: {np.count_nonzero(distance)} of {distance.size} differ, by {distance.max()} HU at most")
    return int(distance.max())


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--script", type=Path, metavar="MANIFEST", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.script:
        script(arguments.script)
        return 0
    command = [sys.executable, "-m", "tests.benchmarks.benchmark_case", "--script"]
    by_script, by_worker, stages = [], [], {}
    with tempfile.TemporaryDirectory(prefix="cvtbatch-case-") as name, open_cluster(1) as cluster:
        folder = Path(name)
        manifest = write_archive(folder / "archive", arguments.cases, 1, 1, "full")
        extracted(manifest, str(folder / "warm"), cluster)
        for number in range(arguments.pairs):
            done = subprocess.run([*command, str(manifest)], check=True, capture_output=True, text=True)
            by_script.append(float(done.stdout.splitlines()[-1]))
            seconds, stages, store = extracted(manifest, str(folder / f"store-{number}"), cluster)
            by_worker.append(seconds)
        worst = max(worst_deviation(store, "C1-0001"), farthest_voxel(manifest, store, "C1-0001"))
    print(ROW.format("processor seconds of a case", "median", "ratio"))
    scripted, worked = statistics.median(by_script), statistics.median(by_worker)
    for what, seconds in (("SimpleITK and PyRadiomics, nothing stored", scripted), ("extract, on a worker", worked)):
        print(ROW.format(what, f"{seconds:.3f}", f"{scripted / seconds:.1f}"))
    for stage, seconds in stages.items():
        print(ROW.format(f"  {stage}, by the clock", f"{seconds:.3f}", ""))
    return int(worst > 1 or scripted < LEAST * worked)


if __name__ == "__main__":
    sys.exit(main())
