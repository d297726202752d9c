"""Write PyRadiomics' values of the golden parameter files: `python -m tests.golden.make_parameter_golden`, half a minute.

Needs PyRadiomics 3.0.1, which gets the file itself and the image with its own pixel type. An array holds the values of a file on an
ROI, in the order of the features' names; where PyRadiomics refuses the ROI or leaves an image type out, there is none.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvtbatch.radiomics.parameter_file import check_parameters
from tests.golden.parameter_file_cases import FILES, ROIS
from tests.golden.radiomics_cases import Pair, digest
from tests.support.parameter_files import stock_values

KEPT = Path(__file__).parent / "radiomics" / "parameter_files.npz"
PROVENANCE = "provenance"


def _stock(file: str, pair: Pair) -> NDArray[np.float64] | None:
    try:
        found = stock_values(FILES[file], *pair)
    except (ValueError, RuntimeError):
        return None
    feature_set = check_parameters(dict(FILES[file])).feature_set
    assert feature_set is not None
    names = feature_set.names()
    if len(found) < len(names):
        return None
    assert tuple(found) == names, file
    return np.array(list(found.values()))


def write() -> None:
    """Write the kept values."""
    packages = ("pyradiomics", "numpy", "scipy", "SimpleITK", "PyWavelets", "trimesh")
    made_with = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    values, digests = {}, {}
    for roi, make in ROIS.items():
        pair = make()
        digests[roi] = digest(pair)
        for file in FILES:
            found = _stock(file, pair)
            if found is not None:
                values[f"{file}.{roi}"] = found
        print(roi, "done", flush=True)
    provenance = json.dumps({"voxels_sha256": digests, "made_with": made_with})
    np.savez_compressed(KEPT, **{PROVENANCE: np.array(provenance), **values})


if __name__ == "__main__":
    write()
