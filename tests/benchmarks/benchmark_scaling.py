"""Two worker processes beside one: `python -m tests.benchmarks.benchmark_scaling [--cases 40] [--pairs 3] [--embeddings]`.

An archive is extracted by a process with one worker and by one with two, in turn, several times, so that a busy machine slows
both. Each process extracts it twice, into stores of their own: with workers that have just been started, which load and
compile what they need on the way (`cold`), and once more with the same workers (`warm`). `whole` is the life of the process
until the end of the cold run. Efficiency is t1 / (2 t2); every pair is shown, the median counts.

What the processes computed stands beside it: where CPU seconds a case grow from one worker to two, they are in each other's way
(caches, memory, more threads than cores); what the driver computes on the same cores is lost to the workers.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cvtbatch.engine import open_cluster
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.archive.synthesize import write_archive
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job

KINDS = ("whole", "cold", "warm")
ROW = "{:<9}{:>9}{:>9}{:>9}{:>13}{:>16}{:>12}"


def measure(manifest: Path, workers: int, weights: str, folder: Path) -> dict[str, float]:
    """Extract twice with the same workers, and return seconds and CPU seconds."""
    cases = read_manifest(manifest)
    job = read_job("extract", None, [f"embedding.weights={weights}"])
    took: dict[str, float] = {}
    with open_cluster(workers) as cluster:
        for name in ("cold", "warm"):
            settings = resolve(job, str(folder / f"{name}-{workers}"))
            computed = time.process_time()
            began = time.perf_counter()
            report = extract(cases, settings, cluster, Options())
            took[name] = time.perf_counter() - began
            if report.computed != len(cases):
                raise SystemExit(f"{report.computed} of {len(cases)} cases were computed")
            took["driver_cpu"] = time.process_time() - computed
            took["task_cpu"] = (report.cost.cpu_hours_per_1000_cases or 0.0) * 3.6
            if name == "cold":
                took["cold_end"] = time.time()
    return took


def measured(manifest: Path, workers: int, weights: str) -> dict[str, float]:
    """Do so in a process of its own, timed from its start."""
    with tempfile.TemporaryDirectory(prefix="cvtbatch-scaling-") as folder:
        command = [sys.executable, "-m", "tests.benchmarks.benchmark_scaling", "--measure", folder]
        command += ["--manifest", str(manifest), "--workers", str(workers), "--weights", weights]
        began = time.time()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    took: dict[str, float] = json.loads(output.splitlines()[-1])
    return {**took, "whole": took["cold_end"] - began}


def compare(manifest: Path, pairs: int, weights: str) -> None:
    """Print what one worker and two take, and how well the second one is used."""
    cases = len(read_manifest(manifest))
    print(f"{cases} cases, embeddings {weights}, efficiency t1 / (2 t2) over {pairs} pairs")
    print(ROW.format("workers", *(f"{kind} s" for kind in KINDS), "warm cases/s", "task CPU s/case", "driver CPU"))
    efficiency: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(pairs):
        # Who goes first changes, for what is left in the caches of the machine.
        order = (1, 2) if number % 2 == 0 else (2, 1)
        took = {workers: measured(manifest, workers, weights) for workers in order}
        for workers in (1, 2):
            of = took[workers]
            seconds = [f"{of[kind]:.2f}" for kind in KINDS]
            share = f"{of['driver_cpu'] / of['warm']:.0%}"
            print(ROW.format(workers, *seconds, f"{cases / of['warm']:.2f}", f"{of['task_cpu']:.3f}", share))
        for kind in KINDS:
            efficiency[kind].append(took[1][kind] / (2 * took[2][kind]))
    for kind in KINDS:
        each = ", ".join(f"{value:.3f}" for value in efficiency[kind])
        print(f"efficiency {kind:<6} {statistics.median(efficiency[kind]):.3f}   ({each})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--embeddings", action="store_true", help="with untrained weights")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--manifest", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.manifest, arguments.workers, arguments.weights, arguments.measure)))
        return
    with tempfile.TemporaryDirectory(prefix="cvtbatch-scaling-") as folder:
        manifest = write_archive(Path(folder, "archive"), arguments.cases, 1, 1, arguments.size)
        compare(manifest, arguments.pairs, "random:0" if arguments.embeddings else "none")


if __name__ == "__main__":
    main()
