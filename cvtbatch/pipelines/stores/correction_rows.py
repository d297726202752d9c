"""Manifest rows by which corrected outlines come back: those of their case, with another mask, segment and reader."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.manifest import Case, Manifest, Value

# What tells a correction from the outline that was corrected.
NEEDED = ("mask", "segment", "roi", "reader", "reading")


@dataclass(frozen=True, slots=True)
class CorrectionRows:
    """Rows to paste below a manifest.

    Attributes:
        columns: the manifest's, in its order, those without a name too; behind them the new ones.
        new_columns: what the rows need and the manifest has not.
        rows: cells by column, a row an outline; empty ones and those without a name left out.
    """

    columns: tuple[str, ...]
    new_columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def correction_rows(
    manifest: Manifest, case: Case, outlines: Sequence[tuple[str, str]], mask: Path, corrector: str
) -> CorrectionRows:
    """Return a row for each outline of a case.

    Args:
        outlines: ROI and segment of each.
        mask: the file with the segments.
        corrector: reader of the rows; one who has outlines of the ROI in the manifest already gets the next reading.
    """
    shared: dict[str, Value] = {
        **{"center": case.center, "case_id": case.case_id, "image": case.image_entry, "series_uid": case.series_uid},
        "allow_gaps": 1 if case.allow_gaps else None,
        "timepoint": case.timepoint,
        **case.clinical_values(),
        **json.loads(case.extra),
    }
    new = tuple(name for name in NEEDED if name not in manifest.columns)
    columns = (*manifest.columns, *new)
    rows = []
    for roi, segment in outlines:
        readings = [other.reading for other in case.rois if (other.roi, other.reader) == (roi, corrector)]
        own: dict[str, Value] = {"segment": segment, "roi": roi, "reader": corrector}
        place = os.path.relpath(mask.resolve(), manifest.folder)
        row = {**shared, **own, "mask": place, "reading": 1 + max(readings, default=0)}
        rows.append({name: _cell(row[name]) for name in columns if row.get(name) is not None})
    return CorrectionRows(columns, new, tuple(rows))


def _cell(value: Value) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
