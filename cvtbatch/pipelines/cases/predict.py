"""Predict: one case and a bundle to a card, without a store, by the values that a store's route gives.

A number is given where training supports it. A model has no score where a column that it uses lies outside the range of the
training cases, and the DLRN none where the DLR signature lies outside the range of training's out-of-fold scores, on which the
nomogram was fitted; the card names what lies outside, on which side.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.kernels import project
from cvtbatch.dlrn.scoring import EPILEPSY, probability_column
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.pipelines.cases.case_inputs import CaseInputs
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES, TERM_NAMES, scale_of, training_ranges, uncalibrated
from cvtbatch.pipelines.centers.center_source import seen_images
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
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


def predict_case(bundle: Bundle, inputs: CaseInputs, epilepsy: int | None) -> Prediction:
    """Score a case and return its card.

    Args:
        epilepsy: 0 or 1, or None where unknown: then there is no DLRN.
    """
    columns = {name: pa.array([inputs.features[name]], pa.float64()) for name in bundle.model.radiomics}
    columns[bundle.model.pooling.column] = pa.array([inputs.embedding], pa.list_(pa.float32()))
    columns[EPILEPSY] = pa.array([epilepsy], pa.int64())
    [row] = bundle.score(pa.table(columns), explain=True).to_pylist()
    told = bundle.description
    outside = _outside(bundle, row, inputs)
    missing = _missing(bundle, row, epilepsy)
    models = tuple(_model(bundle, model, row, missing.get(model)) for model in MODEL_NAMES)
    return Prediction(
        row,
        CaseCard(
            bundle_digest=bundle.digest,
            intended_use=told.intended_use,
            trained_on=f"{told.cohort.cases} cases of {', '.join(told.cohort.training_centers)}, {told.cohort.positive} with CVT, "
            f"outlined by reader {told.primary}",
            conclusion=conclude_card(models[-1], outside, _unfit(bundle)),
            cautions=tuple(_cautions(bundle, inputs)),
            input_digest=inputs.input_digest,
            choice=inputs.choice,
            volume_ml=inputs.volume_ml,
            source_volume_ml=inputs.source_volume_ml,
            flags=tuple(dict.fromkeys([*row["flags"], *inputs.flags])),
            models=models,
            terms=_terms(bundle, row, epilepsy, missing),
            total_points=missing.get(Model.DLRN) or float(row["points_total"]),
            outside=outside,
            distance_percentile=row["distance_percentile"],
            moved=missing.get(Model.DLR) or _moved(row),
            largest=inputs.largest,
        ),
    )


def _missing(bundle: Bundle, row: Row, epilepsy: int | None) -> dict[Model, NotComputable]:
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
    if epilepsy is None:
        why = NotComputable("epilepsy is not known" + (f", and {why.reason}" if why else ""))
    if why is not None:
        found[Model.DLRN] = why
    return found


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
    bundle: Bundle, row: Row, epilepsy: int | None, missing: Mapping[Model, NotComputable]
) -> tuple[TermCard, ...]:
    unknown = NotComputable("not known")
    values: dict[str, Maybe[float]] = {
        "dlr": missing.get(Model.DLR) or float(row[str(Model.DLR)]),
        "epilepsy": unknown if epilepsy is None else float(epilepsy),
    }
    ranges = training_ranges(bundle)
    terms = []
    for axis in bundle.model.nomogram.axes:
        value = values[axis.name]
        points = value if isinstance(value, NotComputable) else float(row[f"points_{axis.name}"])
        terms.append(TermCard(TERM_NAMES.get(axis.name, axis.name), value, ranges[axis.name], points))
    return tuple(terms)


def _outside(bundle: Bundle, row: Row, inputs: CaseInputs) -> tuple[OutsideColumn, ...]:
    """Return the columns whose value lies outside the training range, with the side."""
    model, found = bundle.model, []
    values = _column_values(bundle, inputs)
    for name in row["outside_features"]:
        place = model.columns.index(name)
        low, high = float(model.low[place]), float(model.high[place])
        found.append(OutsideColumn(name, "below" if values[place] < low else "above", TrainingRange(low, high)))
    return tuple(found)


def _column_values(bundle: Bundle, inputs: CaseInputs) -> Floats:
    """Return the values of the model's columns, (C,)."""
    radiomics = [inputs.features[name] for name in bundle.model.radiomics]
    components: Floats = project(inputs.embedding[None], bundle.model.loadings, bundle.model.offset)
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
