"""Writes the bundles that later revisions must score as this one does: `python -m tests.compat.make_bundle`.

Only for a new format version, in folders of their own: what was written once stays.
"""

from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from tests.support.cohorts import RECALIBRATION, small_fit, write
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "compat" / "bundle-3"


if __name__ == "__main__":
    cohort, fit = small_fit()
    print(FOLDER, write(FOLDER, fit, cohort))
    again = FOLDER.with_name("bundle-3-recalibrated")
    print(again, recalibrate_bundle(FOLDER, again, Function(-0.7, 0.45), RECALIBRATION))
