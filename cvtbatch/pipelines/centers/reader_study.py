"""The reader study of a centre: every further outline of its cases against the primary one, one scan a patient."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.dlrn.thresholds import YOUDEN
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES
from cvtbatch.pipelines.centers.center_source import Source
from cvtbatch.pipelines.models.eligible_cases import Row
from cvtbatch.store import StoredArray
from cvtbatch.validation.agreement import icc_agreement
from cvtbatch.validation.first_scans import first_places
from cvtbatch.validation.readers import ReaderStudy, ScoreAgreement, dice, reader_study, score_agreement
from cvtbatch.validation.values import Estimate, Floats, Interval, Maybe, NotComputable

FEWEST = 3
"""Cases that a study needs: below that an ICC says nothing."""


def read_readers(source: Source) -> tuple[ReaderStudy, ...]:
    """Return a study for each further reader or reading of the centre, in their order."""
    rois = [
        row
        for row in source.by_key("rois", "roi_key").values()
        if row["center"] == source.center and Reading(row["reader"], row["reading"]) != source.primary
    ]
    readings = sorted({Reading(row["reader"], row["reading"]) for row in rois})
    studies = [_study(source, reading) for reading in readings]
    return tuple(study for study in studies if study is not None)


def _study(source: Source, other: Reading) -> ReaderStudy | None:
    """Return the study of another reader and reading against the primary one; None with fewer than FEWEST cases in both."""
    names = list(contracts.feature_names())
    first, second = (_by_case(source.wide([source.center], reading, names)) for reading in (source.primary, other))
    cases = _one_a_patient(
        row for row in source.cases([source.center]) if row["case_key"] in first.keys() & second.keys()
    )
    if len(cases) < FEWEST:
        return None
    tables = [_rows_of(found, cases) for found in (first, second)]
    rois = source.by_key("rois", "roi_key")
    outlines = [[rois[key] for key in table["roi_key"].to_pylist()] for table in tables]
    values = np.stack([_matrix(table, names) for table in tables], axis=1)
    kind: Literal["intra-reader", "inter-reader"] = (
        "intra-reader" if other.reader == source.primary.reader else "inter-reader"
    )
    return reader_study(
        kind,
        (str(source.primary), str(other)),
        _agreement(names, values),
        [share for pair in zip(*outlines, strict=True) if (share := _dice(source, *pair)) is not None],
        _volumes(outlines),
        _score_agreements(source, tables),
    )


def _one_a_patient(cases: Iterable[Row]) -> list[str]:
    """Return the case_keys of one scan a patient: agreement takes cases as independent."""
    scans = [(row["patient"], row["onset_to_ct_h"], row["case_key"]) for row in cases]
    return [scans[place][2] for place in first_places(scans)]


def _by_case(rows: pa.Table) -> dict[str, pa.Table]:
    """Return a table of one row for each case that has one outline."""
    keys = rows["case_key"].to_pylist()
    return {key: rows.slice(place, 1) for place, key in enumerate(keys) if keys.count(key) == 1}


def _rows_of(found: Mapping[str, pa.Table], cases: list[str]) -> pa.Table:
    """Return the rows of some cases, in order."""
    return pa.concat_tables([found[case] for case in cases])


def _matrix(table: pa.Table, names: list[str]) -> Floats:
    """Return columns as (rows, columns), NaN where a value is missing."""
    return np.column_stack([table[name].cast(pa.float64()).to_numpy() for name in names])


def _agreement(names: list[str], values: Floats) -> dict[str, Maybe[Estimate]]:
    """Return the ICC of each feature.

    Args:
        values: (cases, 2, features).
    """
    found = icc_agreement(values)
    columns = zip(names, found.icc.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return {name: _estimate(icc, low, high) for name, icc, low, high in columns}


def _estimate(icc: float, low: float, high: float) -> Maybe[Estimate]:
    if not np.isfinite(icc):
        return NotComputable("a value is missing, or the feature does not vary")
    if not (np.isfinite(low) and np.isfinite(high)):
        return Estimate(icc, NotComputable("the interval's degrees of freedom vanish"))
    return Estimate(icc, Interval(min(low, high), max(low, high)))


def _dice(source: Source, first: Row, second: Row) -> float | None:
    """Return the overlap of two outlines on one volume, or None where it cannot be read."""
    if first["image_digest"] != second["image_digest"]:
        return None
    try:
        masks = [source.store.read_array(StoredArray(row["path"], row["checksum"])) for row in (first, second)]
    except CvtbatchError:
        return None
    found = dice(masks[0].astype(np.uint8), masks[1].astype(np.uint8))
    return None if isinstance(found, NotComputable) else found


def _volumes(outlines: list[list[Row]]) -> tuple[Floats, Floats]:
    """Return the volumes of both outlines in ml, (cases,) each."""
    first, second = (np.array([row["volume_ml"] for row in rows], dtype=np.float64) for rows in outlines)
    return first, second


def _score_agreements(source: Source, tables: list[pa.Table]) -> list[Maybe[ScoreAgreement]]:
    """Score both outlines with every model, and compare."""
    first, second = (source.bundle.score(table) for table in tables)
    found = []
    for model, name in MODEL_NAMES.items():
        both = pc.and_(first[str(model)].is_valid(), second[str(model)].is_valid())
        values = [scored[str(model)].filter(both).to_numpy() for scored in (first, second)]
        threshold = source.bundle.model.thresholds[model][YOUDEN]
        found.append(score_agreement(name, values[0], values[1], threshold))
    return found
