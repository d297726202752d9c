"""What a case costs beside stock: `python -m tests.benchmarks.benchmark_case [--cases 4]`. One worker, one thread.

Synthetic heads of scanner's size (`synth --size full`) are extracted, without embeddings, by one worker that has done it once
before, and by the script that a user would write: SimpleITK reads and resamples (`sitkBSpline` in float, rounded; the mask by
nearest neighbour), PyRadiomics computes the features of the profile. Printed are processor seconds of a case, the worker's over
whole tasks, and its stages by the clock. The stored values of the first case are held to stock PyRadiomics' on the stored volume
and mask, as the contract has it, and 1 is returned where one is beyond it; how many of the script's own values are within it is
told beside.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.engine import open_cluster
from cvtbatch.geometry import AIR_HU
from cvtbatch.manifest import Case, read_manifest
from cvtbatch.pipelines.archive.synthesize import write_archive
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.report import ExtractReport
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.radiomics.audit import deviation
from cvtbatch.radiomics.profiles import PROFILES
from cvtbatch.radiomics.reference import stock_features
from cvtbatch.store import FeatureStore
from tests.benchmarks.benchmark_regions import worst_deviation

SPACING_MM = (0.5, 0.5, 5.0)
ROW = "{:<36}{:>10}{:>10}"


def extracted(manifest: Path, folder: Path) -> ExtractReport:
    """Extract twice with the same worker, and return the second run's report; its store is `warm`."""
    cases, job = read_manifest(manifest), read_job("extract", None, ["embedding.weights=none"])
    with open_cluster(1) as cluster:
        extract(cases, resolve(job, str(folder / "cold")), cluster, Options())
        return extract(cases, resolve(job, str(folder / "warm")), cluster, Options())


def resampled(image: sitk.Image, interpolator: int, outside: float) -> sitk.Image:
    """Resample as a script does; what is integer after it is rounded half to even."""
    size = [int(np.ceil(n * s / t)) for n, s, t in zip(image.GetSize(), image.GetSpacing(), SPACING_MM, strict=True)]
    frame = (sitk.Transform(), interpolator, image.GetOrigin(), SPACING_MM, image.GetDirection(), outside)
    placed = sitk.Resample(image, size, *frame)
    rounded = sitk.GetImageFromArray(np.rint(sitk.GetArrayViewFromImage(placed)).clip(AIR_HU, 32767).astype(np.int16))
    rounded.CopyInformation(placed)
    return rounded


def scripted(case: Case) -> tuple[dict[str, float], dict[str, float]]:
    """Return the features that a script computes of a case, and its processor seconds by step."""
    clock = [time.process_time()]
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(case.image)
    ct, mask = sitk.ReadImage(names, sitk.sitkFloat64), sitk.ReadImage(case.rois[0].mask or "", sitk.sitkUInt8)
    clock.append(time.process_time())
    ct = resampled(sitk.Clamp(ct, lowerBound=AIR_HU), sitk.sitkBSpline, AIR_HU)
    mask = sitk.Cast(resampled(mask, sitk.sitkNearestNeighbor, 0), sitk.sitkUInt8)
    clock.append(time.process_time())
    values = stock_features(ct, mask, PROFILES["cvt-1834"])
    clock.append(time.process_time())
    return dict(values), dict(zip(("read", "resample", "radiomics"), np.diff(clock).tolist(), strict=True))


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    with tempfile.TemporaryDirectory(prefix="cvtbatch-case-") as name:
        folder = Path(name)
        manifest = write_archive(folder / "archive", parser.parse_args().cases, 1, 1, "full")
        cost = extracted(manifest, folder).cost
        stored = {row["case_id"]: row for row in FeatureStore(str(folder / "warm")).radiomics().to_pylist()}
        found = [(case, *scripted(case)) for case in read_manifest(manifest)]
        worst = worst_deviation(FeatureStore(str(folder / "warm")), found[0][0].case_id)
    within = [
        deviation(stored[case.case_id][name], value) <= 1 for case, values, _ in found for name, value in values.items()
    ]
    ours = (cost.cpu_hours_per_1000_cases or 0.0) * 3.6
    steps = {step: float(np.mean([took[step] for *_, took in found])) for step in found[0][2]}
    stock = sum(steps.values())
    print(
        f"{len(found)} cases; {np.mean(within):.1%} of the script's values within the contract of those that are stored"
    )
    print(ROW.format("seconds of a case", "", "ratio"))
    print(ROW.format("script, processor", f"{stock:.3f}", "1.0"))
    for step, seconds in steps.items():
        print(ROW.format(f"  of it {step}", f"{seconds:.3f}", ""))
    print(ROW.format("cvtbatch extract, processor", f"{ours:.3f}", f"{stock / ours:.1f}"))
    for stage in cost.stages:
        print(ROW.format(f"  {stage.stage}, by the clock", f"{stage.seconds / len(found):.3f}", ""))
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
