"""Runs that have a start and no end in table `runs`: at work, or killed. What they committed is told by the rows that name them."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.store import Fingerprints, View, are_among, fingerprints_of, newest_of

VALUES = ("radiomics", "embeddings", *contracts.description_tables())
OTHERS = ("volumes", "cases", "rois", "outlines", "regions", "failures")


CASE = ("case_key",)
# Keys that are held, beside as many as there are different ones, before those that came again are dropped.
HELD_KEYS = 2**18


@dataclass(slots=True)
class Cases:
    """Cases, as fingerprints of their keys."""

    known: Fingerprints = field(default_factory=lambda: np.empty((0, 2), np.uint64))
    fresh: list[Fingerprints] = field(default_factory=list)

    def add(self, keys: Fingerprints) -> None:
        self.fresh.append(keys)
        if sum(map(len, self.fresh)) > HELD_KEYS + len(self.known):
            self.all()

    def all(self) -> Fingerprints:
        """Return each once."""
        keys = np.concatenate([self.known, *self.fresh])
        self.known, self.fresh = keys[newest_of(keys, np.zeros(len(keys), np.int64))], []
        return self.known


@dataclass(slots=True)
class Committed:
    """What a run has committed.

    Attributes:
        computed: cases with values of it (features, embeddings, descriptions), those apart that have a failure of it.
        failed: cases with a failure of it.
        last_at: when its last rows were made.
    """

    computed: Cases = field(default_factory=Cases)
    failed: Cases = field(default_factory=Cases)
    last_at: datetime.datetime | None = None

    def to_document(self) -> dict[str, object]:
        """Return what the JSON document of `status` says."""
        computed, failed = self.computed.all(), self.failed.all()
        return {
            "computed": int(np.count_nonzero(~are_among(computed, failed))),
            "failed": len(failed),
            "last_at": None if self.last_at is None else self.last_at.isoformat(timespec="seconds"),
        }


def read_committed(view: View, run_ids: Collection[str], sets: Collection[str]) -> dict[str, Committed]:
    """Return what some runs have committed, by their ids; nothing is read where there are none.

    Args:
        sets: tables of the store's feature sets.
    """
    found = {run_id: Committed() for run_id in run_ids}
    if not found:
        return found
    values = (*VALUES, *sets)
    for table in (*OTHERS, *values):
        columns = ["run_id", "case_key", "recorded_at", *(["resolved"] if table == "failures" else [])]
        for rows in view.stream(table, columns, run_ids=list(found)):
            for run_id, run in found.items():
                _take(run, table, rows.filter(pc.equal(rows["run_id"], run_id)), has_values=table in values)
    return found


def _take(run: Committed, table: str, rows: pa.RecordBatch, has_values: bool) -> None:
    """Note rows of a table that are a run's."""
    if not rows.num_rows:
        return
    run.last_at = max(filter(None, [run.last_at, pc.max(rows["recorded_at"]).as_py()]), default=None)
    if has_values:
        run.computed.add(fingerprints_of([rows], CASE))
    elif table == "failures":
        run.failed.add(fingerprints_of([rows.filter(pc.invert(rows["resolved"]))], CASE))
