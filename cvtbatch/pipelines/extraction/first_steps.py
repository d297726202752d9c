"""What a run does before its first case: what it works on, and in words, for whoever waits in front of it."""

from dataclasses import replace

from cvtbatch.compiled_code import is_cold
from cvtbatch.counts import counted
from cvtbatch.engine import ClusterConfig, LocalWorkers
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Manifest
from cvtbatch.pipelines.extraction.planning import PLANNED_TOGETHER, plan_run, stored_cases
from cvtbatch.pipelines.extraction.settings import Options, Settings
from cvtbatch.pipelines.shared.compile_beside import compile_beside
from cvtbatch.store import FeatureStore

# Cases of a store that is looked at before workers are started.
SMALL_STORE = 10_000


def first_steps(
    config: ClusterConfig, manifest: Manifest, settings: Settings, options: Options
) -> tuple[ClusterConfig, tuple[str, ...]]:
    """Return what a run works on, and what is begun between the manifest and the plan, on this machine.

    Elsewhere, what is waited for is told by itself. Workers that would find nothing to do are not started. Neither a long manifest
    nor a large store is asked for that: looking at it twice takes longer than workers do to start.
    """
    if not isinstance(config, LocalWorkers):
        return config, ()
    if config.workers and len(manifest) <= PLANNED_TOGETHER and _is_done(manifest, settings, options):
        return replace(config, workers=0), ()
    words = []
    if settings.only != "embeddings" and is_cold():
        words.append(
            "nothing is compiled yet for this user and version: compiling once, some 13 s of one core, or less of several"
        )
        compile_beside()
    if config.workers:
        words.append(f"starting {counted(config.workers, 'worker')}")
    return config, tuple(words)


def _is_done(manifest: Manifest, settings: Settings, options: Options) -> bool:
    try:
        store = FeatureStore(settings.work.store_url)
        if store.table("cases").count() > SMALL_STORE:
            return False
        known = stored_cases(store, manifest, settings)
        return all(plan.task is None and not plan.goes_on for plan in plan_run(known, settings, options))
    except CvtbatchError:
        # There is no store yet, or the run will say what is wrong with it.
        return False
