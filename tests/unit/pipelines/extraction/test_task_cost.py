import subprocess
import sys
import time

import pytest

from cvtbatch.pipelines.extraction.task_cost import Meter

MB = 1 << 20


def test_a_stage_within_another_counts_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 13.0, 15.0, 20.0, 30.0, 31.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    meter = Meter()
    with meter.stage("mask"), meter.stage("read"):
        pass
    with pytest.raises(ValueError, match="unreadable"), meter.stage("mask"):
        raise ValueError("unreadable")
    assert meter.cost().seconds == {"mask": 10.0 - 2.0 + 1.0, "read": 2.0}


# In a process of its own: one that ran other tests gives memory back while this one measures.
PEAKS = """
import mmap
import numpy as np
from cvtbatch.pipelines.extraction.task_cost import Meter

def touch(size):
    with mmap.mmap(-1, size) as pages:
        np.frombuffer(pages, np.uint8)[:] = 1

touch(300 << 20)
meter = Meter()
idle = meter.cost().peak_memory_bytes
touch(100 << 20)
print(idle, meter.cost().peak_memory_bytes, Meter().cost().peak_memory_bytes)
"""


def test_the_peak_of_a_task_is_its_own() -> None:
    """Not that of the task before, which held three times as much."""
    output = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True).stdout
    idle, peak, after = map(int, output.split())
    assert 95 * MB < peak - idle < 150 * MB
    assert after < peak - 50 * MB
