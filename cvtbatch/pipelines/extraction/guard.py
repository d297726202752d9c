"""Steps of a worker's task: timed, and what they raise is a failure of what they work on, and no more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cvtbatch.engine import NeedsMemory
from cvtbatch.errors import StorageError
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey, failure_of
from cvtbatch.pipelines.extraction.task_cost import Meter

Value = TypeVar("Value")


class Stopped(Exception):
    """Carries a failure up to the case or outline that it is of, and no further."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class About:
    """What a failure would be about: the state of its sources, and its row in the manifest."""

    fingerprint: str
    manifest_row: int


def guarded(meter: Meter, stage: str, key: FailureKey, about: About, function: Callable[[], Value]) -> Value:
    """Call the function, and count its time for a stage.

    Raises:
        Stopped: with a failure, whatever the function raised but a fault of the store.
    """
    try:
        with meter.stage(stage):
            return function()
    except (StorageError, NeedsMemory, Stopped):
        raise
    except Exception as error:
        failure = failure_of(
            error, key, stage=stage, source_fingerprint=about.fingerprint, manifest_row=about.manifest_row
        )
        raise Stopped(failure) from None
