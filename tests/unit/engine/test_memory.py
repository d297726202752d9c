"""What a process keeps of what it frees, and what it may take."""

import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import psutil
import pytest

from cvtbatch.engine import memory

FAULTS = """
import json, resource
import numpy as np
from cvtbatch.engine.memory import KEPT_BYTES, LARGEST_KEPT_BYTES, _give_pages_back
from cvtbatch.kept_pages import keep_pages

def faults(blocks):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        held = [np.ones(3 << 20) for _ in range(blocks)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20

faults(4)
before = faults(4)
keep_pages(LARGEST_KEPT_BYTES, KEPT_BYTES)
faults(4)
kept = faults(4)
holds = held_mb()
_give_pages_back()
print(json.dumps([before, kept, holds - held_mb()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of another system is not told")
def test_a_worker_works_in_the_pages_of_the_item_before_and_gives_them_back_when_they_are_wanted() -> None:
    """Four arrays of 24 MB, freed and made again."""
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    before, kept, given_mb = json.loads(told)
    assert kept < before / 10
    assert given_mb >= 4 * 20


@pytest.mark.parametrize(("limit", "left_gb"), [("max", 64), (str(2 << 30), 2), ("9223372036854771712", 64)])
def test_a_process_may_take_what_its_control_group_may(
    limit: str, left_gb: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text(limit + "\n")
    monkeypatch.setattr(memory, "_GROUP_LIMITS", (tmp_path / "memory.max", tmp_path / "of the other version"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: mock.Mock(available=64 << 30))
    held = psutil.Process().memory_info().rss
    assert memory.memory_left_bytes() == pytest.approx((left_gb << 30) - (held if left_gb == 2 else 0), abs=64 << 20)
