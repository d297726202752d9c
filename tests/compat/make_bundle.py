"""Writes the bundles that later revisions must score as this one does: `python -m tests.compat.make_bundle`.

Only for a new format version, in folders of their own: what was written once stays.
"""

from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from tests.support.cohorts import RECALIBRATION, small_fit, write
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "compat" / "bundle-2"


if __name__ == "__main__":
    print(FOLDER, write(FOLDER, small_fit()[1]))
    again = FOLDER.with_name("bundle-2-recalibrated")
    print(again, recalibrate_bundle(FOLDER, again, Function(-0.7, 0.45), RECALIBRATION))
