"""What a store holds of outlines, read once: where they lie, what was measured, scored and said of them."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.pipelines.shared.reviewed import refused_outlines
from cvtbatch.pipelines.stores.source_outlines import ROI_COLUMNS, VOLUME_COLUMNS, Row
from cvtbatch.spec import Spec
from cvtbatch.store import View

DIAMETERS = ("original_shape_Maximum2DDiameterSlice", "original_shape_Maximum3DDiameter")
_SHAPE_COLUMNS = ("roi_key", "input_digest", "sequence", "recorded_at", *DIAMETERS)
Key = TypeVar("Key")
# An outline, and the state of image and mask that something was said of.
Input = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredResults:
    """Rows by key.

    Attributes:
        volumes: the newest of every case_key.
        rois: the outlines on these, by case_key.
        shapes: rows of `radiomics`.
        scores: of the bundle, with the case's clinical values as they are; empty without one.
        refused: why a review does not accept an outline, by roi_key.
        first_recorded: when an outline as it is was first recorded.
    """

    volumes: Mapping[str, Row]
    rois: Mapping[str, Sequence[Row]]
    shapes: Mapping[Input, Row]
    scores: Mapping[Input, Row]
    refused: Mapping[str, str]
    first_recorded: Mapping[Input, datetime.datetime]
    specs: Mapping[str, Spec]


def read_stored_results(view: View, bundle: Bundle | None) -> StoredResults:
    """Read what stands in a view.

    Args:
        bundle: whose scores are read, on volumes of its specification; without one, on the volumes last written.
    """
    spec_ids = [] if bundle is None else [bundle.specs.radiomics_spec_id]
    columns = [*VOLUME_COLUMNS, "source_format", "flags"]
    volumes = _newest(view.rows("volumes", columns, spec_ids), lambda row: row["case_key"])
    wanted = [*ROI_COLUMNS, "input_digest", "largest_slice_area_mm2", "flags"]
    rois: dict[str, list[Row]] = {}
    for row in view.outlines(wanted, spec_ids).sort_by("roi_key").to_pylist():
        volume = volumes.get(row["case_key"])
        if volume is not None and volume["volume_spec_id"] == row["volume_spec_id"]:
            rois.setdefault(row["case_key"], []).append(row)
    found = [row for rows in rois.values() for row in rows]
    return StoredResults(
        volumes,
        rois,
        _newest(view.rows("radiomics", _SHAPE_COLUMNS, spec_ids), _input),
        {} if bundle is None else _scores(view, bundle),
        refused_outlines(view, found, "roi_key"),
        _first_recorded(view),
        view.specs(),
    )


def _scores(view: View, bundle: Bundle) -> dict[Input, Row]:
    clinical = {
        row["case_key"]: row["clinical_digest"]
        for row in view.rows("cases", ["case_key", "clinical_digest"]).to_pylist()
    }
    columns = contracts.table("scores").arrow().names
    rows = view.read("scores", columns, pc.field("bundle_digest") == bundle.digest)
    current = [row for row in rows.to_pylist() if row["clinical_digest"] in {"", clinical.get(row["case_key"])}]
    return _newest_of(current, lambda row: (row["roi_key"], row["radiomics_digest"]))


def _first_recorded(view: View) -> dict[Input, datetime.datetime]:
    rows = view.read("rois", ["roi_key", "input_digest", "recorded_at"])
    firsts = rows.group_by(["roi_key", "input_digest"]).aggregate([("recorded_at", "min")]).to_pylist()
    return {_input(row): row["recorded_at_min"] for row in firsts}


def _newest(rows: pa.Table, key: Callable[[Row], Key]) -> dict[Key, Row]:
    return _newest_of(rows.to_pylist(), key)


def _newest_of(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, Row]:
    return {key(row): row for row in sorted(rows, key=lambda row: int(row["sequence"]))}


def _input(row: Row) -> Input:
    return row["roi_key"], row["input_digest"]
