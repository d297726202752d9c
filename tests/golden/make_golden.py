"""Write stock PyRadiomics' values of the golden ROIs: `python -m tests.golden.make_golden [CASE ...]`, a few minutes in all.

Needs PyRadiomics 3.0.1 and SciPy < 1.17. Each file keeps the values by profile, in the order of
`schemas/features_1834.txt`, a digest of the voxels, and the versions that computed them.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import os

for variable in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(variable, "1")

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cvtbatch.radiomics.reference import stock_features
from tests.golden.radiomics_cases import CASES, digest
from tests.support.parity import NAMES

FOLDER = Path(__file__).parent / "radiomics"


def main(chosen: list[str]) -> None:
    """Write one file a case."""
    packages = ("pyradiomics", "numpy", "scipy", "SimpleITK", "PyWavelets", "trimesh")
    made_with = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    FOLDER.mkdir(exist_ok=True)
    for name in chosen or list(CASES):
        case = CASES[name]
        pair = case.make()
        values = {key: stock_features(*pair, profile) for key, profile in case.profiles.items()}
        provenance = {"voxels_sha256": digest(pair), "made_with": made_with}
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            provenance=np.array(json.dumps(provenance)),
            **{key: np.array([found[feature] for feature in NAMES]) for key, found in values.items()},
        )
        print(name, "done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
