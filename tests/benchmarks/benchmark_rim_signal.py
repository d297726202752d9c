"""Whether comparing variants tells if a rim adds anything: `benchmark_rim_signal.py [--cohorts 20] [--first 0] [--set KEY=VALUE]`.

Cohorts are drawn of three populations: features of outline and rim that are noise; those of the outline that tell of the outcome
while the rim's are noise; and a rim that tells more, of its own. Embedding and epilepsy are noise. Each is compared as
`compare-models` does, on the same nested folds: the DLRN of the outline, with the rim's features beside them (`fit.regions`),
and of the rim's alone. Prints a row a population: mean AUC of each variant, in how many cohorts its interval holds 0.5, and the
difference that the rim makes: its mean, and in how many cohorts its paired interval lies above 0, holds 0, and lies below.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cvtbatch.dlrn.cohort import Cohort, patient_key
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import plan_nested_tasks, run_tasks_here
from cvtbatch.dlrn.variants import fitted_variant
from cvtbatch.regions.rules import region_column, split_column
from cvtbatch.validation.model_comparison import Comparison, ModelScores, compare_models
from cvtbatch.validation.values import Interval
from tests.support.cohorts import settings

CASES, POSITIVES, FEATURES, INFORMATIVE, LENGTH = 120, 45, 10, 3, 8
# What the outcome shifts the traits behind outline and rim by, in standard deviations.
POPULATIONS = {"noise": (0.0, 0.0), "outline alone": (1.0, 0.0), "outline and rim": (1.0, 2.0)}
VARIANTS = ("outline", "outline and rim", "rim")
JOB = (
    "fit.components=4",
    "fit.crossfit_folds=2",
    "fit.selection.lasso_alphas=10",
    "fit.nested.repeats=2",
    "fit.nested.bootstrap=1000",
)


def draw_cohort(population: str, seed: int) -> Cohort:
    """Draw a cohort whose rims have as many features as its outlines; a trait moves some of each, and all else is noise."""
    rng = np.random.default_rng([31, list(POPULATIONS).index(population), seed])
    outcome = rng.permutation(np.repeat([1, 0], [POSITIVES, CASES - POSITIVES])).astype(np.int64)
    values = 0.7 * rng.standard_normal((2, CASES, FEATURES))
    for effect, own in zip(POPULATIONS[population], values, strict=True):
        own[:, :INFORMATIVE] += rng.standard_normal((CASES, 1)) + effect * outcome[:, None]
    embedding = rng.standard_normal((CASES, LENGTH)).astype(np.float32)
    names = [f"feature_{number}" for number in range(FEATURES)]
    return Cohort(
        keys=tuple(f"C1/{number:03d}/hematoma/A/1" for number in range(CASES)),
        patients=tuple(patient_key("C1", f"P{number}") for number in range(CASES)),
        outcome=outcome,
        clinical={"epilepsy": rng.integers(0, 2, CASES).astype(np.float64)},
        radiomics_names=(*names, *(region_column("rim5", name) for name in names)),
        radiomics=np.concatenate(values, axis=1),
        embedding=embedding,
        slices=embedding,
        slice_rows=np.arange(CASES),
    )


def variant_of(cohort: Cohort, variant: str) -> Cohort:
    """Return a cohort with the columns of a variant."""
    wanted = [(split_column(name)[0] or "outline") for name in cohort.radiomics_names]
    kept = np.array([("rim" if name == "rim5" else name) in variant.split(" and ") for name in wanted])
    names = tuple(name for name, keep in zip(cohort.radiomics_names, kept, strict=True) if keep)
    return replace(cohort, radiomics_names=names, radiomics=np.ascontiguousarray(cohort.radiomics[:, kept]))


def compare(cohort: Cohort, *job: str) -> Comparison:
    """Compare the variants of a cohort as `compare-models` does, the outline the reference."""
    chosen = settings(*JOB, *job)
    tasks, models = plan_nested_tasks(cohort, chosen), []
    for name in VARIANTS:
        own = variant_of(cohort, name)
        found = fitted_variant(name, Model.DLRN, list(run_tasks_here(own, chosen, tasks)), own, chosen)
        models.append(ModelScores(name, found.scores, found.probability))
    patients = np.arange(len(cohort.keys))
    return compare_models(
        cohort.outcome == 1, patients, models, [0.2], chosen.nested.bootstrap, chosen.seed_of("compare")
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Of one cohort: AUCs by variant, which of their intervals hold 0.5, and the difference that the rim makes."""

    auc: tuple[float, ...]
    chance: tuple[bool, ...]
    difference: float
    low: float
    high: float


def judge(comparison: Comparison) -> Found:
    """Return what a comparison says."""
    ends = [model.auc.interval for model in comparison.models]
    rim = comparison.models[1].auc_difference
    assert rim is not None
    assert isinstance(rim.estimate.interval, Interval)
    return Found(
        tuple(model.auc.value for model in comparison.models),
        tuple(isinstance(end, Interval) and end.low <= 0.5 <= end.high for end in ends),
        rim.estimate.value,
        rim.estimate.interval.low,
        rim.estimate.interval.high,
    )


def row_of(population: str, found: Sequence[Found]) -> Iterator[str]:
    """Yield the cells of a population's row."""
    yield population
    for place in range(len(VARIANTS)):
        aucs = [one.auc[place] for one in found]
        yield f"{np.mean(aucs):.3f} ({sum(one.chance[place] for one in found)})"
    above, below = sum(one.low > 0 for one in found), sum(one.high < 0 for one in found)
    yield f"{np.mean([one.difference for one in found]):+.3f}"
    yield f"{above} / {len(found) - above - below} / {below}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first cohort")
    parser.add_argument("--set", action="append", default=[], dest="job", help="of the fits, e.g. fit.nested.repeats=5")
    options = parser.parse_args()
    started = time.process_time()
    head = [f"AUC of {name} (holds 0.5)" for name in VARIANTS]
    print(f"{options.cohorts} cohorts of {CASES} cases, {POSITIVES} of them positive, of each population")
    print(" | ".join(["population", *head, "rim adds", "above 0 / holds 0 / below 0"]))
    for population in POPULATIONS:
        seeds = range(options.first, options.first + options.cohorts)
        found = [judge(compare(draw_cohort(population, seed), *options.job)) for seed in seeds]
        print(" | ".join(row_of(population, found)), flush=True)
    print(f"{time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
