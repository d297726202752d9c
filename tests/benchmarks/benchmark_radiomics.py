"""Stock PyRadiomics and the fast engine side by side: `python -m tests.benchmarks.benchmark_radiomics [ML ...] [--repeat N]`.

One process, one thread, processor seconds; hematomas of 10, 30 and 90 ml in a head of 32 x 500 x 500 voxels. Parity is checked
first: a ratio of different values would mean nothing. Stock is timed twice, under the profile (ROI box + 10 voxels) and on the
whole volume (`preCrop: false`: other values, and what many users run). Needs PyRadiomics 3.0.1 and SciPy < 1.17.

`--peer-python PATH`, the Python of an environment that has Pictologics (0.9.0 needs Python 3.12), adds that engine on the same ROI
and box, by image: the original, three LoG and eight wavelet images, each in as many gray levels as ours. Its values are IBSI's, and
it computes no shape. Ours are timed on the same twelve images too, and there as in all of a profile with its checks and its shape.
The two take turns, each in a process that has compiled: as many runs of the peer as of each of ours. Of all turns the fastest run
of each counts: what disturbs a run only adds to it, and a slow stretch of the machine may meet one of the two alone. Lowest and
highest ratio within a turn, of the fastest runs of that turn, say how far it goes.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import ctypes
import json
import platform
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.radiomics import box as boxes
from cvtbatch.radiomics import filters
from cvtbatch.radiomics.discretisation import discretise
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.firstorder import first_order_features
from cvtbatch.radiomics.glcm import glcm_features
from cvtbatch.radiomics.glrlm_glszm_gldm import gldm_features, glrlm_features, glszm_features
from cvtbatch.radiomics.lbp import pattern_images
from cvtbatch.radiomics.ngtdm import ngtdm_features
from cvtbatch.radiomics.profiles import PROFILES
from cvtbatch.radiomics.reference import stock_features
from cvtbatch.radiomics.shape import shape_features
from cvtbatch.radiomics.texture_grid import lay_grid
from cvtbatch.radiomics.texture_matrices import fill_matrices
from tests.golden.radiomics_cases import ball, images, texture
from tests.support.parity import deviations

PROFILE = PROFILES["cvt-1834"]
PEER_IMAGES = ("Original", "LoG", "Wavelet")
# Of the peer and ours, one after the other.
TURNS = 7
SHAPE = (32, 500, 500)
ROW = "{:<34}{:>10}{:>10}{:>10}"


def head_with_bleed(ml: float, seed: int = 1) -> tuple[sitk.Image, sitk.Image]:
    """Return a head with a hematoma of about `ml`."""
    z, y, x = np.meshgrid(*[np.arange(n) - n / 2 for n in SHAPE], indexing="ij", sparse=True)
    radius2 = (x / 150) ** 2 + (y / 190) ** 2 + (z / 15) ** 2
    inside = ball(SHAPE, (15.0, 210.0, 230.0), ml, texture(seed + 1, SHAPE, 15)) & (radius2 < 0.8)
    hu = np.where(inside, 62, 34) + texture(seed, SHAPE, 4) // np.where(inside, 1, 2)
    hu += np.random.default_rng(seed).integers(-6, 7, SHAPE)
    hu = np.where(radius2 < 0.8, hu, np.where(radius2 < 1, 1100 + hu, -1000))
    return images(hu, inside)


def seconds(compute: Callable[[], object], repeat: int) -> float:
    """Processor seconds of the best of `repeat` runs."""
    best = np.inf
    for _ in range(repeat):
        start = time.process_time()
        compute()
        best = min(best, time.process_time() - start)
    return float(best)


def peak_mb(compute: Callable[[], object]) -> float:
    """Largest growth of the process's resident memory while `compute` runs, sampled every 2 ms (MB; Linux)."""
    ctypes.CDLL(None).malloc_trim(0)  # memory that earlier runs freed would hide the growth
    done, sizes = threading.Event(), []

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

    def sample() -> None:
        while not done.wait(0.002):
            sizes.append(resident())

    before, watcher = resident(), threading.Thread(target=sample)
    watcher.start()
    compute()
    done.set()
    watcher.join()
    return max(sizes, default=before) - before


def stages(ct: sitk.Image, mask: sitk.Image, repeat: int) -> dict[str, float]:
    """Seconds of each stage of the fast engine; LBP's are part of the filters' in a run."""
    own = PROFILE.calculation
    box = boxes.cut_box(ct, mask, PROFILE.preparation)
    grid = lay_grid(box, own)
    named = {name: values for of in PROFILE.image_types for name, values in filters.filter_images(box, of)}
    gray = [discretise(values, own) for values in named.values()]
    matrices = [fill_matrices(grid, levels, own.gldm_a) for levels in gray]
    both = list(zip(matrices, gray, strict=True))
    work: dict[str, Callable[[], object]] = {
        "box and checks": lambda: boxes.cut_box(ct, mask, PROFILE.preparation),
        "shape": lambda: shape_features(box),
        "LoG, wavelet, gradient, pointwise": lambda: list(_images_but_patterns(box)),
        "LBP-3D": lambda: pattern_images(box),
        "discretisation": lambda: [discretise(values, own) for values in named.values()],
        "matrices": lambda: [fill_matrices(grid, levels, own.gldm_a) for levels in gray],
        "first order": lambda: [
            first_order_features(values, levels.counts, 0.0, 1.25)
            for values, levels in zip(named.values(), gray, strict=True)
        ],
        "GLCM features": lambda: [
            glcm_features(found.glcm, levels.levels, own.symmetrical_glcm, None, PROFILE.features("glcm"))
            for found, levels in both
        ],
        "GLRLM, GLSZM, GLDM, NGTDM features": lambda: [
            (
                glrlm_features(found, levels.levels, grid.with_lines, None),
                glszm_features(found, levels.levels),
                gldm_features(found, levels.levels),
                ngtdm_features(found.ngtdm, levels.levels, levels.counts),
            )
            for found, levels in both
        ],
    }
    return {name: seconds(compute, repeat) for name, compute in work.items()}


def _images_but_patterns(box: boxes.RoiBox):
    for image_type in PROFILE.image_types:
        if image_type.name != "LBP3D":
            yield from filters.filter_images(box, image_type)


@contextmanager
def started_peer(ct: sitk.Image, mask: sitk.Image, python: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start Pictologics on the ROI in its own environment; yields it, and its images. See `pictologics_peer`."""
    box = boxes.cut_box(ct, mask, PROFILE.preparation)
    images = []
    for image_type in PROFILE.image_types:
        if image_type.name not in PEER_IMAGES:
            continue
        sigmas = iter(image_type.filtering.sigma_mm)
        for name, values in filters.filter_images(box, image_type):
            step: dict[str, object] | None = None
            if image_type.name == "LoG":
                step = {"type": "log", "sigma_mm": float(next(sigmas))}
            elif image_type.name == "Wavelet":
                step = {"type": "wavelet", "wavelet": image_type.filtering.wavelet, "decomposition": name[-3:]}
            images.append({"name": name, "filter": step, "bins": len(discretise(values, PROFILE.calculation).levels)})
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "roi.npz"
        hu, inside = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(mask)
        # As much of the volume as the profile gives to PyRadiomics.
        margin = PROFILE.preparation.pad_distance
        near = tuple(
            slice(max(int(axis.min()) - margin, 0), int(axis.max()) + margin + 1) for axis in np.nonzero(inside)
        )
        np.savez(archive, hu=hu[near], inside=inside[near], spacing_mm=ct.GetSpacing())
        script = Path(__file__).with_name("pictologics_peer.py")
        command = [str(python), str(script), str(archive), json.dumps(images)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
            yield peer, len(images)
            peer.stdin.close()
        if peer.returncode:
            raise SystemExit(peer.returncode)


def answer(peer: subprocess.Popen[str], asked: str = "") -> str:
    """Return the next line that the peer prints, after it was asked."""
    peer.stdin.write(asked)
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        raise SystemExit("the peer ended without an answer")
    return line


def compare_by_image(ml: float, peer_python: Path, repeat: int) -> None:
    """Print what an image takes: the peer's, ours on the same images, and on all of the profile; the module says how.

    To be called in a new process, as the peer is in one.
    """
    ct, mask = head_with_bleed(ml)
    compute_features(ct, mask, PROFILE)
    same = tuple(image_type for image_type in PROFILE.image_types if image_type.name in PEER_IMAGES)
    sets = {"fast, the same": replace(PROFILE, image_types=same), "fast, the profile's": PROFILE}
    counts = {name: sum(len(image_type.image_names()) for image_type in own.image_types) for name, own in sets.items()}
    peers: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in sets}
    with started_peer(ct, mask, peer_python) as (peer, images):
        about = json.loads(answer(peer))
        for _ in range(TURNS):
            peers.append(float(answer(peer, f"{repeat}\n")) / images)
            for name, own in sets.items():
                ours[name].append(seconds(partial(compute_features, ct, mask, own), repeat) / counts[name])
    print(ROW.format("an image", "ms", "features", "ratio"))
    name = f"Pictologics {about['version']}, {images}"
    print(ROW.format(name, f"{min(peers) * 1e3:.1f}", about["features"], "1.0"))
    for name, own in sets.items():
        turns, per_image = np.divide(peers, ours[name]), len(own.names()) // counts[name]
        row = ROW.format(
            f"{name} {counts[name]}", f"{min(ours[name]) * 1e3:.1f}", per_image, f"{min(peers) / min(ours[name]):.1f}"
        )
        print(f"{row}  (turns: {turns.min():.1f} to {turns.max():.1f})")


def compare(ml: float, repeat: int, peer_python: Path | None) -> None:
    """Check parity at one size, then print the table."""
    ct, mask = head_with_bleed(ml)
    voxels = int(sitk.GetArrayViewFromImage(mask).sum())
    print(f"\n{ml:g} ml, {voxels} ROI voxels")
    fast, stock = compute_features(ct, mask, PROFILE).values, stock_features(ct, mask, PROFILE)
    broken = deviations(fast, stock)
    worst = max(
        (abs(fast[name] - value) / (1e-9 * abs(value) + 1e-12) for name, value in stock.items() if not np.isnan(value)),
        default=0.0,
    )
    print(f"parity: {len(broken)} of {len(stock)} outside the contract; worst deviation {worst:.2g} of what it allows")
    if broken:
        raise SystemExit(f"no parity, no benchmark: {broken[:5]}")
    whole = replace(PROFILE, preparation=replace(PROFILE.preparation, pre_crop=False))
    rows = {
        "stock, whole volume": (lambda: stock_features(ct, mask, whole), 1),
        "stock, the profile": (lambda: stock_features(ct, mask, PROFILE), max(1, repeat // 2)),
        "fast, whole volume": (lambda: compute_features(ct, mask, whole), max(1, repeat // 2)),
        "fast, the profile": (lambda: compute_features(ct, mask, PROFILE), repeat),
    }
    took = {name: seconds(compute, count) for name, (compute, count) in rows.items()}
    print(ROW.format("", "seconds", "ratio", "peak MB"))
    for name, (compute, _) in rows.items():
        ratio = took["stock, the profile"] / took[name]
        print(ROW.format(name, f"{took[name]:.3f}", f"{ratio:.1f}", f"{peak_mb(compute):.0f}"))
    if peer_python is not None:
        process = get_context("spawn").Process(target=compare_by_image, args=(ml, peer_python, repeat))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
    print(ROW.format("stage of the fast engine", "ms", "", ""))
    for name, spent in stages(ct, mask, repeat).items():
        print(ROW.format(name, f"{spent * 1e3:.1f}", "", ""))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ml", type=float, nargs="*", default=[10.0, 30.0, 90.0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-python", type=Path, help="Python of an environment that has Pictologics")
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, one thread")
    for ml in arguments.ml:
        compare(ml, arguments.repeat, arguments.peer_python)


if __name__ == "__main__":
    main()
