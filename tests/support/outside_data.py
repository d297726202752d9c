"""Data that came from elsewhere and is never committed: in the folder that CVTBATCH_DATA names, or fetched by `download`."""

import os
from pathlib import Path

import pytest

from cvtbatch.downloads import DATA_SETS, VARIABLE, data_folder, find_data_set


def outside(relative: str) -> Path:
    """Return a file or folder of the data that came from elsewhere; a file may be compressed, with `.gz` behind its name.

    Where the variable is set, what is missing fails the test that asks. Where it is not, data that were fetched are taken, and what
    was not fetched skips the test.
    """
    path = data_folder() / relative
    if not path.exists() and (packed := path.with_name(f"{path.name}.gz")).exists():
        path = packed
    if VARIABLE in os.environ:
        assert path.exists(), f"{VARIABLE} is set, but {relative} is not there"
        return path
    folder = path if path.is_dir() or not path.suffix else path.parent
    public = [name for name, data_set in DATA_SETS.items() if data_folder() / data_set.folder == folder]
    if not public:
        pytest.skip(f"needs {relative} of the folder that {VARIABLE} names, which is not set")
    if missing := [name for name in public if find_data_set(name) is None]:
        pytest.skip(f"needs {relative}: run `cvtbatch download {missing[0]}`")
    if not path.exists():
        pytest.skip(f"needs {relative} of the folder that {VARIABLE} names, which is no part of what is downloaded")
    return path
