"""What a run does before its first case, in words: for whoever waits in front of it."""

from collections.abc import Iterator

from cvtbatch.compiled_code import is_cold
from cvtbatch.engine import ClusterConfig, LocalWorkers
from cvtbatch.pipelines.extraction.settings import Settings


def first_steps(config: ClusterConfig, settings: Settings) -> Iterator[str]:
    """Yield what is begun between the manifest and the plan, on this machine; elsewhere, what is waited for is told by itself."""
    if not isinstance(config, LocalWorkers):
        return
    if settings.only != "embeddings" and is_cold():
        yield "nothing is compiled yet for this user and version: compiling once, about 20 s of the first case"
    if config.workers:
        yield f"starting {config.workers} worker{'s' if config.workers > 1 else ''}"
