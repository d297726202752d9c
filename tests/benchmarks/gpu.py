"""What a GPU does with hematomas, in one table that begins no row after seven minutes: python -m tests.benchmarks.gpu

Rates are of the bare forward pass, a batch that lies in the device's memory, and of everything from a store to the values; the last
column says how much of the bare rate is left, or how far values are from the CPU's, or why a row could not be measured. Rows are
printed as they are done, and what the time does not suffice for says so. Exit code 1: a row failed, or values are too far away.

    precision and batch   float32, TF32 and bfloat16, each in batches of three sizes, and compiled
    from a store          every precision; 4,096 slices of 512 outlines
    two processes         on one device, from the store, half of the outlines each
    out of memory         for real: other tensors leave too little room for the batch
    networks              of four kinds, values beside the CPU's
    outlines              of a whole head, one model and three (cvtbatch download blast-ct)

--device cpu --quick runs the same on a CPU with a small network, to see that it works; its rates say nothing.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch

from cvtbatch.embedding.architectures import DEFAULT, Architecture, find_architecture
from cvtbatch.embedding.backbone import Backbone
from cvtbatch.embedding.compute import Compute, Device, Precision
from cvtbatch.embedding.weights import random_weights
from cvtbatch.errors import CvtbatchError
from cvtbatch.pipelines.extraction import embedding_worker
from cvtbatch.pipelines.extraction.embedding_plan import CUDA_TASK_BATCHES, pack
from cvtbatch.pipelines.extraction.embedding_worker import EmbeddingTask, embed_rois
from cvtbatch.store import FeatureStore
from tests.benchmarks.benchmark_embedding import SLICES_PER_ROI, stored_rois, work_of_all_slices
from tests.benchmarks.benchmark_outlining import ellipsoid

PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
# Shares of the vector's norm by which values of a device may be away from the CPU's in float32.
ALLOWED = {"float32": 1e-5, "tf32": 1e-2, "bfloat16": 1e-2}
HEAD = "{:<30} {:<10} {:>6} {:>12} {:>10}  {}"
OUT_OF_TIME = "out of time"


@dataclass(frozen=True, slots=True)
class Trial:
    """What is measured, and how long at most.

    Attributes:
        batches: small, the device's own, and large.
        slices: of the store.
        bare_s: seconds of a bare rate.
        ends: when no further row is begun, by the monotonic clock.
    """

    device: Device
    network: Architecture
    others: tuple[str, ...]
    batches: tuple[int, int, int]
    slices: int
    bare_s: float
    radius_mm: tuple[float, float, float]
    ends: float

    @property
    def cuda(self) -> bool:
        """Whether there is a GPU in it."""
        return self.device == "cuda"

    def compute(self, precision: Precision = "float32", batch: int | None = None, compiled: bool = False) -> Compute:
        """Return how a row is computed."""
        return Compute(precision, self.device, batch or self.batches[1], compiled)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; what it has not is empty."""

    what: str
    precision: str = ""
    batch: int | str = ""
    rate: float | None = None
    memory_bytes: int | None = None
    told: str = ""

    def __str__(self) -> str:
        rate = "" if self.rate is None else f"{self.rate:,.1f}"
        memory = "" if self.memory_bytes is None else f"{self.memory_bytes / 2**30:.2f}"
        return HEAD.format(self.what, self.precision, self.batch, rate, memory, self.told).rstrip()


def synchronise(trial: Trial) -> None:
    if trial.cuda:
        torch.cuda.synchronize()


def peak(trial: Trial) -> int | None:
    """Return the most bytes of the device's memory that tensors took since the last call."""
    if not trial.cuda:
        return None
    most = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return most


def bare_rate(trial: Trial, backbone: Backbone) -> float:
    """Return slices a second of the forward pass alone."""
    given = torch.rand((backbone.batch, *gray_of(trial.network, 1).shape[1:]), device=trial.device)
    # Sets the arithmetic, and compiles.
    list(backbone.embed([given[:1].cpu().numpy()]))
    batches, started = 0, time.perf_counter()
    with torch.inference_mode():
        while time.perf_counter() - started < trial.bare_s:
            # The device is asked for several at once: whoever waits for each is told of the waiting.
            for _ in range(4 if trial.cuda else 1):
                backbone._forward(given)
                batches += 1
            synchronise(trial)
    return batches * backbone.batch / (time.perf_counter() - started)


def gray_of(network: Architecture, count: int) -> np.ndarray:
    """Return what a network takes, drawn."""
    taken = network.taken
    shape = (1, taken.depth, taken.side, taken.side) if taken.kind == "box" else (taken.side, taken.side)
    return np.random.default_rng(0).random((count, *shape), dtype=np.float32)


def precisions_and_batches(trial: Trial) -> Iterator[Callable[[], Row]]:
    """Yield the rows of bare rates."""

    def row(precision: Precision, batch: int, compiled: bool) -> Row:
        backbone = Backbone(random_weights(0, trial.network), trial.compute(precision, batch, compiled))
        rate = bare_rate(trial, backbone)
        halved = "" if backbone.batch == batch else f"batch halved to {backbone.batch}: out of memory"
        return Row("bare, compiled" if compiled else "bare", precision, batch, rate, peak(trial), halved)

    for precision in PRECISIONS:
        for batch in trial.batches:
            yield lambda precision=precision, batch=batch: row(precision, batch, compiled=False)
    for precision in PRECISIONS if trial.cuda else PRECISIONS[:1]:
        yield lambda precision=precision: row(precision, trial.batches[1], compiled=True)


def from_store(trial: Trial, url: str, precision: Precision, share: int = 1) -> float:
    """Return slices a second from a store to the values; the network is loaded beforehand.

    Args:
        share: of the outlines, one part of so many.
    """
    work = work_of_all_slices(url, trial.compute(precision), trial.network)
    [backbone] = embedding_worker._backbones(((work.weights, work.compute),))
    rois = stored_rois(FeatureStore(url), trial.slices // share)
    tasks = [EmbeddingTask((work,), task) for task in pack(rois, backbone.batch, CUDA_TASK_BATCHES * backbone.batch)]
    embed_rois(replace(tasks[0], rois=tasks[0].rois[:1]))
    synchronise(trial)
    started = time.perf_counter()
    for task in tasks:
        embed_rois(task)
    return SLICES_PER_ROI * len(rois) / (time.perf_counter() - started)


def from_store_rows(trial: Trial, url: str) -> Iterator[Callable[[], Row]]:
    """Yield the rows of rates from a store, each beside a bare rate that is measured next to it."""

    def row(precision: Precision) -> Row:
        bare = bare_rate(trial, Backbone(random_weights(0, trial.network), trial.compute(precision)))
        rate = from_store(trial, url, precision)
        told = f"{rate / bare:.0%} of the bare {bare:,.1f}"
        return Row(f"{trial.slices:,} slices of a store", precision, trial.batches[1], rate, peak(trial), told)

    for precision in PRECISIONS:
        yield lambda precision=precision: row(precision)


def half(trial: Trial, url: str, barrier: Barrier, rates: "multiprocessing.Queue[float]") -> None:
    """Embed half of the outlines in a process of its own, which waits for the other one once its network is loaded."""
    store = FeatureStore.open_for_writing(url)
    work = work_of_all_slices(store.location.url, trial.compute(), trial.network)
    embedding_worker._backbones(((work.weights, work.compute),))
    barrier.wait(120)
    rates.put(from_store(trial, store.location.url, "float32", share=2))


def two_processes(trial: Trial, folder: Path) -> Row:
    """Return the row of two processes on one device."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(2), context.Queue()
    processes = [context.Process(target=half, args=(trial, str(folder / f"of-{n}"), barrier, rates)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
        process.kill()
        process.join()
    if any(process.exitcode != 0 for process in processes):
        return Row("two processes, one device", "float32", trial.batches[1], told="failed: see above")
    each = [rates.get(timeout=5) for _ in processes]
    told = f"{each[0]:,.1f} and {each[1]:,.1f}"
    return Row("two processes, one device", "float32", trial.batches[1], sum(each), None, told)


def out_of_memory(trial: Trial) -> Row:
    """Return the row of a batch for which the device has too little room."""
    what, batch = "out of memory", trial.batches[2]
    if not trial.cuda:
        return Row(what, "float32", batch, told="not tried: no GPU")
    weights, gray = random_weights(0, trial.network), gray_of(trial.network, batch)
    backbone = Backbone(weights, trial.compute(batch=batch))
    list(backbone.embed([gray]))
    needed = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(max(free - needed // 3, 0), dtype=torch.uint8, device="cuda")
    crowded = Backbone(weights, trial.compute(batch=batch))
    found = np.concatenate(list(crowded.embed([gray])))
    del taken
    told = f"halved to {crowded.batch}, {away(found[:8], on_cpu(trial.network, gray[:8]), 'float32')}"
    return Row(what, "float32", batch, None, peak(trial), told)


def on_cpu(network: Architecture, gray: np.ndarray) -> np.ndarray:
    """Return the values that a CPU gives in float32."""
    compute = Compute("float32", "cpu", len(gray))
    return np.concatenate(list(Backbone(random_weights(0, network), compute).embed([gray])))


def away(found: np.ndarray, wanted: np.ndarray, precision: str) -> str:
    """Say how far values are from the CPU's, and whether that is allowed."""
    share = float((np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max())
    verdict = "within" if share <= ALLOWED[precision] else "BEYOND"
    return f"{share:.1e} from the CPU, {verdict} {ALLOWED[precision]:.0e}"


def networks(trial: Trial) -> Iterator[Callable[[], Row]]:
    """Yield the rows of values beside the CPU's: of the network in every precision, of others in float32."""

    def row(network: Architecture, precision: Precision) -> Row:
        gray = gray_of(network, 4)
        weights, compute = random_weights(0, network), replace(trial.compute(precision), batch=4)
        found = np.concatenate(list(Backbone(weights, compute).embed([gray])))
        return Row(network.name, precision, 4, None, peak(trial), away(found, on_cpu(network, gray), precision))

    for precision in PRECISIONS:
        yield lambda precision=precision: row(trial.network, precision)
    for name in trial.others:
        yield lambda name=name: row(find_architecture(name), "float32")


def outlines(trial: Trial) -> Iterator[Callable[[], Row]]:
    """Yield the rows of outlines of a head by blast-ct's networks, in heads an hour."""
    from cvtbatch.outlining.segmentation import Segmenter
    from cvtbatch.outlining.weights import Weights, load_weights

    def row(models: int) -> Row:
        weights, head = Weights(load_weights().members[:models]), ellipsoid(trial.radius_mm)
        segmenter = Segmenter(weights, torch.device(trial.device))
        with torch.inference_mode():
            if trial.cuda:
                segmenter.segment(head.hu, head.region)
            started = time.perf_counter()
            segmenter.segment(head.hu, head.region)
        took = time.perf_counter() - started
        what = f"outline, {models} model{'s' if models > 1 else ''}"
        return Row(what, "float32", "", None, peak(trial), f"{took:.2f} s a head, {3600 / took:,.0f} an hour")

    for models in (1, 3):
        yield lambda models=models: row(models)


def rows(trial: Trial, folder: Path) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield all rows, the most wanted first, each with what it is called if it cannot be measured."""
    url = FeatureStore.open_for_writing(str(folder / "store")).location.url
    yield from (("network", row) for row in networks(trial))
    yield from (("from a store", row) for row in from_store_rows(trial, url))
    yield "out of memory", lambda: out_of_memory(trial)
    yield from (("bare", row) for row in precisions_and_batches(trial))
    yield "two processes", lambda: two_processes(trial, folder)
    yield from (("outline", row) for row in outlines(trial))


def measured(what: str, row: Callable[[], Row], ends: float) -> Row:
    """Return a row, or one that says why there is none: what a device cannot do is an answer too."""
    if time.monotonic() > ends:
        return Row(what, told=OUT_OF_TIME)
    try:
        return row()
    except (CvtbatchError, RuntimeError, OSError) as error:
        return Row(what, told=f"failed: {type(error).__name__}: {str(error).splitlines()[0][:120]}")


def trial_of(arguments: argparse.Namespace) -> Trial:
    ends = time.monotonic() + arguments.seconds
    if arguments.quick:
        small = find_architecture("torchvision:mobilenet_v3_small")
        return Trial(arguments.device, small, ("torchvision:resnet18",), (1, 2, 4), 16, 0.2, (12.0, 12.0, 12.0), ends)
    others = ("torchvision:densenet121", "torchvision:vit_b_16", "torchvision:r3d_18")
    return Trial(arguments.device, DEFAULT, others, (64, 256, 1024), 4096, 3.0, (57.0, 78.0, 62.0), ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="a small network and few slices")
    parser.add_argument("--seconds", type=float, default=420.0, help="no row is begun after these")
    arguments = parser.parse_args()
    cuda = arguments.device == "cuda"
    if cuda and not torch.cuda.is_available():
        parser.exit(
            2, "PyTorch finds no CUDA device here: nothing was measured (--device cpu --quick tries the script)\n"
        )
    started = time.monotonic()
    device = (
        torch.cuda.get_device_name()
        if cuda
        else f"CPU, {torch.get_num_threads()} threads: its rates say nothing of a GPU"
    )
    print(f"{device}; torch {torch.__version__}")
    print(HEAD.format("what", "precision", "batch", "slices /s", "GiB", ""))
    trial = trial_of(arguments)
    with tempfile.TemporaryDirectory() as folder:
        told = []
        for what, row in rows(trial, Path(folder)):
            found = measured(what, row, trial.ends)
            print(found, flush=True)
            told.append(found.told)
    print(f"{time.monotonic() - started:.0f} s")
    if any(text.startswith("failed") or "BEYOND" in text for text in told):
        parser.exit(1)


if __name__ == "__main__":
    main()
