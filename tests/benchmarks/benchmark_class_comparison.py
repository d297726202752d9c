"""Whether comparing models of several classes tells noise from signal: `benchmark_class_comparison.py [--cohorts 20] [--first 0]`.

Cohorts of three classes (36 HP, 30 CVT, 24 CAA) are drawn of two populations: features, embedding and epilepsy that are noise, and
ones of which some tell. Each is compared as `compare-models` does, on the same nested folds: the DLRN with its three signatures, a
multinomial regression on two features, one of which tells of CVT and one of CAA, and the best, chosen inside the folds.
Prints a row a population and variant: M, its mean and range over the cohorts, in how many of them its interval holds 0.5, and in
how many the interval of its difference to the DLRN, for all variants at once, lies above 0.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.tasks import plan_nested_tasks, run_tasks_here
from cvtbatch.dlrn.variants import best_variant, fitted_variant, regression_variant
from cvtbatch.validation.class_comparison import compare_class_models
from cvtbatch.validation.model_comparison import ComparedModel, ModelScores
from cvtbatch.validation.values import Interval
from tests.support.class_cohorts import CLASSES, JOB, class_cohort
from tests.support.cohorts import settings

# What a class moves its columns by, in standard deviations.
POPULATIONS = {"noise": 0.0, "some tell": 2.0}
COLUMNS = ("feature_000", "feature_010")
MORE = ("fit.nested.folds=3", "fit.nested.repeats=2", "fit.nested.bootstrap=1000")


def draw_cohort(effect: float, seed: int) -> Cohort:
    """Draw a cohort whose embedding tells of CAA too, where it tells at all: of CVT it does by itself."""
    cohort = class_cohort(seed, effect)
    slices = cohort.slices.copy()
    slices[:, :4] += (
        effect * slices[:, :4].std(axis=0) * (cohort.outcome == CLASSES.index("CAA"))[cohort.slice_rows, None]
    )
    first = np.unique(cohort.slice_rows, return_index=True)[1]
    return replace(cohort, slices=slices, embedding=slices[first])


def compare(effect: float, seed: int, *job: str) -> tuple[ComparedModel, ...]:
    """Compare the variants of a drawn cohort as `compare-models` does, the DLRN the reference."""
    cohort, chosen = draw_cohort(effect, seed), settings(*JOB, *job)
    tasks = plan_nested_tasks(cohort, chosen)
    results = list(run_tasks_here(cohort, chosen, tasks))
    variants = [fitted_variant(str(model), model, results, cohort, chosen) for model in (Model.DLRN, *SIGNATURES)]
    places = [cohort.radiomics_names.index(name) for name in COLUMNS]
    columns = {name: cohort.radiomics[:, place] for name, place in zip(COLUMNS, places, strict=True)}
    variants.append(regression_variant("columns", columns, cohort, chosen, tasks))
    best = best_variant(variants, cohort, tasks)
    assert best is not None
    models = [ModelScores(found.name, found.scores, found.probability) for found in (*variants, best)]
    draws = (chosen.nested.bootstrap, chosen.seed_of("compare"))
    return compare_class_models(cohort.outcome, np.arange(len(cohort.keys)), models, CLASSES, *draws).models


def row_of(population: str, found: Sequence[ComparedModel]) -> str:
    """Return the row of one variant in all cohorts of a population."""
    values = [one.auc.value for one in found]
    ends = [one.auc.interval for one in found]
    chance = sum(isinstance(end, Interval) and end.low <= 0.5 <= end.high for end in ends)
    above = sum(one.auc_difference is not None and one.auc_difference.simultaneous.low > 0 for one in found)
    spread = f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
    return " | ".join([population, found[0].name, spread, str(chance), str(above)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first cohort")
    options = parser.parse_args()
    started = time.process_time()
    print(" | ".join(["population", "variant", "M, mean (range)", "its interval holds 0.5", "above the DLRN"]))
    for population, effect in POPULATIONS.items():
        cohorts = [compare(effect, options.first + number, *MORE) for number in range(options.cohorts)]
        for variant in zip(*cohorts, strict=True):
            print(row_of(population, variant), flush=True)
    print(f"{options.cohorts} cohorts each, {time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
