"""Who is told what happens in a run."""

from collections.abc import Callable
from dataclasses import dataclass

from cvtbatch.pipelines.extraction.report import Progress


def _tell_nobody(_: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what happens in a run; texts may hold paths, and are for the terminal, never for the store.

    Attributes:
        on_progress: called when a case is back, before it counts, twice a second while none comes back, and at the end; may raise
            KeyboardInterrupt.
        on_failure: called with the text of the first failure of each kind, and with how many more there were.
        on_notice: so too with what else the user should know.
        on_step: called with what is begun, before there is any progress to tell.
    """

    on_progress: Callable[[Progress], None] = _tell_nobody
    on_failure: Callable[[str], None] = _tell_nobody
    on_notice: Callable[[str], None] = _tell_nobody
    on_step: Callable[[str], None] = _tell_nobody


NOBODY = Listeners()
