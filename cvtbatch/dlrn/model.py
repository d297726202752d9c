"""A frozen model, and what it makes of rows: pure arithmetic on arrays, in one written order (see `kernels`)."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Floats32, Integers
from cvtbatch.dlrn.attention import Attention
from cvtbatch.dlrn.clinical_terms import (
    DEFAULT_TERMS,
    ClinicalColumns,
    ClinicalTerm,
    design,
    numbers_among,
    outside_range,
)
from cvtbatch.dlrn.combat import Harmonisation
from cvtbatch.dlrn.description import VoteRecalibration
from cvtbatch.dlrn.forest import FlatForest
from cvtbatch.dlrn.kernels import distances, logistic, multinomial, project, recalibrate, standardise
from cvtbatch.dlrn.nomogram import Nomogram
from cvtbatch.dlrn.pooling import Pooling, Slices
from cvtbatch.dlrn.prediction_sets import PredictionSets
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.votes import to_probability

# What a missing radiomics value does: no score of the signatures that need it, or the training mean stands in.
NO_SCORE, TRAINING_MEAN = "no_score", "training_mean"


@dataclass(frozen=True, slots=True)
class FrozenModel:
    """All that scoring needs; C columns, radiomics first, then components.

    Attributes:
        radiomics, components: names of the columns in use.
        loadings, offset: (E, K) and (K,), of the components in use.
        mean, scale: (C,) the training cohort's z-score.
        low, high: (C,) the training cohort's range.
        used: by signature, numbers of its columns.
        forests: by signature.
        terms: (2 + t,) intercept, coefficient of DLR, and those of the clinical terms; of several classes (K - 1, K + t),
            of each but the first, with a coefficient of DLR's votes for each but the first.
        nomogram: the same terms as points, an axis for each coefficient; of several classes `NO_NOMOGRAM`.
        distance_columns: (d,) columns that the distance looks at: those of DLR.
        whitening: (d, d) lower triangle; turns z-scores into independent ones.
        training_distances: (n,) of the training cohort, ascending.
        thresholds: by model and name; none of several classes.
        missing_feature: NO_SCORE or TRAINING_MEAN.
        recalibration: (2,) intercept and slope on the DLRN's log odds, or None in a bundle as it was fitted.
        votes: what makes probabilities of votes, by signature; empty in a bundle of format 1 or 2.
        pooling: how a hematoma's slices make the embedding that is scored.
        clinical: terms of the nomogram beside the signature.
        harmonisation: of the radiomics columns in use; None where centres stay as they are.
        sets: what makes sets of classes; None where none are made.
        attention: what pools slices; None where pooling is another.
        classes: names of several classes, in the order of their numbers; none where an event is told.
        folds: the models of the folds that sets are made by, all of whose steps saw a fold's training rows alone.
    """

    radiomics: tuple[str, ...]
    components: tuple[str, ...]
    loadings: Floats
    offset: Floats
    mean: Floats
    scale: Floats
    low: Floats
    high: Floats
    used: dict[Model, Integers]
    forests: dict[Model, FlatForest]
    terms: Floats
    nomogram: Nomogram
    distance_columns: Integers
    whitening: Floats
    training_distances: Floats
    thresholds: Mapping[Model, Mapping[str, float]]
    missing_feature: str
    recalibration: Floats | None = None
    votes: Mapping[Model, VoteRecalibration] = field(default_factory=dict)
    pooling: Pooling = Pooling.LARGEST
    clinical: tuple[ClinicalTerm, ...] = DEFAULT_TERMS
    harmonisation: Harmonisation | None = None
    sets: PredictionSets | None = None
    folds: tuple["FrozenModel", ...] = ()
    attention: Attention | None = None
    classes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return (*self.radiomics, *self.components)

    @property
    def models(self) -> tuple["FrozenModel", ...]:
        """The model, and those of the folds that make its sets."""
        return (self, *self.folds)

    @property
    def ranged(self) -> tuple[str, ...]:
        """Names of all that has a training range: columns, then the clinical terms that are numbers."""
        return (*self.columns, *(term.name for term in numbers_among(self.clinical)))

    @property
    def recalibrated(self) -> tuple[Model, ...]:
        """Signatures that have a probability beside their votes."""
        return tuple(name for name in SIGNATURES if name in self.votes and self.votes[name].slope is not None)

    def harmonised(self, radiomics: Floats, centers: Sequence[str | None]) -> Floats:
        """Return the radiomics columns (n, R) as the model takes them, of rows of these centres (n,)."""
        return radiomics if self.harmonisation is None else self.harmonisation.apply(radiomics, centers)

    def embedding(self, slices: Slices) -> Floats32:
        """Return the embedding of each hematoma, of all its slices or of the one that it is pooled to: (n, E), NaN without any."""
        if self.attention is not None:
            return self.attention.pool(slices)
        there = np.diff(slices.starts) > 0
        if there.all():
            return slices.values
        rows = np.full((len(there), slices.values.shape[1]), np.nan, np.float32)
        rows[there] = slices.values
        return rows

    def probability(self, signature: Model, votes: Floats) -> Floats:
        """Return the probabilities that a signature's votes (n,) stand for; NaN throughout where they are not recalibrated."""
        if signature not in self.votes:
            return np.full(len(votes), np.nan)
        return to_probability(votes, len(self.forests[signature].roots), self.votes[signature])


@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of n rows; NaN where something cannot be computed.

    Attributes:
        score: by model, (n,), of several classes (n, K): a signature's votes, the DLRN's probability.
        points: by term of the nomogram, "dlr" first, and "total", (n,); none of several classes.
        outside: (n, C + numbers) values outside the training range, as `FrozenModel.ranged` names them.
        distance, percentile: (n,) of the DLR columns from the training cohort's mean, and among its own distances.
        missing: (n,) a radiomics value in use is missing.
        unread: (n,) there is no embedding, or one with missing values.
        scaled: (n, C) z-scores, as the forests saw them.
    """

    score: dict[Model, Floats]
    points: dict[str, Floats]
    outside: Booleans
    distance: Floats
    percentile: Floats
    missing: Booleans
    unread: Booleans
    scaled: Floats32


def score_rows(model: FrozenModel, radiomics: Floats, embedding: Floats32, clinical: ClinicalColumns) -> RowScores:
    """Score rows; one alone scores to the last bit as it does among others.

    Args:
        radiomics: (n, R) the columns in use, as `FrozenModel.harmonised` gives them, NaN where missing.
        embedding: (n, E), NaN where missing.
        clinical: (n,) values of the clinical terms by column, unknown ones NaN or None.
    """
    raw = np.concatenate([radiomics, project(embedding, model.loadings, model.offset)], axis=1)
    absent = ~np.isfinite(raw)
    raw[absent] = np.nan
    scaled = standardise(raw, model.mean, model.scale)
    count = len(model.radiomics)
    if model.missing_feature == TRAINING_MEAN:
        scaled[:, :count][absent[:, :count]] = 0.0
    with np.errstate(over="ignore"):
        at_nodes = scaled.astype(np.float32)
    score: dict[Model, Floats] = {}
    for signature in SIGNATURES:
        votes = model.forests[signature].votes(at_nodes)
        votes[np.isnan(scaled[:, model.used[signature]]).any(axis=1)] = np.nan
        score[signature] = votes
    terms = nomogram_columns(score[Model.DLR], design(model.clinical, clinical, len(raw)))
    if model.classes:
        score[Model.DLRN] = multinomial(model.terms, terms)
    else:
        score[Model.DLRN] = logistic(model.terms[0], model.terms[1:], terms)
    if model.recalibration is not None:
        score[Model.DLRN] = recalibrate(score[Model.DLRN], *model.recalibration.tolist())
    distance = distances(np.ascontiguousarray(scaled[:, model.distance_columns]), model.whitening)
    return RowScores(
        score=score,
        points={} if model.classes else _points(model, terms),
        outside=np.concatenate(
            [(raw < model.low) | (raw > model.high), outside_range(model.clinical, clinical, len(raw))], axis=1
        ),
        distance=distance,
        percentile=percentiles(model.training_distances, distance),
        missing=absent[:, :count].any(axis=1),
        unread=np.isnan(raw[:, count:]).any(axis=1),
        scaled=at_nodes,
    )


def nomogram_columns(dlr: Floats, clinical: Floats) -> Floats:
    """Return what the nomogram's coefficients multiply: (n, t).

    Args:
        dlr: (n,) votes for the event; or (n, K) for each class, of which the first follows from the others.
        clinical: (n, c) the clinical terms' columns.
    """
    return np.column_stack([dlr if dlr.ndim == 1 else dlr[:, 1:], clinical])


def _points(model: FrozenModel, terms: Floats) -> dict[str, Floats]:
    """Return the points of each term and their sum, of the axes' values (n, 1 + t)."""
    owners = ["dlr", *(term.name for term in model.clinical for _ in term.labels())]
    points: dict[str, Floats] = {}
    for place, (name, axis) in enumerate(zip(owners, model.nomogram.axes, strict=True)):
        own = axis.points(terms[:, place])
        points[name] = points[name] + own if name in points else own
    return {**points, "total": functools.reduce(np.add, points.values())}


def percentiles(ascending: Floats, values: Floats) -> Floats:
    """Return the share of reference values, in per cent, that are no larger than each value; NaN for NaN."""
    places = np.searchsorted(ascending, values, side="right")
    return np.where(np.isnan(values), np.nan, 100.0 * places / len(ascending))
