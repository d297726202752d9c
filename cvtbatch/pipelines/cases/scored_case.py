"""A case scored by a bundle without a store, and what its card takes of that whatever the bundle tells.

A number is given where training supports it. A model has no score where a column that it uses lies outside the range of the
training cases; what lies outside is named, on which side.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from cvtbatch.counts import counted
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.clinical_columns import to_number
from cvtbatch.dlrn.clinical_terms import is_yes_or_no, levels_of, names_of, numbers_among
from cvtbatch.dlrn.kernels import project
from cvtbatch.dlrn.pooling import Slices
from cvtbatch.dlrn.scoring import CENTER, by_class
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.errors import InputError
from cvtbatch.pipelines.cases.case_inputs import CaseInputs
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES, uncalibrated
from cvtbatch.pipelines.centers.center_source import seen_images
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.validation.baseline import Value
from cvtbatch.validation.nomogram import TrainingRange
from cvtbatch.validation.report.card_facts import OutsideColumn
from cvtbatch.validation.report.column_words import variable_in_words
from cvtbatch.validation.report.conclusion import UNTRAINED
from cvtbatch.validation.values import Floats, Maybe, NotComputable

Row = Mapping[str, Any]
OUTSIDE = "an input lies outside the training range"


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCase:
    """A case with its scores.

    Attributes:
        row: of the scores, as `Bundle.score` gives it, with explanations where the bundle tells an event.
        clinical: values of the nomogram's clinical terms, None where one is not known.
    """

    bundle: Bundle
    inputs: CaseInputs
    row: Row
    clinical: Mapping[str, Value]
    outside: tuple[OutsideColumn, ...]


class Facts(TypedDict):
    """Fields of `CardFacts` that follow from the bundle and the inputs alone."""

    bundle_digest: str
    intended_use: str
    cautions: tuple[str, ...]
    input_digest: str
    choice: str
    volume_ml: float
    source_volume_ml: float
    flags: tuple[str, ...]
    outside: tuple[OutsideColumn, ...]
    distance_percentile: float | None
    largest: OutlinedSlice


def score_case(bundle: Bundle, inputs: CaseInputs, clinical: Mapping[str, str], center: str | None) -> ScoredCase:
    """Score a case.

    Args:
        clinical: values of the nomogram's clinical terms by column, as a manifest has them.
        center: whose case it is, which a bundle asks that makes centres alike.

    Raises:
        InputError: "no_such_term": the nomogram has no such term; "bad_value": a number is none, or neither 0 nor 1.
    """
    values = _clinical_values(bundle, clinical)
    radiomics = dict.fromkeys(name for model in bundle.model.models for name in model.radiomics)
    columns = {name: pa.array([inputs.features[name]], pa.float64()) for name in radiomics}
    columns[bundle.model.pooling.column] = pa.array([inputs.embedding], pa.list_(pa.float32()))
    for name, value in values.items():
        columns[name] = pa.array([value], pa.string() if levels_of(bundle.model.clinical, name) else pa.float64())
    for name, term in {term.name: term for model in bundle.model.models for term in model.clinical}.items():
        columns.setdefault(name, pa.array([None], pa.string() if term.level else pa.float64()))
    columns[CENTER] = pa.array([center], pa.string())
    [row] = bundle.score(pa.table(columns), explain=not bundle.model.classes).to_pylist()
    outside = _outside(bundle, row, _column_values(bundle, inputs, center), values)
    return ScoredCase(bundle, inputs, row, values, outside)


def facts_of(scored: ScoredCase) -> Facts:
    """Return what a card shows whatever the bundle tells."""
    bundle, inputs, row = scored.bundle, scored.inputs, scored.row
    return {
        "bundle_digest": bundle.digest,
        "intended_use": bundle.description.intended_use,
        "cautions": tuple(_cautions(bundle, inputs)),
        "input_digest": inputs.input_digest,
        "choice": inputs.choice,
        "volume_ml": inputs.volume_ml,
        "source_volume_ml": inputs.source_volume_ml,
        "flags": tuple(dict.fromkeys([*row["flags"], *inputs.flags])),
        "outside": scored.outside,
        "distance_percentile": row["distance_percentile"],
        "largest": inputs.largest,
    }


def trained_on(bundle: Bundle, how_many: str) -> str:
    """Return whom a bundle was trained on.

    Args:
        how_many: cases, in words, with the event, or of each class.
    """
    told = bundle.description
    return (
        f"{counted(told.cohort.cases, 'case')} of {', '.join(told.cohort.training_centers)}, {how_many}, outlined by "
        f"reader {told.primary}"
    )


def unfit(bundle: Bundle) -> list[str]:
    """Return why nothing may be concluded of a patient, in words."""
    return [UNTRAINED] if bundle.description.weights.not_for_inference else []


def known_values(scored: ScoredCase) -> dict[str, Maybe[float | str]]:
    """Return the values of clinical terms."""
    return {name: NotComputable("not known") if value is None else value for name, value in scored.clinical.items()}


def missing_signatures(scored: ScoredCase) -> dict[Model, NotComputable]:
    """Return why a signature gives no number, for each that does not."""
    bundle, row = scored.bundle, scored.row
    found: dict[Model, NotComputable] = {}
    names = np.asarray(bundle.model.columns, dtype=object)
    for model in SIGNATURES:
        own = [name for name in names[bundle.model.used[model]] if name in row["outside_features"]]
        if own:
            found[model] = NotComputable(f"{OUTSIDE} ({', '.join(own)})")
        elif row[by_class(model) if bundle.model.classes else str(model)] is None:
            found[model] = NotComputable("a feature that the model needs cannot be computed of this outline")
    return found


def missing_nomogram(scored: ScoredCase, why: NotComputable | None) -> NotComputable | None:
    """Return why the nomogram gives no number; None where it does.

    Args:
        why: why its signature gives none.
    """
    bundle, row = scored.bundle, scored.row
    beyond = [term.name for term in numbers_among(bundle.model.clinical) if term.name in row["outside_features"]]
    if beyond:
        why = NotComputable(f"{OUTSIDE} ({', '.join(beyond)})" + (f", and {why.reason}" if why else ""))
    for reason in _unusable(bundle, scored.clinical):
        why = NotComputable(reason + (f", and {why.reason}" if why else ""))
    return why


def _clinical_values(bundle: Bundle, given: Mapping[str, str]) -> dict[str, Value]:
    """Return the value of each clinical term: a number, or a category's text; None where it is not given.

    Raises:
        InputError: "no_such_term" or "bad_value".
    """
    names = names_of(bundle.model.clinical)
    if unknown := [name for name in given if name not in names]:
        raise InputError(
            "no_such_term",
            f"{unknown[0]} is no term of the bundle's nomogram: it has {', '.join(names) or 'none beside the DLR signature'}",
        )
    values: dict[str, Value] = dict.fromkeys(names)
    for name, text in given.items():
        if levels_of(bundle.model.clinical, name):
            values[name] = text
            continue
        values[name] = number = to_number(text)
        if math.isnan(number) or (is_yes_or_no(name) and number not in (0, 1)):
            raise InputError("bad_value", f"{name}: {text!r} is {'not 0 or 1' if is_yes_or_no(name) else 'no number'}")
    return values


def _unusable(bundle: Bundle, values: Mapping[str, Value]) -> Iterator[str]:
    """Yield why clinical values give no points: unknown ones together, last, and each level that training did not have."""
    for name, value in values.items():
        levels = levels_of(bundle.model.clinical, name)
        if levels and value is not None and value not in levels:
            yield f"no training case had {variable_in_words(name)} {value!r}, but {', '.join(levels)}"
    if unknown := [variable_in_words(name) for name, value in values.items() if value is None]:
        yield f"{' and '.join(unknown)} {'are' if len(unknown) > 1 else 'is'} not known"


def _outside(bundle: Bundle, row: Row, columns: Floats, clinical: Mapping[str, Value]) -> tuple[OutsideColumn, ...]:
    """Return the columns and clinical numbers whose value lies outside the training range, with the side.

    Args:
        columns: (C,) values of the model's columns.
    """
    model = bundle.model
    values = dict(zip(model.columns, columns.tolist(), strict=True))
    ranges = {
        name: TrainingRange(float(low), float(high))
        for name, low, high in zip(model.columns, model.low, model.high, strict=True)
    }
    for term in numbers_among(model.clinical):
        values[term.name], ranges[term.name] = clinical[term.name], TrainingRange(float(term.low), float(term.high))
    return tuple(
        OutsideColumn(name, "below" if values[name] < ranges[name].low else "above", ranges[name])
        for name in row["outside_features"]
    )


def _column_values(bundle: Bundle, inputs: CaseInputs, center: str | None) -> Floats:
    """Return the values of the model's columns, centres made alike: (C,)."""
    stored = np.array([[inputs.features[name] for name in bundle.model.radiomics]])
    [radiomics] = bundle.model.harmonised(stored, [center])
    slices = inputs.embedding.reshape(-1, len(bundle.model.loadings))
    embedding = bundle.model.embedding(Slices(slices, np.array([0, len(slices)])))
    components: Floats = project(embedding, bundle.model.loadings, bundle.model.offset)
    return np.array([*radiomics, *components[0]])


def _cautions(bundle: Bundle, inputs: CaseInputs) -> list[str]:
    told = bundle.description
    cautions = [f"{entry.mark} ({', '.join(MODEL_NAMES[model] for model in entry.models)})" for entry in told.marks]
    cautions += [*(remark.message for remark in told.remarks), *uncalibrated(bundle)]
    cautions = [*(warning.message for warning in bundle_warnings(told)), *cautions]
    if inputs.image_digest in seen_images(bundle):
        cautions.insert(
            0, "this image is among those that the bundle was trained or recalibrated on: its scores are in sample"
        )
    return cautions
