"""From fitted signatures to a frozen model, with the rows that hold it to its word."""

import importlib.metadata
import itertools
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

import cvtbatch
from cvtbatch.dlrn.arrays import Floats, Floats32, Texts
from cvtbatch.dlrn.attention import embedding_of
from cvtbatch.dlrn.clinical_columns import to_texts
from cvtbatch.dlrn.clinical_terms import (
    ClinicalColumns,
    ClinicalTerm,
    are_numbers,
    design,
    is_yes_or_no,
    levels_of,
    names_of,
)
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.combat import Harmonisation, NewCenters, reference_scale
from cvtbatch.dlrn.estimates import number
from cvtbatch.dlrn.forest import flatten, votes_of
from cvtbatch.dlrn.kernels import standardise
from cvtbatch.dlrn.logistic import LogisticFit
from cvtbatch.dlrn.model import TRAINING_MEAN, FrozenModel, nomogram_columns, score_rows
from cvtbatch.dlrn.nomogram import NO_NOMOGRAM, Axis, Nomogram
from cvtbatch.dlrn.pooling import Slices
from cvtbatch.dlrn.scoring import (
    CENTER,
    SpecIds,
    by_class,
    golden_scores,
    nullable,
    probability_column,
    score_batch,
)
from cvtbatch.dlrn.settings import SIGNATURES, FitSettings, Model
from cvtbatch.dlrn.signatures import Signatures
from cvtbatch.dlrn.tasks import Fitted
from cvtbatch.errors import InternalError
from cvtbatch.regions.rules import columns_by_region, split_column
from cvtbatch.validation import nomogram as scales
from cvtbatch.validation.splines import spline_basis

SOFTWARE = ("numpy", "scipy", "numba", "scikit-learn", "imbalanced-learn", "statsmodels", "safetensors", "pyarrow")
GOLDEN_ROWS = 32


def freeze_model(
    signatures: Signatures,
    nomogram: Fitted,
    clinical: tuple[ClinicalTerm, ...],
    thresholds: Mapping[Model, Mapping[str, float]],
    cohort: Cohort,
    settings: FitSettings,
) -> FrozenModel:
    """Return the model that scores as the fitted one does, with nothing that it does not use."""
    used = sorted({int(column) for signature in signatures.fitted.values() for column in signature.columns})
    radiomics_count = len(cohort.radiomics_names)
    radiomics = [column for column in used if column < radiomics_count]
    components = [column - radiomics_count for column in used if column >= radiomics_count]
    place = {column: number for number, column in enumerate(used)}
    values = np.ascontiguousarray(signatures.values_of(cohort, np.arange(len(cohort.keys)))[:, used])
    mean, scale = np.zeros(len(used)), np.ones(len(used))
    for signature in signatures.fitted.values():
        places = [place[int(column)] for column in signature.columns]
        mean[places], scale[places] = signature.selection.scaler.mean, signature.selection.scaler.scale
    own = {
        model: np.array([place[int(column)] for column in signature.columns], np.int64)
        for model, signature in signatures.fitted.items()
    }
    scaled = standardise(values, mean, scale)
    whitening = whiten(scaled[:, own[Model.DLR]])
    model = FrozenModel(
        radiomics=tuple(signatures.names[column] for column in radiomics),
        components=tuple(signatures.names[radiomics_count + column] for column in components),
        loadings=np.ascontiguousarray(signatures.components.loadings[:, components]),
        offset=signatures.components.offset[components].copy(),
        mean=mean,
        scale=scale,
        low=values.min(axis=0),
        high=values.max(axis=0),
        used=own,
        forests={
            model: flatten(signatures.fitted[model].forest.estimator, [int(number) for number in own[model]])
            for model in SIGNATURES
        },
        terms=nomogram.coefficients(),
        nomogram=build_nomogram(nomogram.coefficients().tolist(), clinical)
        if isinstance(nomogram, LogisticFit)
        else NO_NOMOGRAM,
        distance_columns=own[Model.DLR],
        whitening=whitening,
        training_distances=np.zeros(1),
        thresholds={model: dict(values) for model, values in thresholds.items()},
        missing_feature=settings.missing_feature,
        pooling=settings.pooling,
        clinical=clinical,
        classes=settings.classes,
        harmonisation=signatures.harmonisation and _of_used(signatures.harmonisation, radiomics, cohort, settings),
        attention=signatures.attention,
    )
    return _with_training_distances(model, cohort)


def _of_used(found: Harmonisation, used: Sequence[int], cohort: Cohort, settings: FitSettings) -> Harmonisation:
    """Return what is done to the columns in use, with what moves centres that come later if they are to be.

    Their shifts are judged by all columns of outlines and of regions that some column in use is of: others are not read of them.
    """
    own = found.of_columns(used)
    if settings.harmonise.new_centers is NewCenters.AS_THEY_ARE:
        return own
    names = cohort.radiomics_names
    regions = {"", *columns_by_region(names[place] for place in used)}
    read = [place for place, name in enumerate(names) if split_column(name)[0] in regions]
    values, columns = cohort.radiomics[:, read], [names[place] for place in read]
    return replace(own, base=reference_scale(values, cohort.centers, found.reference, columns))


def build_nomogram(coefficients: Sequence[float], clinical: Sequence[ClinicalTerm]) -> Nomogram:
    """Return the nomogram of a logistic model: the term that spans most has 100 points, and no point is negative in range.

    Every coefficient has an axis. The points of a spline, and of a category, are the sum of theirs.

    Args:
        coefficients: the intercept, that of the DLR signature, then those of the clinical terms.

    Raises:
        InputError: every coefficient is 0.
    """
    intercept, dlr, *others = coefficients
    terms, axes = [scales.Term("dlr", dlr, 0.0, 1.0)], []
    for name in names_of(clinical):
        own = [term for term in clinical if term.name == name]
        count = sum(len(term.labels()) for term in own)
        terms.append(_scale_of(own, others[:count]))
        others = others[count:]
    found = scales.Nomogram(intercept, tuple(terms))
    for term, name in zip(terms, ("dlr", *names_of(clinical)), strict=True):
        labels = [label for own in clinical if own.name == name for label in own.labels()] or ["dlr"]
        axes += [
            Axis(label, *ends, coefficient / found.log_odds_per_point)
            for label, coefficient, ends in zip(labels, term.coefficients, _axis_ends(term), strict=True)
        ]
    return Nomogram(tuple(axes), found.log_odds_at_zero, found.log_odds_per_point)


def _scale_of(own: Sequence[ClinicalTerm], coefficients: Sequence[float]) -> scales.Term:
    """Return the scale of one clinical column, from its terms and their coefficients."""
    first, *more = coefficients
    levels = tuple((float(place), level) for place, level in enumerate(levels_of(own, own[0].name)))
    low, high = (0.0, float(len(own))) if levels else (own[0].low, own[0].high)
    return scales.Term(own[0].name, first, low, high, levels, more=tuple(more), knots=own[0].knots)


def _axis_ends(term: scales.Term) -> list[tuple[float, float, float]]:
    """Return lowest and highest value of each of a term's axes, and that of the term's value without points."""
    if term.knots:
        ends = spline_basis(np.array([term.low, term.high, term.origin]), np.array(term.knots))
        return [(low, high, zero) for low, high, zero in ends.T.tolist()]
    if term.more:
        return [(0.0, 1.0, float(value == term.origin)) for value, _ in term.levels[1:]]
    return [(term.low, term.high, term.origin)]


def _with_training_distances(model: FrozenModel, cohort: Cohort) -> FrozenModel:
    scores = score_rows(model, *_inputs(model, cohort))
    return replace(model, training_distances=np.sort(scores.distance))


def dlrn_scores(model: FrozenModel, cohort: Cohort) -> Floats:
    """Return the DLRN's probabilities of a cohort's rows, (n,), or (n, K) of several classes, to the last bit as `score` does."""
    return score_rows(model, *_inputs(model, cohort)).score[Model.DLRN]


def _inputs(model: FrozenModel, cohort: Cohort) -> tuple[Floats, Floats32, ClinicalColumns]:
    columns = [cohort.radiomics_names.index(name) for name in model.radiomics]
    embedding = embedding_of(model.attention, cohort, np.arange(len(cohort.keys)))
    return model.harmonised(cohort.radiomics[:, columns], cohort.centers), embedding, cohort.clinical


def whiten(scaled: Floats) -> Floats:
    """Return the lower triangle that turns z-scores into independent ones of deviation 1: (d, d).

    The inverse Cholesky factor of the covariance by Ledoit and Wolf (Journal of Multivariate Analysis 2004, 88:365-411), which is
    regularised the more the fewer cases there are.
    """
    from scipy.linalg import solve_triangular
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(scaled)
    lower: Floats = solve_triangular(np.linalg.cholesky(covariance), np.eye(len(covariance)), lower=True)
    return lower


def golden_rows(
    model: FrozenModel, signatures: Signatures, nomogram: Fitted, cohort: Cohort, specs: SpecIds, seed: int
) -> pa.Table:
    """Return made-up rows and the scores that they must have; no row is a patient's.

    Values are drawn around the training cohort's mean with twice its deviation, so that some lie outside its range; rows with an
    unknown clinical value, with a missing feature, and without an embedding are among them. The expected votes are scikit-learn's.

    Raises:
        InternalError: the frozen model does not score them so.
    """
    rng = np.random.default_rng(seed)
    count = len(model.radiomics)
    radiomics = model.mean[:count] + 2 * model.scale[:count] * rng.standard_normal((GOLDEN_ROWS, count))
    loadings = signatures.components.loadings
    spread = signatures.components.apply(cohort.slices).std(axis=0)
    counts = np.ones(GOLDEN_ROWS, np.int64) if model.attention is None else 1 + np.arange(GOLDEN_ROWS) % 3
    starts = np.concatenate([[0], np.cumsum(counts)])
    steps = 2 * spread * rng.standard_normal((starts[-1], loadings.shape[1]))
    slices = Slices((cohort.slices.mean(axis=0, dtype=np.float64) + steps @ loadings.T).astype(np.float32), starts)
    clinical = {name: _golden_values(model.clinical, name, rng) for name in names_of(model.clinical)}
    centers = _golden_centers(model)
    if count:
        radiomics[2, 0] = np.nan
        radiomics[3, -1] = model.mean[count - 1] + 1e6 * model.scale[count - 1]
    there = np.ones(GOLDEN_ROWS, dtype=np.bool_)
    there[4] = False
    inputs = {name: nullable(radiomics[:, place]) for place, name in enumerate(model.radiomics)}
    inputs[model.pooling.column] = pa.array(
        [
            slices.values[first:last].ravel() if keep else None
            for (first, last), keep in zip(itertools.pairwise(starts), there, strict=True)
        ],
        pa.list_(pa.float32()),
    )
    inputs |= {name: _golden_column(name, values) for name, values in clinical.items()}
    if centers:
        inputs[CENTER] = pa.array(centers, pa.string())
    for fold in model.folds:
        inputs = {**_golden_inputs(fold, rng), **inputs}
    table = pa.table(inputs)
    scored = score_batch(model, specs, table, explain=False)
    embedding = model.embedding(slices)
    embedding[~there] = np.nan
    alike = model.harmonised(radiomics, centers)
    expected = _reference_scores(model, signatures, nomogram, alike, embedding, clinical)
    for name, values in expected.items():
        wanted, column = nullable(values), name if values.ndim == 1 else by_class(name)
        found = scored[column].combine_chunks()
        limit = 0.0 if name in SIGNATURES else 1e-12
        same = found.is_valid() == wanted.is_valid()
        if not (same and np.abs(_numbers(found) - _numbers(wanted)).max(initial=0.0) <= limit):
            raise InternalError("frozen_differs", f"the frozen {name} does not score as the fitted one does")
        table = table.append_column(f"expected_{column}", wanted)
    for other in golden_scores(model):
        if f"expected_{other}" not in table.column_names:
            table = table.append_column(f"expected_{other}", scored[other])
    return table


def _numbers(column: pa.Array) -> Floats:
    """Return the numbers of a column of numbers, or of lists, one after the other."""
    known = column.drop_null()
    numbers: Floats = (known if pa.types.is_floating(known.type) else known.flatten()).to_numpy()
    return numbers


def _golden_inputs(fold: FrozenModel, rng: np.random.Generator) -> dict[str, pa.Array]:
    """Draw values of the columns of a fold's model, of which the bundle's own may lack some."""
    values = fold.mean + 2 * fold.scale * rng.standard_normal((GOLDEN_ROWS, len(fold.columns)))
    radiomics = {name: nullable(values[:, place]) for place, name in enumerate(fold.radiomics)}
    drawn = {name: _golden_values(fold.clinical, name, rng) for name in names_of(fold.clinical)}
    return {**radiomics, **{name: _golden_column(name, own) for name, own in drawn.items()}}


def _golden_centers(model: FrozenModel) -> list[str | None]:
    """Return a centre of each golden row, an unknown one and none among them; nothing where the model asks for none."""
    if model.harmonisation is None:
        return []
    known = model.harmonisation.centers
    return [*itertools.islice(itertools.cycle(known), GOLDEN_ROWS - 2), "".join(known), None]


def _golden_values(terms: Sequence[ClinicalTerm], name: str, rng: np.random.Generator) -> Floats | Texts:
    """Draw values of a clinical column, some unknown, numbers a little beyond their range, and of a category one new level."""
    if levels := levels_of(terms, name):
        texts = to_texts([levels[place] for place in rng.integers(0, len(levels), GOLDEN_ROWS)])
        texts[1::8], texts[5] = None, "".join(levels)
        return texts
    [term] = [term for term in terms if term.name == name]
    if (term.low, term.high) == (0, 1):
        values = rng.integers(0, 2, GOLDEN_ROWS).astype(np.float64)
    else:
        beyond = (term.high - term.low) / 10
        values = rng.uniform(term.low - beyond, term.high + beyond, GOLDEN_ROWS)
    values[1::8] = np.nan
    return values


def _golden_column(name: str, values: Floats | Texts) -> pa.Array:
    if is_yes_or_no(name):
        return pa.array([None if np.isnan(value) else int(value) for value in values], pa.int64())
    return nullable(values) if are_numbers(values) else pa.array(values.tolist(), pa.string())


def _reference_scores(
    model: FrozenModel,
    signatures: Signatures,
    nomogram: Fitted,
    radiomics: Floats,
    embedding: Floats32,
    clinical: ClinicalColumns,
) -> dict[str, Floats]:
    """Return scikit-learn's votes and SciPy's logistic functions of them, NaN where a value is missing: (n,), of several classes
    (n, K).
    """
    from scipy.special import expit, logit

    places = [int(name.removeprefix("dl_")) - 1 for name in model.components]
    values = np.concatenate([radiomics, signatures.components.apply(embedding)[:, places]], axis=1)
    expected: dict[str, Floats] = {}
    for name in SIGNATURES:
        signature = signatures.fitted[name]
        scaled = signature.selection.scaler.apply(values[:, model.used[name]])
        if model.missing_feature == TRAINING_MEAN:
            of_radiomics = model.used[name] < len(model.radiomics)
            scaled[:, of_radiomics] = np.nan_to_num(scaled[:, of_radiomics], nan=0.0)
        whole = ~np.isnan(scaled).any(axis=1)
        votes = np.full((len(scaled), *model.forests[name].share.shape[1:]), np.nan)
        votes[whole] = votes_of(signature.forest.estimator, scaled[whole])
        expected[name] = votes
        terms, trees = model.votes.get(name), len(signature.forest.estimator.estimators_)
        if terms is not None and terms.intercept is not None and terms.slope is not None:
            odds = logit((votes * trees + 0.5) / (trees + 1))
            expected[probability_column(name)] = expit(terms.intercept.value + terms.slope.value * odds)
    columns = design(model.clinical, clinical, len(values))
    expected[Model.DLRN] = nomogram.predict(nomogram_columns(expected[Model.DLR], columns))
    return expected


def selection_table(signatures: Signatures, stability: Mapping[Model, Mapping[str, float]]) -> pa.Table:
    """Return what became of every column, one row for each that a signature was offered.

    Columns: signature, feature, left_at, reason, p_value, coefficient (of the LASSO), importance (of the forest, by impurity),
    stability (share of the outer folds that selected it).
    """
    rows = [row for model in SIGNATURES for row in _verdict_rows(signatures, model, stability.get(model, {}))]
    texts = [pa.field(name, pa.string()) for name in ("signature", "feature", "left_at", "reason")]
    numbers = [pa.field(name, pa.float64()) for name in ("p_value", "coefficient", "importance", "stability")]
    return pa.Table.from_pylist(rows, schema=pa.schema([*texts, *numbers]))


def _verdict_rows(
    signatures: Signatures, model: Model, stability: Mapping[str, float]
) -> list[dict[str, str | float | None]]:
    signature = signatures.fitted[model]
    importances = signature.forest.estimator.feature_importances_.tolist()
    importance = dict(zip(signature.selection.names(), importances, strict=True))
    return [
        {
            "signature": str(model),
            "feature": verdict.name,
            "left_at": str(verdict.left_at),
            "reason": verdict.reason,
            "p_value": number(verdict.p_value),
            "coefficient": number(verdict.coefficient),
            "importance": importance.get(verdict.name),
            "stability": stability.get(verdict.name),
        }
        for verdict in signature.selection.verdicts
    ]


def software_versions() -> dict[str, str]:
    """Return the versions that a fit's numbers come from."""
    versions = {name: importlib.metadata.version(name) for name in SOFTWARE}
    return {"cvtbatch": cvtbatch.__version__, "python": platform.python_version(), **versions}
