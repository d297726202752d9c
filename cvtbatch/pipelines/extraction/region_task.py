"""The derivation of a case's regions as its driver sees it: what is called on a worker."""

from cvtbatch.pipelines.extraction.region_plan import RegionTask
from cvtbatch.pipelines.extraction.region_result import RegionResult


def derive_regions(task: RegionTask) -> RegionResult:
    """Do what a task asks for; the libraries that this takes are loaded where it is done.

    Raises:
        StorageError: the store cannot be read or written; the fault of the run, not of a case.
        NeedsMemory: this process may not take what the regions need; nothing of them counts as done.
    """
    from cvtbatch.pipelines.extraction.region_worker import RegionWorker

    return RegionWorker(task).process()
