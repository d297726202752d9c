"""Run by the Python of an environment with the extra `stock`: its PyRadiomics gives the values that 3.0.1 gave.

Needs the folder that holds `tests/golden` on PYTHONPATH, and no other part of the checkout.
"""

import json
from importlib import metadata
from pathlib import Path

import numpy as np

import cvtbatch
from cvtbatch import contracts
from cvtbatch.radiomics.audit import deviation
from cvtbatch.radiomics.reference import stock_features
from tests.golden import radiomics_cases

# Both profiles are among them.
NAMES = ("clip", "flat")


def check(name: str) -> int:
    """Compute an ROI anew, hold it to its kept values, and return how many these are."""
    case = radiomics_cases.CASES[name]
    pair, features = case.make(), contracts.feature_names()
    with np.load(Path(radiomics_cases.__file__).parent / "radiomics" / f"{name}.npz") as golden:
        assert radiomics_cases.digest(pair) == json.loads(str(golden["provenance"]))["voxels_sha256"], name
        kept = {profile: dict(zip(features, golden[profile].tolist(), strict=True)) for profile in case.profiles}
    for profile, feature_set in case.profiles.items():
        found = stock_features(*pair, feature_set)
        for feature in set(features).difference(contracts.processor_bound_features()):
            assert deviation(found[feature], kept[profile][feature]) <= 1, (name, profile, feature)
    return len(features) * len(case.profiles)


if __name__ == "__main__":
    assert not (Path(cvtbatch.__file__).parents[1] / "tests").exists()
    values = sum(check(name) for name in NAMES)
    build = f"pyradiomics-bhklab {metadata.version('pyradiomics-bhklab')}"
    print(f"{values:,} values of {len(NAMES)} ROIs by {build} are those of PyRadiomics 3.0.1")
