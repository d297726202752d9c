"""What a poll means: which studies are new or have grown, and which are to be worked on now. Pure."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cvtbatch.pipelines.serving.arrivals import Arrival
from cvtbatch.pipelines.serving.memory import Known, State

_TO_DO: frozenset[State] = frozenset({"seen", "incomplete"})
_GIVEN_UP: frozenset[State] = frozenset({"failed", "left_out"})
_IN_THE_STORE: frozenset[State] = frozenset({"done", "held"})


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a poll found.

    Attributes:
        fresh: new, or with another content than before: they wait for the next poll.
        due: as they were at the last poll, and not done.
        reopened: of these, those that failed or were left out, and are tried again.
        erased: they were done, and the store has them no more: they stay out although they have grown.
    """

    fresh: tuple[Arrival, ...]
    due: tuple[Arrival, ...]
    reopened: tuple[Arrival, ...]
    erased: tuple[Arrival, ...]


def plan_round(
    arrivals: Sequence[Arrival],
    known: Mapping[str, Known],
    stored: Container[str],
    released: Container[str],
    *,
    retry_failed: bool,
) -> RoundPlan:
    """Return what is to be done of studies.

    Args:
        known: by their keys.
        stored: volume hashes that the store has; only of studies that have grown since they were done is asked.
        released: keys of those that were held, and are no more.
        retry_failed: take those too that failed or were left out.
    """
    fresh, due, reopened, erased = list[Arrival](), list[Arrival](), list[Arrival](), list[Arrival]()
    for arrival in arrivals:
        row = known.get(arrival.key)
        if row is None or row.content != arrival.content:
            is_erased = row is not None and row.state in _IN_THE_STORE and arrival.volume_hash not in stored
            (erased if is_erased else fresh).append(arrival)
        elif row.state in _TO_DO or (row.state == "held" and arrival.key in released):
            due.append(arrival)
        elif retry_failed and row.state in _GIVEN_UP:
            reopened.append(arrival)
    return RoundPlan(tuple(fresh), (*due, *reopened), tuple(reopened), tuple(erased))


def batches(due: Sequence[Arrival], most_series: int) -> Iterator[list[Arrival]]:
    """Yield studies in order, as many at a time as have so many series together, and at least one."""
    batch, count = list[Arrival](), 0
    for arrival in due:
        if batch and count + len(arrival.series) > most_series:
            yield batch
            batch, count = [], 0
        batch.append(arrival)
        count += len(arrival.series)
    if batch:
        yield batch
