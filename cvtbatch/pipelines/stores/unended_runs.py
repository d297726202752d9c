"""Runs that have a start and no end in table `runs`: at work, or killed. What they committed is told by the rows that name them."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.store import View

VALUES = ("radiomics", "embeddings", *contracts.description_tables())
OTHERS = ("volumes", "cases", "rois", "outlines", "regions", "failures")


@dataclass(slots=True)
class Committed:
    """What a run has committed.

    Attributes:
        computed: cases with values of it (features, embeddings, descriptions), those apart that have a failure of it.
        failed: cases with a failure of it.
        last_at: when its last rows were made.
    """

    computed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    last_at: datetime.datetime | None = None

    def to_document(self) -> dict[str, object]:
        """Return what the JSON document of `status` says."""
        return {
            "computed": len(self.computed - self.failed),
            "failed": len(self.failed),
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
    of_these = pc.field("run_id").isin(pa.array(found, pa.string()))
    values = (*VALUES, *sets)
    for table in (*OTHERS, *values):
        columns = ["run_id", "case_key", "recorded_at", *(["resolved"] if table == "failures" else [])]
        rows = view.read(table, columns, of_these)
        for run_id, run in found.items():
            own = rows.filter(pc.equal(rows["run_id"], run_id))
            last_at = pc.max(own["recorded_at"]).as_py()
            run.last_at = max(filter(None, [run.last_at, last_at]), default=None)
            if table in values:
                run.computed.update(own["case_key"].to_pylist())
            elif table == "failures":
                run.failed.update(own.filter(pc.invert(own["resolved"]))["case_key"].to_pylist())
    return found
