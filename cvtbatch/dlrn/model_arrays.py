"""A frozen model as named arrays and its part of bundle.json, and back; whatever is read is a sound model or none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.attention import Attention
from cvtbatch.dlrn.bundle_files import ARRAYS, DOCUMENT
from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS
from cvtbatch.dlrn.cohort_summary import EmbeddingMoments
from cvtbatch.dlrn.combat import Harmonisation, HarmonisedCenters, NewCenters, ReferenceScale
from cvtbatch.dlrn.description import Description
from cvtbatch.dlrn.forest import FlatForest
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.model_description import FoldDescription, SetsDescription
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.prediction_sets import METHOD, PredictionSets
from cvtbatch.dlrn.settings import SIGNATURES, Harmonising, Model
from cvtbatch.dlrn.soundness import model_problems, out_of_fold_problems, summary_problems
from cvtbatch.dlrn.training_scores import ClassScores
from cvtbatch.documents import to_document
from cvtbatch.errors import FormatError
from cvtbatch.regions.rules import columns_by_region

PLAIN = (
    "loadings",
    "offset",
    "mean",
    "scale",
    "low",
    "high",
    "terms",
    "distance_columns",
    "whitening",
    "training_distances",
)
# What bundle.json says of a fold's model: all else is the bundle's.
OF_FOLD = tuple(FoldDescription.__dataclass_fields__)
HARMONISATION = ("harmonisation.location", "harmonisation.scale")
REFERENCE = ("harmonisation.reference_mean", "harmonisation.reference_sd")
ATTENTION = {name: f"attention.{name}" for name in Attention.__dataclass_fields__}
RECALIBRATION, OUT_OF_FOLD, SIDES = "recalibration", "out_of_fold", ("events", "others")
MOMENTS = ("embedding.mean", "embedding.sd")
# Keys of bundle.json that belong to the model; formats 1 and 2 have no votes.
DESCRIPTION = (
    "columns",
    "embedding_length",
    "thresholds",
    "nomogram",
    "missing_feature",
    "votes",
    "pooling",
    "clinical_terms",
    "harmonisation",
    "prediction_sets",
)
# The names of the arrays with their types and shapes; a model's take 3 KB.
MOST_HEADER_BYTES = 1 << 20

Arrays = Mapping[str, np.ndarray[Any, Any]]


def read_arrays(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a safetensors file.

    Raises:
        FormatError: "bundle_damaged".
    """
    if int.from_bytes(data[:8], "little") > MOST_HEADER_BYTES:
        raise FormatError("bundle_damaged", f"{ARRAYS} says that its header is longer than any bundle's")
    try:
        return load_safetensors(data)
    except Exception as error:  # safetensors and numpy each raise their own kinds
        raise FormatError("bundle_damaged", f"{ARRAYS} is no safetensors file", f"{error}") from None


def problems_of(description: Description, arrays: Arrays) -> list[str]:
    """Return every reason why bundle.json, which keeps to its contract, and the arrays are no model that can be scored."""
    folds = () if description.prediction_sets is None else description.prediction_sets.folds
    parts = [description.columns, *(fold.columns for fold in folds)]
    used = columns_by_region(dict.fromkeys(column for part in parts for column in part.radiomics))
    if {region.name: list(region.columns) for region in description.regions} != used:
        return [f"{DOCUMENT} does not agree with itself which columns are of regions"]
    return _model_problems(description, arrays)


def _model_problems(description: Description, arrays: Arrays, held_out: Sequence[str] = ()) -> list[str]:
    """Return the same of a model, the bundle's or a fold's, with the names of the arrays that are a fold's alone."""
    if description.outcome.is_several and description.tells_event:
        return [f"{DOCUMENT} tells several classes, and has what is of an event alone"]
    folds = _folds(description, arrays)
    if problems := [f"{prefix} {found}" for prefix, told, own in folds for found in _fold_problems(told, own)]:
        return problems
    if any((told.harmonisation is None) != (description.harmonisation is None) for _, told, _ in folds):
        return [
            f"{DOCUMENT} does not agree with itself whether centres are made alike: of the whole cohort, or of a fold"
        ]
    needed, known = _array_names()
    known |= {*held_out, *(f"{prefix}{name}" for prefix, _, own in folds for name in own)}
    if missing := sorted(needed - set(arrays)):
        return [f"{ARRAYS} lacks {', '.join(missing)}"]
    if unknown := sorted(set(arrays) - known):
        return [f"{ARRAYS} holds {', '.join(unknown)}, which are no arrays of a model"]
    if halves := [model for model in Model if len(set(_out_of_fold_names(model)) & set(arrays)) == 1]:
        return [f"{ARRAYS} holds one class of out-of-fold scores of {', '.join(halves)}, and not the other"]
    if (RECALIBRATION in arrays) != (description.recalibration is not None):
        return [f"{DOCUMENT} and {ARRAYS} do not agree whether this is a recalibration"]
    if {name in arrays for name in HARMONISATION} != {description.harmonisation is not None}:
        return [f"{DOCUMENT} and {ARRAYS} do not agree whether centres are made alike"]
    alike = description.harmonisation
    by_own_cases = alike is not None and alike.new_centers is NewCenters.OWN_CASES
    if {name in arrays for name in REFERENCE} != {by_own_cases}:
        return [f"{DOCUMENT} and {ARRAYS} do not agree whether new centres are made alike by their own cases"]
    if {name in arrays for name in ATTENTION.values()} != {_pooling_of(description) is Pooling.ATTENTION}:
        return [f"{DOCUMENT} and {ARRAYS} do not agree whether slices are pooled by attention"]
    if description.harmonisation and description.harmonisation.columns != description.columns.radiomics:
        return [f"harmonisation of {DOCUMENT} is not of the radiomics columns in use"]
    specified = (description.spec_settings or {}).get("radiomics", {}).get("set", contracts.RADIOMICS)
    if specified != description.features:
        return [
            f"{DOCUMENT} does not agree with itself whose features columns are: of {description.features} or {specified}"
        ]
    summary = description.cohort_summary
    if {name in arrays for name in MOMENTS} != {summary is not None and summary.embedding is not None}:
        return [f"{DOCUMENT} and {ARRAYS} do not agree whether the embedding's moments are kept"]
    model = model_of(description, arrays)
    scores = {name: array for name, array in arrays.items() if name.startswith(f"{OUT_OF_FOLD}.")}
    problems = [*model_problems(model), *out_of_fold_problems(scores)]
    problems += _sets_problems(model.sets, description.prediction_sets)
    problems += summary_problems(description.cohort_summary, moments_of(arrays), description.embedding_length)
    length = description.embedding_length
    if not problems and length != len(model.loadings):
        return [f"embedding_length is {length}, and loadings are for {len(model.loadings)}"]
    return problems


def _fold_problems(description: Description, arrays: Arrays) -> list[str]:
    """Return every reason why a fold's part is no model with scores of the rows that it held out."""
    held_out = _held_out_names(_classes_of(description))
    if not set(arrays).issuperset(held_out):
        return [f"{ARRAYS} lacks the DLRN's scores of the rows that it held out"]
    return _model_problems(description, arrays, held_out)


def _sets_problems(sets: PredictionSets | None, told: SetsDescription | None) -> list[str]:
    if sets is None or told is None:
        return []
    if not all(any(map(len, of_class)) for of_class in zip(*sets.scores, strict=True)):
        return ["prediction_sets have no score of a class"]
    return [] if told.bound == sets.bound else ["prediction_sets promise what CV+ of so many cases does not"]


def _array_names() -> tuple[set[str], set[str]]:
    """Return the names of the arrays that every bundle has, and of all that it may have."""
    of_signatures = {f"{name}.{part}" for name in SIGNATURES for part in ("used", *FlatForest.__dataclass_fields__)}
    needed = {*PLAIN, *of_signatures}
    of_scores = {name for model in Model for name in _out_of_fold_names(model)}
    return needed, {*needed, RECALIBRATION, *HARMONISATION, *REFERENCE, *ATTENTION.values(), *MOMENTS, *of_scores}


def _out_of_fold_names(model: Model) -> tuple[str, ...]:
    return tuple(f"{OUT_OF_FOLD}.{model}.{side}" for side in SIDES)


def _held_out_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a fold's scores of the rows that it held out: of an event, or of each of several classes."""
    of_classes = (f"{OUT_OF_FOLD}.{Model.DLRN}.class-{number}" for number in range(1, len(classes) + 1))
    return tuple(of_classes) or _out_of_fold_names(Model.DLRN)


def _classes_of(description: Description) -> tuple[str, ...]:
    return description.outcome.classes if description.outcome.is_several else ()


def arrays_of(
    model: FrozenModel, out_of_fold: Mapping[Model, ClassScores], moments: EmbeddingMoments | None
) -> dict[str, np.ndarray[Any, Any]]:
    """Return all that a bundle keeps as arrays, by name."""
    arrays = {name: getattr(model, name) for name in PLAIN}
    if model.sets is not None:
        for prefix, fold, held_out in zip(_prefixes(model.folds), model.folds, model.sets.scores, strict=True):
            own = arrays_of(fold, {}, None) | dict(zip(_held_out_names(model.classes), held_out, strict=True))
            arrays |= {f"{prefix}{name}": array for name, array in own.items()}
    for signature in SIGNATURES:
        arrays[f"{signature}.used"] = model.used[signature]
        arrays |= {f"{signature}.{name}": array for name, array in model.forests[signature].arrays().items()}
    if model.recalibration is not None:
        arrays[RECALIBRATION] = model.recalibration
    if model.harmonisation is not None:
        arrays |= dict(zip(HARMONISATION, (model.harmonisation.location, model.harmonisation.scale), strict=True))
        if model.harmonisation.base is not None:
            arrays |= dict(zip(REFERENCE, (model.harmonisation.base.mean, model.harmonisation.base.sd), strict=True))
    if model.attention is not None:
        arrays |= {array: getattr(model.attention, name) for name, array in ATTENTION.items()}
    for name, scores in out_of_fold.items():
        arrays |= dict(zip(_out_of_fold_names(name), (getattr(scores, side) for side in SIDES), strict=True))
    if moments is not None:
        arrays |= dict(zip(MOMENTS, (moments.mean, moments.sd), strict=True))
    return {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}


def description_of(model: FrozenModel) -> JsonObject:
    """Return the part of bundle.json that belongs to the model."""
    votes = {str(name): to_document(terms) for name, terms in model.votes.items()}
    return {
        "columns": {"radiomics": list(model.radiomics), "components": list(model.components)},
        "embedding_length": len(model.loadings),
        **({} if model.classes else _event_of(model)),
        "missing_feature": model.missing_feature,
        **({"votes": votes} if votes else {}),
        **({} if model.pooling is Pooling.LARGEST else {"pooling": {"kind": model.pooling, "components": "of_pooled"}}),
        **(
            {}
            if model.clinical == DEFAULT_TERMS
            else {"clinical_terms": [term.to_document() for term in model.clinical]}
        ),
        **({} if model.harmonisation is None else {"harmonisation": _harmonised(model, model.harmonisation)}),
        **({} if model.sets is None else {"prediction_sets": _sets(model, model.sets)}),
    }


def _event_of(model: FrozenModel) -> JsonObject:
    """Return what bundle.json says of a model that tells an event, and not of one that tells several classes."""
    return {
        "thresholds": {str(name): dict(values) for name, values in model.thresholds.items()},
        "nomogram": model.nomogram.to_document(),
    }


def _sets(model: FrozenModel, sets: PredictionSets) -> JsonObject:
    told = [description_of(fold) for fold in model.folds]
    folds = [{name: own[name] for name in OF_FOLD if name in own} for own in told]
    return {"method": METHOD, "alpha": sets.alpha, "by_class": True, "bound": sets.bound, "folds": folds}


def _harmonised(model: FrozenModel, found: Harmonisation) -> JsonObject:
    return {
        "method": Harmonising.COMBAT,
        "centers": list(found.centers),
        "reference": found.reference,
        "columns": list(model.radiomics),
        "new_centers": NewCenters.AS_THEY_ARE if found.base is None else NewCenters.OWN_CASES,
        **({} if found.base is None else {"reference_columns": list(found.base.columns)}),
    }


def out_of_fold_of(arrays: Arrays) -> dict[Model, ClassScores]:
    """Return training's out-of-fold scores; empty in a bundle that keeps none."""
    return {
        model: ClassScores(*(arrays[name] for name in _out_of_fold_names(model)))
        for model in Model
        if _out_of_fold_names(model)[0] in arrays
    }


def moments_of(arrays: Arrays) -> EmbeddingMoments | None:
    """Return the moments of training's embeddings; None in a bundle that keeps none."""
    return EmbeddingMoments(*(arrays[name] for name in MOMENTS)) if MOMENTS[0] in arrays else None


def _harmonisation(told: HarmonisedCenters, arrays: Arrays) -> Harmonisation:
    location, scale = (arrays[name] for name in HARMONISATION)
    found = Harmonisation(told.centers, told.reference, location, scale)
    if told.new_centers is NewCenters.AS_THEY_ARE:
        return found
    return replace(found, base=ReferenceScale(told.reference_columns, *(arrays[name] for name in REFERENCE)))


def _pooling_of(description: Description) -> Pooling:
    return Pooling.LARGEST if description.pooling is None else description.pooling.kind


def _prefixes(folds: Sequence[object]) -> list[str]:
    return [f"fold-{number}." for number in range(1, len(folds) + 1)]


def _folds(description: Description, arrays: Arrays) -> list[tuple[str, Description, Arrays]]:
    """Return prefix, description and arrays of each fold's model: what a fold does not say of itself is the bundle's."""
    if description.prediction_sets is None:
        return []
    bare = replace(description, thresholds={}, votes={}, recalibration=None, cohort_summary=None, prediction_sets=None)
    found: list[tuple[str, Description, Arrays]] = []
    folds = description.prediction_sets.folds
    for prefix, fold in zip(_prefixes(folds), folds, strict=True):
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        found.append((prefix, replace(bare, **{name: getattr(fold, name) for name in OF_FOLD}), own))
    return found


def model_of(description: Description, arrays: Arrays) -> FrozenModel:
    """Return the model; its names and keys are there, and no more is sure of it."""
    folds = _folds(description, arrays)
    forests = {
        signature: FlatForest(**{name: arrays[f"{signature}.{name}"] for name in FlatForest.__dataclass_fields__})
        for signature in SIGNATURES
    }
    return FrozenModel(
        radiomics=description.columns.radiomics,
        components=description.columns.components,
        **{name: arrays[name] for name in PLAIN},
        used={signature: arrays[f"{signature}.used"] for signature in SIGNATURES},
        forests=forests,
        nomogram=description.nomogram,
        classes=(classes := _classes_of(description)),
        thresholds=description.thresholds,
        missing_feature=description.missing_feature,
        recalibration=arrays.get(RECALIBRATION),
        votes=description.votes,
        pooling=(pooling := _pooling_of(description)),
        attention=Attention(**{name: arrays[array] for name, array in ATTENTION.items()})
        if pooling is Pooling.ATTENTION
        else None,
        clinical=description.clinical_terms,
        harmonisation=None if description.harmonisation is None else _harmonisation(description.harmonisation, arrays),
        sets=None
        if description.prediction_sets is None
        else PredictionSets(
            description.prediction_sets.alpha,
            tuple(tuple(own[name] for name in _held_out_names(classes)) for *_, own in folds),
        ),
        folds=tuple(model_of(told, own) for _, told, own in folds),
    )
