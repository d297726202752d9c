"""The tasks of a comparison, spread over workers: of every fit those of its nested estimate and, elsewhere, of its frozen model."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cvtbatch import engine
from cvtbatch.dlrn.signatures import require_alike
from cvtbatch.dlrn.tasks import Task, TaskResult, run_task
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.pipelines.models.compare_plan import Refit
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.pipelines.models.unseen_rows import UnseenRows, cohort_with_unseen
from cvtbatch.pipelines.shared.unfinished import require_done


@dataclass(frozen=True, slots=True)
class CompareItem:
    """One task for a worker, which reads the cohort for itself.

    Attributes:
        keys: of the rows that all fits have; the task counts these, and after them those of `unseen`.
    """

    refit: Refit
    keys: tuple[str, ...]
    unseen: UnseenRows
    task: Task


@dataclass(frozen=True, slots=True)
class FitPart:
    """What a task gave, or why it could not be done; and the processor's seconds that it took."""

    task: Task
    result: TaskResult | None
    reason: str
    seconds: float


def run_item(item: CompareItem) -> FitPart:
    """Run a task where the store can be read; what cannot be fitted is told, so that the other variants go on."""
    cohort = cohort_with_unseen(item.refit.source, item.keys, item.unseen)
    started = time.process_time()
    try:
        require_alike(read_training(item.refit.source).cohort.of_keys(item.keys), item.refit.settings)
        result, reason = run_task(cohort, item.refit.settings, item.task), ""
    except InputError as error:
        result, reason = None, error.message
    return FitPart(item.task, result, reason, time.process_time() - started)


def run_items(
    items: Sequence[CompareItem], cluster: Cluster, on_progress: Callable[[int, int], None]
) -> dict[Refit, dict[str, FitPart]]:
    """Run tasks and return what they gave, by fit and the task's name.

    Raises:
        ResourceError: no worker could do one.
    """
    parts: dict[Refit, dict[str, FitPart]] = {}
    for done, outcome in enumerate(engine.run(cluster, run_item, items), 1):
        part = require_done(outcome, f"the task {outcome.item.task.name}")
        parts.setdefault(outcome.item.refit, {})[part.task.name] = part
        on_progress(done, len(items))
    return parts


def results_of(parts: Mapping[str, FitPart], tasks: Sequence[Task]) -> list[TaskResult]:
    """Return the results of some tasks, in their order.

    Raises:
        InputError: "no_nested_estimate": one of them could not be done.
    """
    found = []
    for task in tasks:
        part = parts[task.name]
        if part.result is None:
            raise InputError("no_nested_estimate", f"{task.name}: {part.reason}")
        found.append(part.result)
    return found
