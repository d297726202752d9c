"""How fast slices become embeddings, beside the bare forward pass in the same run: python -m tests.benchmarks.benchmark_embedding

The pipeline's rate covers everything between a store and the values: reading masks and slices, window, resize, batches, the copy to
the device and back. The bare rate is the same network over a batch that lies on the device. They take turns, task by task, so
that a machine that has other things to do slows both. On CUDA, batch sizes, precisions and compilation are gone through. On a CPU
processor seconds are counted, which others do not move, and the bare pass is the best of three layouts: channels last, as the
pipeline has it; contiguous; and with every BatchNorm in the convolution before it, which moves the last bits. At the end, outlines
of which all slices are embedded take turns with those of which the largest is, and two networks in one run with the same two one
after the other.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.fx.experimental.optimization import fuse

from cvtbatch.embedding.architectures import DEFAULT, Architecture, find_architecture
from cvtbatch.embedding.backbone import Backbone, Network
from cvtbatch.embedding.compute import CPU_BATCH, Compute
from cvtbatch.embedding.device import choose_device
from cvtbatch.embedding.inputs import SIDE
from cvtbatch.embedding.preprocessing import Preprocessing
from cvtbatch.embedding.weights import random_weights
from cvtbatch.geometry import Grid
from cvtbatch.manifest import RoiSource
from cvtbatch.pipelines.extraction import embedding_worker
from cvtbatch.pipelines.extraction.embedding_plan import (
    CPU_TASK_BATCHES,
    CUDA_TASK_BATCHES,
    EmbeddingWork,
    RoiInput,
    WeightsRef,
    pack,
)
from cvtbatch.pipelines.extraction.embedding_worker import EmbeddingTask, embed_rois
from cvtbatch.store import FeatureStore

SLICES_PER_ROI = 8


def stored_rois(store: FeatureStore, slices: int) -> list[RoiInput]:
    """Write one head of scanner size with a hematoma, and name it as often as it takes to have so many slices."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (32, 460, 460)), indexing="ij")
    hu = np.where(x**2 + y**2 + z**2 < 0.9, 34, -1000) + rng.normal(0, 5, z.shape)
    mask = ((x - 0.3) ** 2 + y**2 < 0.02) & (np.abs(np.arange(32) - 16)[:, None, None] <= SLICES_PER_ROI // 2)
    mask[16 + SLICES_PER_ROI // 2] = False
    grid = Grid((460, 460, 32), (0.5, 0.5, 5.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    volume = store.write_volume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), grid)
    outline = store.write_mask(mask.astype(np.uint8), grid)
    source = RoiSource("A/1/hematoma/A/1", "hematoma", "A", 1, None, "", None, None, 1)
    roi = RoiInput(
        case_key="A/1",
        center="A",
        case_id="1",
        case_row=1,
        source=source,
        input_digest="",
        volume=volume,
        mask=outline,
        spacing_mm=(0.5, 0.5, 5.0),
        parts={"emb": "all", "other": "all"},
        slices=SLICES_PER_ROI,
        fingerprint="",
        failed_before=frozenset(),
    )
    return [roi] * (slices // SLICES_PER_ROI)


def seconds(function: Callable[[], object]) -> float:
    """Return what a call takes: on CUDA wall time, on a CPU that of its processors."""
    if not torch.cuda.is_available():
        started = time.process_time()
        function()
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def work_of_all_slices(
    url: str, compute: Compute, architecture: Architecture = DEFAULT, spec_id: str = "emb"
) -> EmbeddingWork:
    """Return what a run does to every outline, with random weights."""
    weights = random_weights(0, architecture)
    ref = WeightsRef(weights.source, weights.sha256, architecture, url)
    return EmbeddingWork(spec_id, "vol", Preprocessing(taken=architecture.taken), ref, True, compute, "all")


def bare_passes(backbone: Backbone, cuda: bool) -> dict[str, torch.nn.Module]:
    """Return what the pipeline's forward pass is compared with, by name; on a CPU the same network in other layouts."""
    if cuda:
        return {"as it is": backbone._forward}
    contiguous, fused = (Network(random_weights(0)).eval().requires_grad_(False) for _ in range(2))
    contiguous.body.to(memory_format=torch.contiguous_format)
    contiguous.layout = torch.contiguous_format
    fused.body = fuse(fused.body).to(memory_format=torch.channels_last)
    return {"channels last": backbone._forward, "contiguous": contiguous, "BatchNorm fused": fused}


def compare(url: str, rois: list[RoiInput], compute: Compute, repeats: int) -> tuple[float, dict[str, float]]:
    """Return slices a second of the pipeline, and of bare forward passes by name."""
    work = work_of_all_slices(url, compute)
    embedding_worker._backbones.cache_clear()
    [backbone] = embedding_worker._backbones(((work.weights, compute),))
    cuda = backbone.device != "cpu"
    longest = (CUDA_TASK_BATCHES if cuda else CPU_TASK_BATCHES) * backbone.batch
    tasks = [EmbeddingTask((work,), task) for task in pack(rois, backbone.batch, longest)]
    given = torch.rand((backbone.batch, SIDE, SIDE), device=choose_device(compute.device, "embedding.device"))

    passes = bare_passes(backbone, cuda)

    def bare(forward: torch.nn.Module, batches: int) -> None:
        with torch.inference_mode():
            for _ in range(batches):
                forward(given)

    # What is compiled, chosen and allocated once is no part of a rate; the arithmetic is set by the first of them.
    embed_rois(replace(tasks[0], rois=tasks[0].rois[:1]))
    for forward in passes.values():
        bare(forward, 1)
    through, alone = 0.0, dict.fromkeys(passes, 0.0)
    slices = forwards = 0
    for task in tasks * repeats:
        held = SLICES_PER_ROI * len(task.rois)
        batches = -(-held // backbone.batch)
        through += seconds(lambda task=task: embed_rois(task))
        for name, forward in passes.items():
            alone[name] += seconds(lambda forward=forward, batches=batches: bare(forward, batches))
        slices, forwards = slices + held, forwards + batches
    return slices / through, {name: forwards * backbone.batch / spent for name, spent in alone.items()}


def compare_parts(url: str, rois: list[RoiInput], compute: Compute, repeats: int) -> tuple[float, float]:
    """Return outlines a second of which all slices are embedded, and of which the largest slice alone is."""
    work = work_of_all_slices(url, compute)
    of_all = EmbeddingTask((work,), tuple(rois))
    of_largest = EmbeddingTask((work,), tuple(replace(roi, parts={"emb": "largest"}, slices=1) for roi in rois))
    whole = largest = 0.0
    for _ in range(repeats):
        whole += seconds(lambda: embed_rois(of_all))
        largest += seconds(lambda: embed_rois(of_largest))
    return repeats * len(rois) / whole, repeats * len(rois) / largest


def compare_together(url: str, rois: list[RoiInput], compute: Compute, repeats: int) -> tuple[float, float]:
    """Return outlines a second of two small networks in one task, and in a task each."""
    works = tuple(
        work_of_all_slices(url, compute, find_architecture(f"torchvision:{network}"), spec_id)
        for network, spec_id in (("mobilenet_v3_small", "emb"), ("mobilenet_v3_large", "other"))
    )
    backbones = {work.embedding_spec_id: embedding_worker._backbones(((work.weights, compute),)) for work in works}
    together = tuple(itertools.chain.from_iterable(backbones.values()))
    whole = each = 0.0
    # Networks are loaded once a run, and here beforehand.
    with mock.patch.object(embedding_worker, "_backbones") as loaded:
        for _ in range(repeats):
            loaded.return_value = together
            whole += seconds(lambda: embed_rois(EmbeddingTask(works, tuple(rois))))
            for work in works:
                loaded.return_value = backbones[work.embedding_spec_id]
                each += seconds(lambda work=work: embed_rois(EmbeddingTask((work,), tuple(rois))))
    return repeats * len(rois) / whole, repeats * len(rois) / each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, help="slices a turn  [default: 4096 on CUDA, 64 on a CPU]")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU")
    arguments = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"CPU, {arguments.threads or torch.get_num_threads()} threads"
    print(f"{device}, torch {torch.__version__}")
    print(f"{'batch':>6} {'precision':>9} {'compiled':>8} {'pipeline /s':>12} {'best bare /s':>13} {'share':>6}")
    batches, precisions = ((64, 256, 1024), ("float32", "tf32", "bfloat16")) if cuda else ((CPU_BATCH,), ("float32",))
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.open_for_writing(str(Path(folder) / "store"))
        rois = stored_rois(store, arguments.slices or (4096 if cuda else 64))
        for precision, batch, compiled in itertools.product(precisions, batches, (False, True) if cuda else (False,)):
            compute = Compute(precision, "auto", batch, compiled, arguments.threads)
            through, passes = compare(store.location.url, rois, compute, arguments.repeats)
            best = max(passes, key=passes.__getitem__)
            told = ", ".join(f"{name} {rate:.2f}" for name, rate in passes.items())
            print(
                f"{batch:6} {precision:>9} {'yes' if compiled else 'no':>8} {through:12.2f} {passes[best]:13.2f} "
                f"{through / passes[best]:6.1%}  ({told})",
                flush=True,
            )
        whole, largest = compare_parts(store.location.url, rois, Compute(threads=arguments.threads), arguments.repeats)
        print(
            f"outlines of {SLICES_PER_ROI} slices: {whole:.2f} /s; their largest slices alone: {largest:.2f} /s, "
            f"{largest / whole:.1f} times as many"
        )
        both, each = compare_together(store.location.url, rois, Compute(threads=arguments.threads), arguments.repeats)
        print(f"two small networks: {both:.2f} outlines /s together, {each:.2f} one after the other")


if __name__ == "__main__":
    main()
