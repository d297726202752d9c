"""What is known of a case beside its features: clinical values, and how it was scanned; of a bundle's cohort as of a centre's."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from cvtbatch import contracts
from cvtbatch.dlrn.clinical_columns import to_number
from cvtbatch.dlrn.clinical_terms import ClinicalTerm, Kind
from cvtbatch.validation.baseline import Value

Row = Mapping[str, Any]
Columns = dict[str, list[Value]]


def clinical_values(case: Row, roi: Row | None) -> dict[str, Value]:
    """Return a case's clinical values and the volume of its outline."""
    values: dict[str, Value] = {
        name: case[name]
        for name in contracts.clinical_columns()
        if name not in {"patient", "cvt", "etiology"} and name in case
    }
    values["volume_ml"] = None if roi is None else roi["volume_ml"]
    return values


def own_values(case: Row, terms: Iterable[ClinicalTerm]) -> dict[str, Value]:
    """Return the x_ columns of a case that are clinical terms of a nomogram, None where unknown or no number."""
    own = [term for term in terms if term.name.startswith(contracts.pass_through_prefix())]
    extra = json.loads(case["extra"]) if own else {}
    values: dict[str, Value] = {}
    for term in own:
        number = to_number(extra.get(term.name))
        values[term.name] = extra.get(term.name) if term.kind is Kind.LEVEL else None if math.isnan(number) else number
    return values


def acquisition_values(volume: Row, filter_scale_hu: float | None) -> dict[str, Value]:
    """Return how a case was scanned, and the maximum by which four filters scale."""
    scanner = " ".join(part for part in (volume["manufacturer"], volume["scanner_model"]) if part)
    spacing = volume["source_spacing_mm"] or [None]
    return {
        "scanner": scanner or None,
        "convolution kernel": volume["convolution_kernel"],
        "tube voltage (kV)": volume["kvp"],
        "pixel (mm)": spacing[0],
        "largest slice gap (mm)": volume["source_gap_max_mm"],
        "gantry tilt (degrees)": volume["source_tilt_deg"],
        "noise (HU)": volume["noise_hu"],
        "filter scaling maximum (HU)": filter_scale_hu,
    }


def case_columns(cases: Iterable[tuple[Row, Row, Row, float | None]]) -> tuple[Columns, Columns]:
    """Return clinical values and those of acquisition by column, a value a case, in order.

    Args:
        cases: of each the rows of `cases`, `rois` and `volumes`, and the maximum by which four filters scale.
    """
    clinical: Columns = {}
    acquisition: Columns = {}
    for case, roi, volume, scale in cases:
        for columns, values in (
            (clinical, clinical_values(case, roi)),
            (acquisition, acquisition_values(volume, scale)),
        ):
            for name, value in values.items():
                columns.setdefault(name, []).append(value)
    return clinical, acquisition
