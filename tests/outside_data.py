"""Data that came from elsewhere and is never committed: taken from the folder that CVTBATCH_DATA names."""

import os
from pathlib import Path

import pytest

VARIABLE = "CVTBATCH_DATA"


def outside(relative: str) -> Path:
    """Return a file or folder of the data that came from elsewhere.

    Where the variable is not set, the test that asks is skipped; where it is set, what is missing fails it.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"needs {relative} of the folder that {VARIABLE} names, which is not set")
    path = Path(folder) / relative
    assert path.exists(), f"{VARIABLE} is set, but {relative} is not there"
    return path
