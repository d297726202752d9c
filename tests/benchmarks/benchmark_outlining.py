"""How fast a head is segmented, beside blast-ct's patch algorithm in the same run: python -m tests.benchmarks.benchmark_outlining

The patch algorithm is that of the published network: patches of 110 voxels in, 30 out, at multiples of 30, those that hold a voxel
of the region; once with its denormal weights set to 0 and, on request, once as published. All take turns, so that a machine that
has other things to do slows them alike, and labels have to be equal. Seconds are the processor's, since others may use it as well.

With --head, the seconds of a whole head: an ellipsoid of a brain's size, for one model and for three.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cvtbatch.downloads import fetch_data_set
from cvtbatch.outlining.network import normalise
from cvtbatch.outlining.segmentation import Segmenter
from cvtbatch.outlining.weights import DATA_SET, Weights, load_weights
from tests.support.outlining_network import LiteralNetwork, patch_probabilities


@dataclass(frozen=True, slots=True)
class Head:
    hu: np.ndarray
    region: np.ndarray


def ellipsoid(radius_zyx_mm: tuple[float, float, float]) -> Head:
    """Return noise of a brain's HU in a skull, with a ball of blood, and the inside of the skull as region."""
    shape = tuple(int(2 * radius) + 40 for radius in radius_zyx_mm)
    place = np.indices(shape, dtype=np.float32)
    offset = [(axis - length / 2) / radius for axis, length, radius in zip(place, shape, radius_zyx_mm, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in offset))
    hu = np.where(distance < 1, 32, np.where(distance < 1.1, 1000, -1000))
    hu = np.where(sum((axis - 0.3) ** 2 for axis in offset) < 0.07, 65, hu)
    return Head(hu + np.random.default_rng(0).normal(0, 4, shape), distance < 1)


def processor_seconds(work: Callable[[], object], synchronise: Callable[[], None]) -> tuple[float, float]:
    """Return seconds of the processor and of the clock."""
    synchronise()
    processor, clock = time.process_time(), time.perf_counter()
    work()
    synchronise()
    return time.process_time() - processor, time.perf_counter() - clock


def published_tensors() -> dict[str, np.ndarray]:
    """Return the first model's tensors with their denormals."""
    state = torch.load(fetch_data_set(DATA_SET)["model_1.pt"], map_location="cpu", weights_only=True)
    return {name: values.numpy() for name, values in state.items()}


def compare(head: Head, weights: Weights, as_published: bool, repeats: int) -> None:
    """Print how much longer the patch algorithm takes for the same voxels."""
    member = dict(weights.members[0])
    segmenter = Segmenter(Weights((member,)), torch.device("cpu"), threads=1)
    volume = normalise(head.hu)
    patches = {"denormals set to 0": LiteralNetwork(member)}
    if as_published:
        patches["as published"] = LiteralNetwork(published_tensors())
    found: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ["dense", *patches]}
    for _ in range(repeats):
        for name in seconds:

            def work(name: str = name) -> None:
                if name == "dense":
                    found[name] = segmenter.segment(head.hu, head.region).labels()
                else:
                    found[name] = patch_probabilities(patches[name], volume, head.region).argmax(axis=0)

            seconds[name].append(processor_seconds(work, lambda: None)[0])
    print(
        f"{head.region.sum()} voxels, one model, one thread; labels {np.bincount(found['dense'][head.region], minlength=5)}"
    )
    for name, took in seconds.items():
        other = int((found[name] != found["dense"])[head.region].sum())
        ratio = min(took) / min(seconds["dense"])
        print(f"  {name:<20} {min(took):8.2f} processor seconds  {ratio:6.2f} times dense's  {other} labels differ")


def whole_head(weights: Weights) -> None:
    """Print what a whole head costs."""
    head = ellipsoid((57.0, 78.0, 62.0))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for count in (1, 3):
        segmenter = Segmenter(Weights(weights.members[:count]), device, threads=1)
        if device.type == "cuda":
            segmenter.segment(head.hu, head.region)
        processor, clock = processor_seconds(lambda: segmenter.segment(head.hu, head.region), synchronise)  # noqa: B023
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{head.region.sum()} voxels, {count} models on {device}: {processor:.1f} processor seconds, {clock:.2f} s, "
            f"{3600 / clock:.0f} heads/h, at most {memory:.2f} GiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--radius", type=float, default=30, help="of the ball that is compared, in mm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--as-published", action="store_true", help="also with denormal weights")
    parser.add_argument("--head", action="store_true", help="also a whole head")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    weights = load_weights()
    compare(ellipsoid((options.radius,) * 3), weights, options.as_published, options.repeats)
    if options.head:
        whole_head(weights)


if __name__ == "__main__":
    main()
