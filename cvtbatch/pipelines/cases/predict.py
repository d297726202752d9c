"""Predict: one case and a bundle to a card, without a store, by the values that a store's route gives.

A number is given where training supports it. A model has no score where a column that it uses lies outside the range of the
training cases, and the DLRN none where the DLR signature lies outside the range of training's out-of-fold scores, on which the
nomogram was fitted; the card names what lies outside, on which side.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.clinical_columns import to_number
from cvtbatch.dlrn.clinical_terms import is_yes_or_no, levels_of, names_of, numbers_among
from cvtbatch.dlrn.kernels import project
from cvtbatch.dlrn.pooling import Slices
from cvtbatch.dlrn.scoring import CENTER, probability_column
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.errors import InputError
from cvtbatch.pipelines.cases.case_inputs import CaseInputs
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES, scale_of, term_name, training_ranges, uncalibrated
from cvtbatch.pipelines.centers.center_source import seen_images
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
from cvtbatch.validation.baseline import Value
from cvtbatch.validation.inputs import Contribution
from cvtbatch.validation.nomogram import TrainingRange
from cvtbatch.validation.report.card import (
    RESEARCH_USE,
    CaseCard,
    ModelCard,
    Moved,
    OutsideColumn,
    TermCard,
    conclude_card,
)
from cvtbatch.validation.report.column_words import variable_in_words
from cvtbatch.validation.report.conclusion import UNTRAINED
from cvtbatch.validation.values import Floats, Maybe, NotComputable

Row = Mapping[str, Any]
OUTSIDE = "an input lies outside the training range"
UNCALIBRATED = NotComputable("votes are uncalibrated")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A case's scores and their card.

    Attributes:
        row: of the scores, as `Bundle.score` gives it with explanations, whatever of it the card shows.
    """

    row: Row
    card: CaseCard

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch predict --json`: what the card shows, numbers in full."""
        card = self.card
        return {
            "command": "predict",
            "research_use": RESEARCH_USE,
            **{name: _plain(getattr(card, name)) for name in CaseCard.__dataclass_fields__ if name != "largest"},
        }


def predict_case(
    bundle: Bundle, inputs: CaseInputs, clinical: Mapping[str, str], center: str | None = None
) -> Prediction:
    """Score a case and return its card.

    Args:
        clinical: values of the nomogram's clinical terms by column, as a manifest has them; without one of them there is no DLRN.
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
    [row] = bundle.score(pa.table(columns), explain=True).to_pylist()
    told = bundle.description
    outside = _outside(bundle, row, _column_values(bundle, inputs, center), values)
    missing = _missing(bundle, row, values)
    models = tuple(_model(bundle, model, row, missing.get(model)) for model in MODEL_NAMES)
    return Prediction(
        row,
        CaseCard(
            bundle_digest=bundle.digest,
            intended_use=told.intended_use,
            trained_on=f"{told.cohort.cases} cases of {', '.join(told.cohort.training_centers)}, {told.cohort.positive} "
            f"with {told.outcome.event}, outlined by reader {told.primary}",
            conclusion=conclude_card(models[-1], outside, _unfit(bundle), told.outcome),
            cautions=tuple(_cautions(bundle, inputs)),
            input_digest=inputs.input_digest,
            choice=inputs.choice,
            volume_ml=inputs.volume_ml,
            source_volume_ml=inputs.source_volume_ml,
            flags=tuple(dict.fromkeys([*row["flags"], *inputs.flags])),
            models=models,
            terms=_terms(bundle, row, values, missing),
            total_points=missing.get(Model.DLRN) or float(row["points_total"]),
            outside=outside,
            distance_percentile=row["distance_percentile"],
            moved=missing.get(Model.DLR) or _moved(row),
            largest=inputs.largest,
        ),
    )


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


def _missing(bundle: Bundle, row: Row, values: Mapping[str, Value]) -> dict[Model, NotComputable]:
    """Return why a model gives no number, for each that does not."""
    found: dict[Model, NotComputable] = {}
    names = np.asarray(bundle.model.columns, dtype=object)
    for model in SIGNATURES:
        own = [name for name in names[bundle.model.used[model]] if name in row["outside_features"]]
        if own:
            found[model] = NotComputable(f"{OUTSIDE} ({', '.join(own)})")
        elif row[str(model)] is None:
            found[model] = NotComputable("a feature that the model needs cannot be computed of this outline")
    why, limits = found.get(Model.DLR), training_ranges(bundle)["dlr"]
    if isinstance(limits, NotComputable):
        why = why or limits
    elif why is None and not limits.low <= row[str(Model.DLR)] <= limits.high:
        why = found[Model.DLR] = NotComputable(f"{OUTSIDE} (DLR signature)")
    beyond = [term.name for term in numbers_among(bundle.model.clinical) if term.name in row["outside_features"]]
    if beyond:
        why = NotComputable(f"{OUTSIDE} ({', '.join(beyond)})" + (f", and {why.reason}" if why else ""))
    for reason in _unusable(bundle, values):
        why = NotComputable(reason + (f", and {why.reason}" if why else ""))
    if why is not None:
        found[Model.DLRN] = why
    return found


def _unusable(bundle: Bundle, values: Mapping[str, Value]) -> Iterator[str]:
    """Yield why clinical values give no points: unknown ones together, last, and each level that training did not have."""
    for name, value in values.items():
        levels = levels_of(bundle.model.clinical, name)
        if levels and value is not None and value not in levels:
            yield f"no training case had {variable_in_words(name)} {value!r}, but {', '.join(levels)}"
    if unknown := [variable_in_words(name) for name, value in values.items() if value is None]:
        yield f"{' and '.join(unknown)} {'are' if len(unknown) > 1 else 'is'} not known"


def _model(bundle: Bundle, model: Model, row: Row, missing: NotComputable | None) -> ModelCard:
    thresholds = dict(bundle.model.thresholds[model])
    probability = row[probability_column(model)]
    return ModelCard(
        name=MODEL_NAMES[model],
        score=missing or float(row[str(model)]),
        scale=scale_of(bundle, model),
        probability=missing or (UNCALIBRATED if probability is None else float(probability)),
        thresholds=thresholds,
        positive={} if missing else {name: bool(row[f"{model}_{name}"]) for name in thresholds},
    )


def _terms(
    bundle: Bundle, row: Row, values: Mapping[str, Value], missing: Mapping[Model, NotComputable]
) -> tuple[TermCard, ...]:
    ranges, clinical = training_ranges(bundle), bundle.model.clinical
    signature = missing.get(Model.DLR) or float(row[str(Model.DLR)])
    shown: dict[str, Maybe[float | str]] = {"dlr": signature}
    shown |= {name: NotComputable("not known") if value is None else value for name, value in values.items()}
    terms = []
    for name, value in shown.items():
        levels = levels_of(clinical, name)
        points: Maybe[float] = NotComputable("no training case had it")
        if isinstance(value, NotComputable):
            points = value
        elif row[f"points_{name}"] is not None:
            points = float(row[f"points_{name}"])
        terms.append(TermCard(term_name(name), value, None if levels else ranges[name], points, levels))
    return tuple(terms)


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


def _moved(row: Row) -> Moved:
    pairs = zip(row["top_features"], row["top_contributions"], strict=True)
    return Moved(row["base"], tuple(Contribution(*pair) for pair in pairs), row["other_contributions"])


def _unfit(bundle: Bundle) -> list[str]:
    return [UNTRAINED] if bundle.description.weights.not_for_inference else []


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


def _plain(value: object) -> object:
    """Return a value as JSON has it; what cannot be computed is {"not_computable": reason}."""
    match value:
        case NotComputable():
            return {"not_computable": value.reason}
        case ModelCard():
            return {**asdict(value), "score": _plain(value.score), "probability": _plain(value.probability)}
        case TermCard():
            return {name: _plain(getattr(value, name)) for name in TermCard.__dataclass_fields__}
        case OutsideColumn() | TrainingRange() | Moved():
            return asdict(value)
        case tuple():
            return [_plain(entry) for entry in value]
    return value
