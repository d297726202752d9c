"""The outlining of volumes as its driver sees it: what is called on a worker."""

from cvtbatch.pipelines.extraction.outline_result import OutlineResult, OutlineTask


def outline_volumes(task: OutlineTask) -> OutlineResult:
    """Do what a task asks for; the libraries that this takes are loaded where it is done.

    Raises:
        StorageError: the store cannot be read or written; the fault of the run, not of a volume.
        FormatError, ResourceError: the method cannot be loaded.
        NeedsMemory: this process may not take what the volumes need; nothing of them counts as done.
    """
    from cvtbatch.pipelines.extraction.outline_worker import OutlineWorker

    return OutlineWorker(task).process()
