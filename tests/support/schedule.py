"""Which test files start first: the longest, so that the processes of a run end together.

Files that wait (for a fault to be noticed, a process to start) come before those that compute, which fill the gaps.
"""

import os

import psutil

# Seconds that a file takes on two cores, where that is more than a few.
SECONDS = {
    "tests/faults/test_workers.py": 139,
    "tests/faults/test_outage.py": 122,
    "tests/faults/test_torture.py": 90,
    "tests/faults/test_network.py": 84,
    "tests/faults/test_kills.py": 70,
    "tests/distributed/test_slurm.py": 48,
    "tests/faults/test_interrupts.py": 45,
    "tests/faults/test_clock.py": 38,
    "tests/distributed/test_gpu_workers.py": 37,
    "tests/property/test_radiomics_parity.py": 37,
    "tests/faults/test_writers.py": 32,
    "tests/unit/dlrn/test_honesty.py": 30,
    "tests/golden/test_processors.py": 28,
    "tests/faults/test_storage.py": 28,
    "tests/integration/test_pages.py": 27,
    "tests/integration/test_s3.py": 25,
    "tests/integration/test_embeddings.py": 25,
    "tests/faults/test_flips.py": 21,
    "tests/packaging/test_wheel.py": 21,
    "tests/unit/store/test_upkeep.py": 20,
    "tests/integration/test_add_center.py": 20,
    "tests/integration/test_versions.py": 18,
    "tests/integration/test_validate.py": 16,
    "tests/unit/ingest/test_memory.py": 16,
    "tests/integration/test_scale.py": 13,
}


# A process of tests, with the processes that its tests start.
PROCESS_BYTES = 4e9


def longest_first(test: str) -> int:
    """Return what puts the tests of long files first; all others keep their order.

    Args:
        test: its id, FILE::NAME.
    """
    return -SECONDS.get(test.partition("::")[0], 0)


def processes_of_run() -> int:
    """Return how many processes run tests: more than there are cores, since a third of their time is waiting for others."""
    if stated := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(stated)
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    by_memory = int(psutil.virtual_memory().total / PROCESS_BYTES)
    return max(1, min(cores + (cores + 1) // 2, by_memory))
