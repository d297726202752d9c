"""The work on a case as its driver sees it: what is called on a worker."""

from cvtbatch.pipelines.extraction.case_plan import CaseTask
from cvtbatch.pipelines.extraction.case_result import CaseResult
from cvtbatch.pipelines.shared.compile_beside import compile_beside


def process_case(task: CaseTask) -> CaseResult:
    """Do what a task asks for; the libraries that this takes are loaded where it is done, and not by a driver of workers.

    Raises:
        StorageError: the store cannot be written; the fault of the run, not of the case.
        NeedsMemory: this process may not take what the case needs; nothing of it counts as done.
    """
    compile_beside()
    from cvtbatch.pipelines.extraction.case_worker import CaseWorker

    return CaseWorker(task).process()
