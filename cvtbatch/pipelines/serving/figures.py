"""How a watch stands, for people as JSON, and for Prometheus whenever it asks. Numbers alone: no study or case is named."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cvtbatch
from cvtbatch.counts import counted
from cvtbatch.pipelines.serving.memory import Became, State

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# What becomes of a study that was taken.
ENDS: tuple[State, ...] = ("done", "held", "failed", "left_out", "incomplete")


@dataclass(slots=True)
class Round:
    """A poll, and the work that it brought.

    Attributes:
        studies: that the archive has of those that are wanted.
        fresh: of these, new or grown: they wait for the next poll.
        due: to be worked on.
        erased: that the store forgot, and that stay out.
        ended: studies by what became of them.
        kinds: of those that failed, were left out or are incomplete, by why.
        cases: of these studies, in the store.
        sent: objects that the archive of --to has of them.
    """

    studies: int = 0
    fresh: int = 0
    due: int = 0
    erased: int = 0
    ended: Counter[State] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    cases: int = 0
    sent: int = 0
    seconds: float = 0.0

    def add(self, became: Became) -> None:
        """Count what became of a study."""
        self.ended[became.state] += 1
        if became.state not in {"done", "held"}:
            self.kinds[became.kind] += 1
        self.cases += became.cases
        self.sent += became.sent

    @property
    def stands(self) -> bool:
        """Whether something of what was worked on is for a person to see to."""
        return bool(self.ended["failed"] or self.ended["incomplete"])

    def __str__(self) -> str:
        ended = ", ".join(f"{self.ended[state]} {state.replace('_', ' ')}" for state in ENDS if self.ended[state])
        waiting = f"{self.fresh} new or grown, until the next poll finds them unchanged"
        return f"{counted(self.studies, 'study', 'studies')}: {waiting}; {self.due} due{f': {ended}' if ended else ''}"

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch serve --json`, one a poll."""
        names = ("studies", "fresh", "due", "erased", "cases", "sent", "seconds")
        return {
            "command": "serve",
            **{name: getattr(self, name) for name in names},
            "ended": {state: self.ended[state] for state in ENDS},
            "kinds": dict(sorted(self.kinds.items())),
        }


class Figures:
    """All rounds together, and what is at work; a collector of prometheus_client, which asks from a thread of its own.

    Attributes:
        queue: studies that are due and not worked on yet.
        pulled: series that are fetched, and not extracted yet.
        answers: whether the archive answered when it was last asked.
        polled_at: when it last did, in seconds since 1970; 0 before.
    """

    def __init__(self) -> None:
        self.began_at = time.time()
        self.queue = self.pulled = self.polls = self.seen = self.sent = 0
        self.polled_at = 0.0
        self.answers = False
        self._ended: Counter[State] = Counter()

    def polled(self, found: Round) -> None:
        """Take in that the archive was asked, and answered."""
        self.answers, self.polled_at = True, time.time()
        self.polls += 1
        self.seen += found.fresh
        self.queue = found.due

    def add(self, became: Became) -> None:
        """Take in what became of a study."""
        self._ended[became.state] += 1
        self.sent += became.sent

    def collect(self) -> "Iterator[Metric]":
        """Yield what Prometheus is told."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("cvtbatch_serve", "The watch.", {"version": cvtbatch.__version__})
        for name, what, value in (
            ("start_timestamp_seconds", "When the watch began.", self.began_at),
            ("last_poll_timestamp_seconds", "When the archive last answered a poll; 0 before.", self.polled_at),
            ("source_up", "1 where the archive answered when it was last asked.", float(self.answers)),
            ("queue_studies", "Studies that are due and not worked on yet.", self.queue),
            ("pulled_series", "Series that are fetched, and not extracted yet.", self.pulled),
            ("updated_timestamp_seconds", "When this text was made; a watch that lives renews it.", time.time()),
        ):
            yield GaugeMetricFamily(f"cvtbatch_serve_{name}", what, value)
        for name, what, total in (
            ("polls", "Polls that the archive answered.", self.polls),
            ("seen_studies", "Studies that were new, or had grown.", self.seen),
            ("sent_objects", "Objects of results that the archive of --to has.", self.sent),
        ):
            yield CounterMetricFamily(f"cvtbatch_serve_{name}", what, total)
        ended = CounterMetricFamily("cvtbatch_serve_studies", "Studies by what became of them.", labels=["state"])
        for state in ENDS:
            ended.add_metric([state], self._ended[state])
        yield ended
