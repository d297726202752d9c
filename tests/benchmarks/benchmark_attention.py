"""What pools of slices tell where one slice of a hematoma does, and where none does: `benchmark_attention.py [--cohorts 20]`.

Cohorts of 90 cases, 30 positive, 6 slices each of 12 numbers, in which any one slice of a hematoma with the event is moved. Prints
a row a shift and pool: mean and standard error, over cohorts, of the AUC of the DL signature on folds that it was not fitted on.
"""

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from cvtbatch.dlrn.pooling import Pooling
from tests.support.telling_slices import held_out_auc, one_slice_tells

SHIFTS = (0.0, 0.6, 1.2)
POOLS = (Pooling.LARGEST, Pooling.AREA_MEAN, Pooling.ATTENTION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=20)
    cohorts = parser.parse_args().cohorts
    with threadpool_limits(1):
        for shift in SHIFTS:
            for pool in POOLS:
                found = np.array([held_out_auc(one_slice_tells(seed, shift), pool) for seed in range(cohorts)])
                error = found.std(ddof=1) / np.sqrt(cohorts)
                print(f"shift {shift}, {pool}: AUC {found.mean():.3f}, standard error {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
