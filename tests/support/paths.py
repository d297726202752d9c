"""Where the checkout and the data of its tests lie."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
# A PyRadiomics parameter file of a few features.
FEATURE_SET = DATA / "feature_set.yaml"
