"""What of a manifest has failed, read from the store at the end of a run, in the manifest's order and a case at a time."""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.manifest import Case, Manifest, RoiSource
from cvtbatch.pipelines.extraction.report import ExtractReport, State
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.reporting.failures import FailedItem
from cvtbatch.store import View

COLUMNS = ("center", "case_id", "case_key", "roi_key", "spec_id", "stage", "kind", "message", "run_id")
ROWS_TOGETHER = 4096
Row = Mapping[str, Any]
# Keys of a case or outline, stage and kind, to what the log of a run says; None where that log is not here.
Details = Mapping[tuple[str, str, str], str] | None


def failed_items(
    view: View, manifest: Manifest, report: ExtractReport, state_of: Callable[[int], State | None], log: RunLog
) -> Iterator[FailedItem]:
    """Yield the live failures of a manifest under the specifications of a run, those of one case together.

    Args:
        state_of: how a case stands, by its row; what does not count as failed in this run is left out.
        log: of the run; it finds those of earlier runs too, where the texts are that the store may not have.
    """
    specs = [report.volume_spec_id, report.radiomics_spec_id, report.outline_spec_id]
    specs += [*report.feature_sets.values(), *report.descriptions.values()]
    specs += [region.spec_id for region in report.regions.values()]
    specs += [embedded.spec_id for embedded in report.embeddings]
    rows = view.rows("failures", COLUMNS)
    rows = rows.filter(pc.is_in(rows["spec_id"], value_set=pa.array(specs, pa.string())))
    numbers = manifest.find(zip(rows["center"].to_pylist(), rows["case_id"].to_pylist(), strict=True))
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    details = {run_id: _details(log, run_id) for run_id in pc.unique(rows["run_id"].take(order)).to_pylist()}
    # Where this run could keep no log, its user was told.
    details[report.run_id] = details.get(report.run_id) or {}
    by_case = groupby(_numbered(rows.take(order), numbers[order]), key=itemgetter(0))
    sets = {spec_id: name for name, spec_id in report.feature_sets.items()}
    for case, (_, own) in zip(manifest.select(np.unique(numbers[order])), by_case, strict=True):
        if state_of(case.manifest_row) == "failed":
            yield from (_item(case, row, details[row["run_id"]], sets.get(row["spec_id"])) for _, row in own)


def _details(log: RunLog, run_id: str) -> Details:
    """Return what the log of a run says of its failures."""
    details, is_here = {}, False
    for entry in log.read(run_id):
        is_here = True
        if entry["event"] == "failed" and "private" in entry:
            key = str(entry.get("roi_key") or entry["case_key"]), str(entry["stage"]), str(entry["kind"])
            details[key] = str(entry["private"])
    return details if is_here else None


def _numbered(rows: pa.Table, numbers: npt.NDArray[np.int64]) -> Iterator[tuple[int, Row]]:
    """Yield rows with the numbers of their cases."""
    for start in range(0, rows.num_rows, ROWS_TOGETHER):
        part = slice(start, start + ROWS_TOGETHER)
        yield from zip(numbers[part], rows.slice(start, ROWS_TOGETHER).to_pylist(), strict=True)


def _item(case: Case, row: Row, of_run: Details, feature_set: str | None) -> FailedItem:
    roi = next((roi for roi in case.rois if roi.roi_key == row["roi_key"]), None)
    path = roi.mask if roi and roi.mask and row["stage"] == "mask" else case.image
    if of_run is None:
        private = f"see the log of run {row['run_id']}, which is not here"
    else:
        private = of_run.get((row["roi_key"] or row["case_key"], row["stage"], row["kind"]), "")
    # Of a traceback, what happened.
    detail = (private.strip().splitlines() or [""])[-1]
    return FailedItem(
        row=roi.manifest_row if roi else case.manifest_row,
        center=case.center,
        case_id=case.case_id,
        outline=_outline(row["roi_key"], roi),
        stage=row["stage"],
        kind=row["kind"],
        message=row["message"] if feature_set is None else f"feature set {feature_set}: {row['message']}",
        path=path,
        detail=detail.removeprefix(f"{path}/").removeprefix(path).removeprefix(": "),
        own=json.loads(case.extra),
    )


def _outline(roi_key: str, roi: RoiSource | None) -> str:
    """Return an outline in words; one that a method found is not in the manifest."""
    if roi is not None:
        return f"{roi.roi} ({roi.reader}, reading {roi.reading})"
    return " by ".join(roi_key.split("/")[2:4])
