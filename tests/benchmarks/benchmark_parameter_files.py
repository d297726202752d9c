"""Parameter files by stock PyRadiomics and by the fast engine: `python -m tests.benchmarks.benchmark_parameter_files [FILE ...]`.

One process, one thread, processor seconds. Each file is computed on hematomas of 3 and 30 ml (`--ml` for others) in a head of
32 x 500 x 500 voxels; the worst deviation is in units of the contract, 1e-9 |stock| + 1e-12. `--random N` adds N random files on
small random ROIs, of which the worst deviation alone is told. Needs PyRadiomics 3.0.1.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics.audit import deviation
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.parameter_file import check_parameters, load_feature_set
from cvtbatch.radiomics.reference import stock_features
from tests.benchmarks.benchmark_radiomics import head_with_bleed
from tests.support.parameter_files import random_parameters, random_roi

ROW = "{:34} {:>6} {:>6} {:>10} {:>10} {:>7} {:>12}"


def seconds(compute: Callable[[], object], repeat: int) -> float:
    """The least processor time of some runs."""
    took = []
    for _ in range(repeat):
        start = time.process_time()
        compute()
        took.append(time.process_time() - start)
    return min(took)


def worst(fast: Mapping[str, float], stock: Mapping[str, float]) -> float:
    """The largest deviation in units of the contract; infinite where the names differ."""
    return max(deviation(fast[name], stock[name]) for name in stock) if list(fast) == list(stock) else np.inf


def compare(name: str, feature_set: FeatureSet, ml: float, pair: tuple[sitk.Image, sitk.Image], repeat: int) -> None:
    """Print one file on one ROI."""
    try:
        fast, stock = compute_features(*pair, feature_set).values, stock_features(*pair, feature_set)
    except InputError as error:
        print(f"{name[:34]:34} {ml:6g} refused: {error.message}")
        return
    took = [
        seconds(lambda: stock_features(*pair, feature_set), max(1, repeat // 3)),
        seconds(lambda: compute_features(*pair, feature_set), repeat),
    ]
    print(
        ROW.format(
            name[:34], f"{ml:g}", len(stock), *(f"{each:.3f}" for each in took), f"{took[0] / took[1]:.1f}",
            f"{worst(fast, stock):.2g}",
        )
    )  # fmt: skip


def random_files(count: int) -> None:
    """Print the worst deviation over random files on random ROIs; an ROI that both refuse counts as equal."""
    found, values, refused = 0.0, 0, 0
    for seed in range(count):
        rng = np.random.default_rng([seed, 2026])
        document, pair = random_parameters(rng), random_roi(rng)
        feature_set = check_parameters(dict(document)).feature_set
        if feature_set is None:
            raise SystemExit(f"random file {seed} is refused: {document}")
        results = []
        for compute in (compute_features, stock_features):
            try:
                result = compute(*pair, feature_set)
                results.append(result if isinstance(result, dict) else result.values)
            except InputError:
                results.append({})
        fast, stock = results
        if not fast or len(stock) < len(feature_set.names()):
            refused += 1
            if fast or len(stock) == len(feature_set.names()):
                raise SystemExit(f"random file {seed}: one engine alone refuses: {document}")
            continue
        values += len(stock)
        if (size := worst(fast, stock)) > 1:
            print(f"random file {seed}: {size:.3g} of the contract: {document}")
        found = max(found, size)
    print(f"{count} random files: {values:,} values, worst deviation {found:.2g}; {refused} ROIs refused by both")


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--ml", nargs="*", type=float, default=[3.0, 30.0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--random", type=int, default=0, metavar="N")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    print(ROW.format("file", "ml", "values", "stock s", "fast s", "ratio", "deviation"))
    for path in chosen.files:
        feature_set = load_feature_set(path)
        for ml in chosen.ml:
            compare(path.name, feature_set, ml, head_with_bleed(ml), chosen.repeat)
    if chosen.random:
        random_files(chosen.random)


if __name__ == "__main__":
    main()
