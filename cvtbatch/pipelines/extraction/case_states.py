"""How the cases of a run stand: a byte a case, and a bit for every kind of failure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cvtbatch.pipelines.extraction.failure import Failure, KnownFailure
from cvtbatch.pipelines.extraction.report import STATES, State

UNSETTLED = 0
COMPUTED = STATES.index("computed") + 1


class CaseStates:
    """Cases by state, each counted once, under the weightiest of what is known of it, and failed ones by stage and kind.

    Args:
        rows: of the manifest; a case is known by its first row.
        sets: names of feature sets, by specification.

    Attributes:
        now: cases by how they stand.
        first: cases by how they first stood.
        failures: how many cases failed, by stage and kind.
        lacking: how many cases lack a feature set since it failed, by its name.
        continued: computed cases that an earlier run had begun.
    """

    def __init__(self, rows: int, sets: Mapping[str, str] = MappingProxyType({})) -> None:
        # A place in STATES, from 1.
        self._states = bytearray(rows + 1)
        self._counted: dict[object, bytearray] = {}
        self._sets = sets
        self._begun = bytearray(rows // 8 + 1)
        self.now: Counter[State] = Counter()
        self.first: Counter[State] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.lacking: Counter[str] = Counter()
        self._lacking_more = 0
        self.continued = 0

    def state(self, row: int) -> State | None:
        """Return how a case stands, or None before that is known."""
        state = self._states[row]
        return STATES[state - 1] if state else None

    def note_begun(self, row: int) -> None:
        """Take note that an earlier run has begun a case, of which a later stage is still to do."""
        self._begun[row >> 3] |= 1 << (row & 7)

    def settle(self, row: int, state: State) -> None:
        """Count a case under a state, unless a weightier one is known of it."""
        weight, before = STATES.index(state) + 1, self._states[row]
        if weight <= before:
            return
        if before == UNSETTLED:
            self.first[state] += 1
        else:
            self.now[STATES[before - 1]] -= 1
        self._states[row] = weight
        self.now[state] += 1
        if self._begun[row >> 3] >> (row & 7) & 1:
            # From computed, a case can only fail.
            self.continued += (state == "computed") - (before == COMPUTED)

    def settle_failed(self, row: int, failures: Iterable[Failure | KnownFailure]) -> None:
        """Count a case as failed, once for each stage and kind."""
        self.settle(row, "failed")
        for failure in failures:
            kind = (failure.stage, failure.kind)
            self.failures[kind] += self._is_first(kind, row)
            if name := self._sets.get(failure.spec_id):
                self.lacking[name] += self._is_first(name, row)
            else:
                self._lacking_more += self._is_first(None, row)

    @property
    def lacking_alone(self) -> int:
        """How many of the failed cases lack feature sets and nothing else."""
        return self.now["failed"] - self._lacking_more

    def _is_first(self, counted: object, row: int) -> bool:
        """Say whether a case is counted under this for the first time."""
        bits = self._counted.setdefault(counted, bytearray(len(self._states) // 8 + 1))
        is_first = not bits[row >> 3] >> (row & 7) & 1
        bits[row >> 3] |= 1 << (row & 7)
        return is_first
