"""What a store remembers of the studies that a watch has seen: table `arrivals`, read and appended to."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cvtbatch.counts import counted
from cvtbatch.pipelines.serving.arrivals import Arrival
from cvtbatch.store import FeatureStore

TABLE = "arrivals"
State = Literal["seen", "done", "held", "failed", "left_out", "incomplete"]


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a study, as table `arrivals` has it.

    Attributes:
        kind: why.
        cases: of it in the store.
        sent: objects of results that the other archive has.
    """

    state: State
    kind: str = ""
    cases: int = 0
    sent: int = 0

    def __str__(self) -> str:
        why = f" ({self.kind})" if self.kind else ""
        sent = f", {counted(self.sent, 'object')} sent" if self.sent else ""
        return f"{self.state.replace('_', ' ')}{why}, {counted(self.cases, 'case')}{sent}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a study: its content then, and what became of it."""

    content: str
    state: State


class Memory:
    """The table, for one watch."""

    def __init__(self, store: FeatureStore, run_id: str, uid_key_id: str) -> None:
        self._table = store.table(TABLE)
        self._run_id, self._uid_key_id = run_id, uid_key_id

    def known(self) -> Mapping[str, Known]:
        """Return what is known of every study, by its key."""
        rows = self._table.current(["study_key", "content", "state"]).to_pylist()
        return {row["study_key"]: Known(row["content"], row["state"]) for row in rows}

    def write(self, found: Sequence[tuple[Arrival, Became]]) -> None:
        """Remember what became of studies.

        Raises:
            StorageError: the store cannot be written.
        """
        now = datetime.datetime.now(datetime.UTC)
        rows: list[dict[str, Any]] = [
            {
                "study_key": arrival.key,
                "uid_key_id": self._uid_key_id,
                "content": arrival.content,
                "state": became.state,
                "kind": became.kind,
                "series": len(arrival.series),
                "instances": arrival.instances,
                "cases": became.cases,
                "sent": became.sent,
                "run_id": self._run_id,
                "recorded_at": now,
            }
            for arrival, became in found
        ]
        if rows:
            self._table.append(rows)
