"""Writes the bundle that later revisions must score as this one does: `python -m tests.compat.make_bundle`.

Only for a new format version, in a folder of its own: what was written once stays.
"""

from tests.cohorts import small_fit, write
from tests.support import ROOT

FOLDER = ROOT / "tests" / "compat" / "bundle-1"


if __name__ == "__main__":
    print(FOLDER, write(FOLDER, small_fit()[1]))
