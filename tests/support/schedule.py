"""Which test files start first: the longest, so that the processes of a run end together.

Files that wait (for a fault to be noticed, a process to start) are taken one after the other, beside two that compute: several of
them at once would leave cores without work.
"""

import math
import os
from functools import cache

import psutil

# Seconds that a file takes on two cores, where that is more than a few: of those that mostly wait, and of those that compute.
WAITING = {
    "tests/faults/test_outage.py": 160,
    "tests/faults/test_workers.py": 146,
    "tests/faults/test_network.py": 110,
    "tests/faults/test_kills.py": 100,
    "tests/faults/test_storage.py": 60,
    "tests/faults/test_torture.py": 50,
    "tests/distributed/test_slurm.py": 48,
    "tests/faults/test_interrupts.py": 45,
    "tests/faults/test_clock.py": 38,
    "tests/distributed/test_gpu_workers.py": 37,
    "tests/faults/test_writers.py": 32,
}
COMPUTING = {
    "tests/integration/test_add_center.py": 68,
    "tests/golden/test_processors.py": 65,
    "tests/integration/test_pages.py": 55,
    "tests/integration/test_s3.py": 50,
    "tests/integration/test_readers.py": 50,
    "tests/integration/test_outlines.py": 45,
    "tests/integration/test_embeddings.py": 40,
    "tests/integration/test_privacy.py": 40,
    "tests/integration/test_validate.py": 38,
    "tests/property/test_radiomics_parity.py": 37,
    "tests/unit/outlining/test_command.py": 32,
    "tests/unit/outlining/test_skull.py": 30,
    "tests/integration/test_model_commands.py": 30,
    "tests/integration/test_extract.py": 30,
    "tests/unit/dlrn/test_honesty.py": 30,
    "tests/integration/test_regions.py": 28,
    "tests/integration/test_networks_compared.py": 25,
    "tests/integration/test_finetune.py": 22,
    "tests/faults/test_flips.py": 21,
    "tests/packaging/test_wheel.py": 21,
    "tests/packaging/test_site.py": 20,
    "tests/integration/test_compare_models.py": 20,
    "tests/integration/test_fused_embeddings.py": 20,
    "tests/unit/store/test_erasure.py": 20,
    "tests/unit/dlrn/test_firth.py": 20,
    "tests/unit/ingest/test_acquisition_passes.py": 20,
    "tests/unit/store/test_upkeep.py": 18,
    "tests/integration/test_several_embeddings.py": 18,
    "tests/integration/test_report.py": 18,
    "tests/faults/test_damage.py": 18,
    "tests/unit/ingest/test_memory.py": 16,
    "tests/integration/test_scale.py": 15,
}


# A process of tests, with the processes that its tests start.
PROCESS_BYTES = 4e9


@cache
def _starts() -> dict[str, float]:
    """Return after how many seconds each of these files would start, if one lane were of those that wait and two of the others."""
    starts = {}
    for files, lanes in ((WAITING, 1), (COMPUTING, 2)):
        begins = 0.0
        for file, seconds in sorted(files.items(), key=lambda item: -item[1]):
            starts[file] = begins
            begins += seconds / lanes
    return starts


def longest_first(test: str) -> float:
    """Return what puts the tests of long files first; all others keep their order.

    Args:
        test: its id, FILE::NAME.
    """
    return _starts().get(test.partition("::")[0], math.inf)


def processes_of_run() -> int:
    """Return how many processes run tests: more than there are cores, since a third of their time is waiting for others."""
    if stated := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(stated)
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    by_memory = int(psutil.virtual_memory().total / PROCESS_BYTES)
    return max(1, min(cores + (cores + 1) // 2, by_memory))
