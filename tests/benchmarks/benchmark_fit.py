"""A whole fit at the study's size: `python -m tests.benchmarks.benchmark_fit [--workers 2] [--nested 5]`.

All radiomics columns, embeddings of 2,048 with 7 slices a case, the job of jobs/fit.yaml. Tasks run in forked processes, one
thread each, as `cvtbatch fit --workers` runs them; the bundle is the same.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median

from cvtbatch import contracts
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import Task, TaskResult, run_task
from tests.support.cohorts import SPECS, CohortPlan, made_cohort, settings, surroundings


def timed(run: "partial[TaskResult]", task: Task) -> tuple[TaskResult, float]:
    started = time.process_time()
    return run(task), time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=192)
    parser.add_argument("--positives", type=int, default=46)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nested", type=int, default=5, help="repeats of the nested estimate")
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
    cohort = made_cohort(plan, 2)
    wanted = settings(f"fit.nested.repeats={options.nested}", small=False)
    cpu: list[float] = []

    def spread(tasks: Sequence[Task]) -> Iterable[TaskResult]:
        run = partial(timed, partial(run_task, cohort, wanted))
        with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("fork")) as pool:
            for done, (result, seconds) in enumerate(pool.map(run, tasks), 1):
                cpu.append(seconds)
                print(f"{done}/{len(tasks)} {result.task.name}: {seconds:.1f} s of CPU", flush=True)
                yield result

    load = os.getloadavg()[0]
    started = time.perf_counter()
    fit = fit_model(cohort, wanted, SPECS, surroundings(cohort), spread)
    spent = time.perf_counter() - started
    columns = f"{plan.radiomics:,} + {plan.length:,}"
    print(f"\n{options.cases} cases x ({columns}), {len(cpu)} tasks, {options.workers} workers: {spent / 60:.1f} min")
    print(f"CPU of the tasks {sum(cpu) / 60:.1f} min, median task {median(cpu):.1f} s; load before {load:.1f}")
    metrics = fit.document["metrics"]
    for name in Model:
        found = metrics["nested" if options.nested else "out_of_fold"]  # type: ignore[index]
        print(name, (found["models"] if options.nested else found)[name]["auc"])


if __name__ == "__main__":
    main()
