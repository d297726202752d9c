"""A whole fit at the study's size: `python -m tests.benchmarks.benchmark_fit [--workers 2] [--nested 5] [--compare]`.

All radiomics columns, embeddings of 2,048 with 7 slices a case, the job of jobs/fit.yaml. Tasks run in forked processes, one
thread each, as `cvtbatch fit --workers` runs them; the bundle is the same. With --compare, the tasks that `cvtbatch compare-models`
runs of four fits in place of it: the study's choice, a rim's features beside the outline's, slices pooled by area and by attention.
Minutes of processors, shared by the workers, are what it takes; where others work on the machine, wall time is more. With --first,
so many tasks of each variant are run, and what all would take is told by their mean.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from statistics import fmean, median

import numpy as np

from cvtbatch import contracts
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.tasks import Task, TaskResult, plan_nested_tasks, run_task
from tests.support.cohorts import SPECS, CohortPlan, made_cohort, settings, surroundings


def timed(run: "partial[TaskResult]", task: Task) -> tuple[TaskResult, float]:
    started = time.process_time()
    return run(task), time.process_time() - started


def spread(
    cohort: Cohort, wanted: FitSettings, workers: int, cpu: list[float], tasks: Sequence[Task]
) -> Iterable[TaskResult]:
    """Yield the results of tasks, and add the seconds of processors that each took to a list."""
    run = partial(timed, partial(run_task, cohort, wanted))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        for done, (result, seconds) in enumerate(pool.map(run, tasks), 1):
            cpu.append(seconds)
            print(f"{done}/{len(tasks)} {result.task.name}: {seconds:.1f} s of CPU", flush=True)
            yield result


def with_rim(cohort: Cohort) -> Cohort:
    """Return a cohort with as many features of a rim beside those of the outline, half of each the outline's."""
    noise = np.random.default_rng(4).standard_normal(cohort.radiomics.shape) * cohort.radiomics.std(axis=0)
    names = (*cohort.radiomics_names, *(f"rim5:{name}" for name in cohort.radiomics_names))
    return replace(
        cohort,
        radiomics_names=names,
        radiomics=np.concatenate([cohort.radiomics, cohort.radiomics / 2 + noise], axis=1),
    )


def compare(cohort: Cohort, nested: str, workers: int, cpu: list[float], first: int | None) -> None:
    """Run the nested tasks of four variants, or the first ones of each."""
    rows, places = len(cohort.keys), np.flatnonzero(np.diff(cohort.slice_rows, prepend=-1))
    means = np.add.reduceat(cohort.slices, places) / np.diff(np.append(places, len(cohort.slices)))[:, None]
    pooled = replace(cohort, embedding=means, slices=means, slice_rows=np.arange(rows))
    unpooled = replace(cohort, embedding=np.empty((rows, 0), np.float32))
    variants = {
        "dlrn": (cohort, settings(nested, small=False)),
        "outline and rim": (with_rim(cohort), settings(nested, "fit.regions=[rim5]", small=False)),
        "area mean": (pooled, settings(nested, "fit.pooling=area_mean", small=False)),
        "attention": (unpooled, settings(nested, "fit.pooling=attention", small=False)),
    }
    whole = 0.0
    for name, (own, wanted) in variants.items():
        before, tasks = len(cpu), plan_nested_tasks(own, wanted)
        list(spread(own, wanted, workers, cpu, tasks[:first]))
        minutes = fmean(cpu[before:]) * len(tasks) / 60
        whole += minutes
        print(f"{name}: {minutes:.1f} min of CPU for {len(tasks)} tasks", flush=True)
    print(f"four variants: {whole:.1f} min of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=192)
    parser.add_argument("--positives", type=int, default=46)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nested", type=int, default=5, help="repeats of the nested estimate")
    parser.add_argument("--compare", action="store_true", help="four variants, as compare-models runs them")
    parser.add_argument("--first", type=int, help="tasks of each variant that are run; by default all")
    options = parser.parse_args()
    plan = CohortPlan(
        cases=options.cases,
        positives=options.positives,
        radiomics=len(contracts.feature_names()),
        length=2048,
        informative=60,
        effect=0.8,
        epilepsy=(0.12, 0.4),
        slices=7,
    )
    cohort, nested, cpu = made_cohort(plan, 2), f"fit.nested.repeats={options.nested}", list[float]()
    load, started = os.getloadavg()[0], time.perf_counter()
    if options.compare:
        compare(cohort, nested, options.workers, cpu, options.first)
    else:
        wanted = settings(nested, small=False)
        tasks = partial(spread, cohort, wanted, options.workers, cpu)
        fit = fit_model(cohort, wanted, SPECS, surroundings(cohort), tasks)
    spent = time.perf_counter() - started
    columns = f"{plan.radiomics:,} + {plan.length:,}"
    print(f"\n{options.cases} cases x ({columns}), {len(cpu)} tasks, {options.workers} workers: {spent / 60:.1f} min")
    print(f"CPU of the tasks {sum(cpu) / 60:.1f} min, median task {median(cpu):.1f} s; load before {load:.1f}")
    if not options.compare:
        metrics = fit.document["metrics"]
        for name in Model:
            found = metrics["nested" if options.nested else "out_of_fold"]  # type: ignore[index]
            print(name, (found["models"] if options.nested else found)[name]["auc"])


if __name__ == "__main__":
    main()
