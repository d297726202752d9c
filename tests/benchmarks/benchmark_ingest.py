"""Ingest beside SimpleITK: `python -m tests.benchmarks.benchmark_ingest [--repeat N]`. One process, one thread.

Resampling: 512 x 512 x 64 voxels of 0.488 x 0.488 x 2.5 mm to 0.5 x 0.5 x 5 mm, `resample_volume` beside SimpleITK's
`sitkBSpline` in float, values compared first. Walk: read, resample and zarr write of a series of 64 uncompressed DICOM files,
beside SimpleITK's series reader, the same resampling and the same write. The two take turns, so that a busy machine slows both;
best of N. Writing to a store asks the disk to have it (fsync).
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.geometry import Grid, stored_grid
from cvtbatch.imaging import resample_stack, resample_volume
from cvtbatch.imaging.quality import measure_series
from cvtbatch.imaging.resampling import stack_of, to_image
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.manifest import Case
from cvtbatch.store import FeatureStore
from tests.benchmarks.benchmark_radiomics import head_with_bleed, peak_mb

SPACING_MM = (0.5, 0.5, 5.0)
SOURCE = Grid((512, 512, 64), (0.488, 0.488, 2.5), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
ROW = "{:<44}{:>10}{:>10}"


def head() -> sitk.Image:
    """A head of noise, brain, skull and air on the source grid."""
    whole = sitk.GetArrayFromImage(head_with_bleed(30.0)[0])
    hu = np.pad(np.repeat(whole, 2, axis=0), ((0, 0), (6, 6), (6, 6)), constant_values=-1000)
    return to_image(hu.astype(np.int16), SOURCE)


def in_turns(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Best time of each work, in seconds; they take turns."""
    best = dict.fromkeys(works, np.inf)
    for _ in range(repeat):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def itk_resampled(image: sitk.Image) -> sitk.Image:
    """SimpleITK's B-spline in float."""
    size = stored_grid(stack_of(image), SPACING_MM).size_xyz
    frame = (sitk.Transform(), sitk.sitkBSpline, image.GetOrigin(), SPACING_MM, image.GetDirection(), -1024.0)
    return sitk.Resample(sitk.Cast(image, sitk.sitkFloat32), size, *frame)


def print_rows(took: dict[str, float], reference: str) -> None:
    """Print seconds, and how many times faster than the reference."""
    for name, seconds in took.items():
        print(ROW.format(name, f"{seconds:.3f}", f"{took[reference] / seconds:.1f}"))


def compare_resampling(image: sitk.Image, repeat: int) -> None:
    """Compare values, then times and memory."""
    expected = sitk.GetArrayFromImage(itk_resampled(image))
    worst = np.abs(sitk.GetArrayFromImage(resample_volume(sitk.Cast(image, sitk.sitkFloat32))) - expected).max()
    equal = (sitk.GetArrayFromImage(resample_volume(image)) == np.rint(expected)).mean()
    print(f"largest difference in float {worst:.1g} HU; equal when rounded {equal:.4%} of voxels")
    works = {
        "SimpleITK, sitkBSpline in float": lambda: itk_resampled(image),
        "cvtbatch": lambda: resample_volume(image),
    }
    print(ROW.format("resampling", "seconds", "ratio"))
    print_rows(in_turns(works, repeat), "SimpleITK, sitkBSpline in float")
    volume_mb = image.GetNumberOfPixels() * 4e-6
    print(f"peak memory of cvtbatch {peak_mb(lambda: resample_volume(image)) / volume_mb:.2f} float volumes")


def compare_walk(image: sitk.Image, repeat: int) -> None:
    """Compare the walk of a series from DICOM files to a zarr volume, and show where its time goes."""
    with tempfile.TemporaryDirectory() as folder:
        series, store = Path(folder) / "series", FeatureStore.open_for_writing(str(Path(folder) / "store"))
        stack = stack_of(image)
        write_series(series, sitk.GetArrayFromImage(image), stack, SeriesTags("head", "head", 0.0))
        case = Case("A", "1", str(series), "series", None, False, (), "{}", (), 1)
        grid = stored_grid(stack, SPACING_MM)

        def itk_read() -> sitk.Image:
            return sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)), sitk.sitkInt16)

        def itk_walk() -> None:
            store.write_volume(np.rint(sitk.GetArrayFromImage(itk_resampled(itk_read()))).astype(np.int16), grid)

        def walk() -> None:
            source = read_volume(case)
            store.write_volume(*resample_stack(source.hu_zyx, source.stack, SPACING_MM))

        source = read_volume(case)
        hu_zyx, _ = resample_stack(source.hu_zyx, source.stack, SPACING_MM)
        works = {
            "SimpleITK: read, resample; zarr write": itk_walk,
            "cvtbatch: read, resample, zarr write": walk,
            "  of it SimpleITK's reading": itk_read,
            "  of it reading": lambda: read_volume(case),
            "  of it resampling": lambda: resample_stack(source.hu_zyx, source.stack, SPACING_MM),
            "  of it writing": lambda: store.write_volume(hu_zyx, grid),
            "beside it: digest of the source": source.image_digest,
            "beside it: triage": lambda: measure_series(source.hu_zyx, source.stack),
        }
        print(ROW.format("64 DICOM files to a stored volume", "seconds", "ratio"))
        print_rows(in_turns(works, repeat), "SimpleITK: read, resample; zarr write")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, one thread")
    image = head()
    compare_resampling(image, repeat)
    compare_walk(image, repeat)


if __name__ == "__main__":
    main()
