"""What passes before the first case: `python -m tests.benchmarks.benchmark_start [--times 5] [--cold] [--without-compilation]`.

Printed, each in seconds by the clock and of a processor, the least of some tries: `cvtbatch --help`, `status` of a store of four
cases, a worker process until it has loaded all that a case takes, in parts, and the first compilation for a user. With `--cold`,
the system's page cache lets go of the files of this installation before each try of the first two.

Workers import this file again, as they do a user's script: what it needs is imported late.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "cvtbatch"]


def let_go(*folders: Path) -> None:
    """Have the system forget what it keeps of the files below folders; what a process has mapped, stays."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def run(command: list[str], **environment: str) -> tuple[float, float]:
    """Return the seconds of a process, by the clock and of a processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=os.environ | environment)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def load_a_case() -> list[float]:
    """Load what a case takes, in a worker; returns its processor's seconds until it was up, for its modules, and for its loops.

    Loops are loaded as they are called: what a head of a few voxels takes the first time, and not the second.
    """
    seconds = [time.process_time()]
    import cvtbatch.pipelines.extraction.case_worker  # noqa: F401

    seconds.append(time.process_time())
    from cvtbatch.pipelines.shared.compile_ahead import compile_ahead

    for _ in range(2):
        compile_ahead()
        seconds.append(time.process_time())
    up, modules, first, second = seconds
    return [up, modules - up, (first - modules) - (second - first)]


def start_a_worker() -> tuple[float, list[float]]:
    """Return the seconds until a worker has loaded what a case takes, by the clock, and what `load_a_case` returns."""
    from cvtbatch.engine import open_cluster

    began = time.perf_counter()
    with open_cluster(1) as cluster:
        assert cluster.client is not None
        spent: list[float] = cluster.client.submit(load_a_case, pure=False).result()
        return time.perf_counter() - began, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--without-compilation", action="store_true")
    arguments = parser.parse_args()

    def least(measure: Callable[[], tuple[float, float]]) -> str:
        tries = []
        for _ in range(arguments.times):
            if arguments.cold:
                let_go(Path(sys.prefix), ROOT / "cvtbatch")
            tries.append(measure())
        return f"{min(clock for clock, _ in tries):.2f} s, {min(spent for _, spent in tries):.2f} of a processor"

    from cvtbatch.pipelines.archive.synthesize import write_archive

    with tempfile.TemporaryDirectory() as folder:
        store, kept = Path(folder) / "store", Path(folder) / "compiled"
        manifest = write_archive(Path(folder) / "archive", 4, 1, 1, "small")
        extract = [*COMMAND, "extract", str(manifest), "--store", str(store), "--workers", "0"]
        run([*extract, "--set", "embedding.weights=none", "--json"])
        print(f"cvtbatch --help: {least(lambda: run([*COMMAND, '--help']))}")
        print(f"cvtbatch status: {least(lambda: run([*COMMAND, 'status', '--store', str(store)]))}")
        starts = [start_a_worker() for _ in range(arguments.times)]
        up, modules, loops = (min(spent[part] for _, spent in starts) for part in range(3))
        whole = min(sum(spent) for _, spent in starts)
        print(
            f"a worker: {min(clock for clock, _ in starts):.2f} s, {whole:.2f} of a processor: "
            f"{up:.2f} until it is up, {modules:.2f} for modules, {loops:.2f} for loops"
        )
        if not arguments.without_compilation:
            compile_ahead = [sys.executable, "-m", "cvtbatch.pipelines.shared.compile_ahead"]
            clock, spent = run(compile_ahead, NUMBA_CACHE_DIR=str(kept))
            print(f"the first compilation: {clock:.1f} s, {spent:.1f} of a processor")


if __name__ == "__main__":
    main()
