"""How soon a run ends: `python -m tests.benchmarks.benchmark_interrupt [--times 20] [--seed 1] [--twice]`.

A run over an archive of scanner's size, on two workers, is interrupted at random moments of its life, from its first second on,
and begun anew; with `--twice`, a second signal follows a tenth of a second later. Printed is how long the process took to end,
its workers included.
"""

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from cvtbatch.pipelines.archive.synthesize import write_archive

CASES = 40
# A run of this archive lasts some twenty seconds.
LONGEST_SECONDS = 18.0
SECOND_SIGNAL_SECONDS = 0.1


def seconds_to_end(manifest: Path, store: Path, after_s: float, *, twice: bool) -> float:
    """Start a run, interrupt it after so many seconds, and return how long it then takes until no process is left."""
    command = [sys.executable, "-m", "cvtbatch", "extract", str(manifest), "--store", str(store), "--workers", "2"]
    driver = subprocess.Popen(
        [*command, "--set", "embedding.weights=none"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after_s)
    workers = psutil.Process(driver.pid).children(recursive=True)
    began = time.monotonic()
    driver.send_signal(signal.SIGINT)
    if twice:
        time.sleep(SECOND_SIGNAL_SECONDS)
        driver.send_signal(signal.SIGINT)
    if driver.wait() != 1:
        raise SystemExit(f"the run ended with {driver.returncode}, {after_s:.1f} s after its start")
    while any(map(is_alive, workers)):
        time.sleep(0.01)
    return time.monotonic() - began


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process has not ended; some wait for somebody who asks how."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--twice", action="store_true")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="cvtbatch-interrupt-") as folder:
        manifest = write_archive(Path(folder, "archive"), CASES, 1, 1, "full")
        took = []
        for number in range(arguments.times):
            moment = dice.uniform(1.0, LONGEST_SECONDS)
            took.append(seconds_to_end(manifest, Path(folder, f"store-{number}"), moment, twice=arguments.twice))
            print(f"interrupted after {moment:4.1f} s: ended {took[-1]:.2f} s later", flush=True)
    print(f"{len(took)} interrupts: median {statistics.median(took):.2f} s, longest {max(took):.2f} s")


if __name__ == "__main__":
    main()
