"""What commands keep of memory that was freed."""

import json
import subprocess
import sys

import pytest

FAULTS = """
import json, resource, sys
from contextlib import suppress
import numpy as np
from cvtbatch.cli import main

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        held = [np.ones(3 << 17) for _ in range(8)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
sys.argv = ["cvtbatch", "status", "--store", "none"]
with suppress(SystemExit):
    main()
faults()
print(json.dumps([before, faults()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of another system is not told")
def test_a_command_works_in_the_pages_that_it_had_before() -> None:
    """Eight arrays of 3 MB, freed and made again."""
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    before, kept = json.loads(told)
    assert kept < before / 10
