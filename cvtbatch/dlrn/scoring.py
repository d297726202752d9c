"""Tables in, tables out: what a frozen model needs of a row, under which names, and what it says of it."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers
from cvtbatch.dlrn.clinical_columns import numbers_of, read_columns
from cvtbatch.dlrn.clinical_terms import ClinicalColumns, levels_of, names_of, unknown
from cvtbatch.dlrn.logit_parts import logit_parts
from cvtbatch.dlrn.model import TRAINING_MEAN, FrozenModel, RowScores, score_rows
from cvtbatch.dlrn.pooling import Pooling, Slices
from cvtbatch.dlrn.prediction_sets import PredictionSets
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.thresholds import THRESHOLDS
from cvtbatch.errors import InputError
from cvtbatch.nearest import nearest
from cvtbatch.regions.rules import REGION_SPEC, region_column

# Columns that say whose row it is; they pass through.
IDENTITY = (
    "case_key",
    "center",
    "case_id",
    "patient",
    "roi_key",
    "roi",
    "reader",
    "reading",
    "radiomics_spec_id",
    "embedding_spec_id",
    "input_digest",
    "clinical_digest",
)
# Whose row it is that a model scores which makes centres alike.
CENTER = "center"
# Rows that are scored together: 64 MB of embeddings.
ROWS_AT_ONCE = 8192
TOP_FEATURES = 5
PREDICTED = "predicted_class"
SET_EVENT, SET_OTHER, SET_BY_CLASS = "set_event", "set_other", "set_by_class"
NOT_HARMONISED, BY_OWN_CASES = "not_harmonised", "harmonised_by_own_cases"


@dataclass(frozen=True, slots=True)
class SpecIds:
    """The specifications that a model's inputs were made under.

    Attributes:
        regions: by region that columns come from.
    """

    radiomics_spec_id: str
    embedding_spec_id: str
    regions: Mapping[str, str] = field(default_factory=dict)

    def ids(self) -> list[str]:
        """Return all of them: what a reading of a store is restricted to."""
        return [self.radiomics_spec_id, self.embedding_spec_id, *self.regions.values()]

    def by_column(self) -> dict[str, str]:
        """Return them by the columns of a table to score that say under which it was made."""
        of_regions = {region_column(name, REGION_SPEC): spec_id for name, spec_id in self.regions.items()}
        return {
            "radiomics_spec_id": self.radiomics_spec_id,
            "embedding_spec_id": self.embedding_spec_id,
            **of_regions,
        }


def probability_column(model: Model) -> str:
    """Return the column that holds a model's probability: of a signature it stands beside its votes."""
    return f"{model}_probability" if model in SIGNATURES else str(model)


def by_class(model: Model | str) -> str:
    """Return the column that holds what a model says of each of several classes."""
    return f"{model}_by_class"


def classes_held(classes: Sequence[str], row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return which of several classes the prediction set of a scored row holds; None without a set."""
    held = row.get(SET_BY_CLASS)
    return None if held is None else tuple(itertools.compress(classes, held))


def golden_scores(model: FrozenModel) -> tuple[str, ...]:
    """Return the scores that golden rows have an expectation of."""
    if model.classes:
        of_sets = (SET_BY_CLASS,) if model.sets else ()
        return (*(by_class(name) for name in Model), *of_sets, "outside_count", "distance", "distance_percentile")
    return (
        *(str(name) for name in Model),
        *(probability_column(name) for name in model.recalibrated),
        *(f"{name}_{threshold}" for name in Model for threshold in THRESHOLDS),
        *((SET_EVENT, SET_OTHER) if model.sets else ()),
        *("outside_count", "points_total", "distance", "distance_percentile"),
    )


def needed_columns(model: FrozenModel) -> list[str]:
    """Return the columns that scoring cannot do without."""
    radiomics = (name for own in model.models for name in own.radiomics)
    clinical = (name for own in model.models for name in names_of(own.clinical))
    centers = [] if model.harmonisation is None else [CENTER]
    return list(dict.fromkeys([*radiomics, model.pooling.column, *clinical, *centers]))


def score_batch(model: FrozenModel, specs: SpecIds, table: pa.Table | pa.RecordBatch, *, explain: bool) -> pa.Table:
    """Score the rows of a table.

    Args:
        table: the model's columns by name; the embedding, under the name of its pooling, a list, null where there is none, of
            attention the embeddings of all slices, one behind the other; clinical terms as the manifest has them, e.g.
            `epilepsy` 0, 1 or null. Specification ids are compared where they are given. Other columns are left alone, those of
            identity pass through.
        explain: add the base and the columns that contribute most to the DLR signature; of several classes, to the DLRN's
            logarithms of odds against the first.

    Returns:
        one row for each of the table's: identity, then scores; null where something cannot be computed, never NaN.

    Raises:
        InputError: "missing_column", "other_spec", "bad_column" (type, length, or there twice),
            "bad_value" (neither 0 nor 1 where the manifest has no other).
    """
    check_columns(model, specs, table)
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    identity = [name for name in IDENTITY if name in table.column_names]
    parts = []
    for start in range(0, max(table.num_rows, 1), ROWS_AT_ONCE):
        part = table.slice(start, ROWS_AT_ONCE)
        slices, centers = read_slices(part, model), _centers(part, model)
        scores, clinical = _scores(model, part, slices, centers)
        columns = {name: part[name] for name in identity} | _score_columns(model, scores, clinical, centers)
        if model.sets:
            of_folds = [_scores(fold, part, slices, centers)[0] for fold in model.folds]
            columns |= _set_columns(model.sets, np.stack([found.score[Model.DLRN] for found in of_folds]))
        if explain:
            columns |= (
                _class_explanation_columns(model, scores, clinical)
                if model.classes
                else _explanation_columns(model, scores)
            )
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def check_columns(model: FrozenModel, specs: SpecIds, table: pa.Table | pa.RecordBatch) -> None:
    """Refuse a table that lacks a column, has one twice, or was made under other specifications.

    Raises:
        InputError: "missing_column", "bad_column" or "other_spec".
    """
    names = Counter(table.schema.names)
    require_columns(model, names)
    wanted = specs.by_column()
    if twice := [name for name in dict.fromkeys([*needed_columns(model), *IDENTITY, *wanted]) if names[name] > 1]:
        raise InputError("bad_column", f"the table has column {twice[0]} {names[twice[0]]} times")
    for name, own in wanted.items():
        if name in names:
            others = [value for value in pc.unique(table[name]).to_pylist() if value not in (None, own)]
            if others:
                raise InputError(
                    "other_spec",
                    f"{name}: the bundle was fitted on {own}, and the table has {', '.join(map(str, others))}",
                )


def require_columns(model: FrozenModel, names: Iterable[str]) -> None:
    """Refuse columns among which there are not all that scoring needs.

    Raises:
        InputError: "missing_column", with the column that looks like the first that is missing.
    """
    there, needed = set(names), needed_columns(model)
    if missing := [name for name in needed if name not in there]:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        near = nearest(missing[0], sorted(there - set(needed)), cutoff=0.9)
        advice = f"; the column {near[0]} looks like {missing[0]}" if near else ""
        raise InputError("missing_column", f"the bundle needs columns that the table lacks: {shown}{advice}")


def _centers(table: pa.Table, model: FrozenModel) -> list[str | None]:
    """Return the centre of each row, where the model asks for it."""
    if model.harmonisation is None:
        return []
    try:
        centers: list[str | None] = table[CENTER].cast(pa.string()).to_pylist()
    except pa.ArrowException:
        raise InputError("bad_column", f"column {CENTER} holds {table[CENTER].type}, not names of centres") from None
    return centers


def read_slices(table: pa.Table, model: FrozenModel) -> Slices:
    """Return the slices that make each row's embedding, or the one embedding that is made of them; none where there is none.

    Raises:
        InputError: "bad_column": it holds no lists, or lists of another length.
    """
    name, length = model.pooling.column, model.loadings.shape[0]
    column = table[name].combine_chunks()
    if pa.types.is_null(column.type):
        return Slices(np.empty((0, length), np.float32), np.zeros(table.num_rows + 1, np.int64))
    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise InputError(
            "bad_column",
            f"column {name} holds {column.type}, not lists of numbers; a CSV holds an embedding as emb_0000 ..., a column for "
            "each number, which is taken instead of it",
        )
    several = model.pooling is Pooling.ATTENTION
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    own = np.unique(lengths[column.is_valid().to_numpy(zero_copy_only=False)])
    if wrong := own[(own % length != 0) | (own == 0) if several else own != length].tolist():
        told = f"{length} of each slice" if several else f"{length}"
        raise InputError("bad_column", f"column {name} holds a list of {wrong[0]} numbers; the bundle takes {told}")
    flat = column.drop_null().flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(-1, length)
    return Slices(np.ascontiguousarray(flat), np.concatenate([[0], np.cumsum(lengths // length)]).astype(np.int64))


def _scores(
    model: FrozenModel, table: pa.Table, slices: Slices, centers: Sequence[str | None]
) -> tuple[RowScores, ClinicalColumns]:
    """Return what a model, the bundle's or a fold's, makes of rows, and the clinical values that it takes."""
    radiomics = np.column_stack(
        [numbers_of(table, name) for name in model.radiomics] or [np.empty((table.num_rows, 0))]
    )
    clinical = read_columns(model.clinical, table)
    return score_rows(model, model.harmonised(radiomics, centers), model.embedding(slices), clinical), clinical


def _set_columns(sets: PredictionSets, probability: Floats) -> dict[str, pa.Array]:
    """Return what each row's set holds, null where a fold's model gives no probability (K, n), or (K, n, C)."""
    held = sets.holds(probability).astype(np.float64)
    held[np.isnan(probability).any(axis=(0, *range(2, probability.ndim)))] = np.nan
    if probability.ndim > 2:
        return {SET_BY_CLASS: nullable(held).cast(pa.list_(pa.int64()))}
    return {name: nullable(own).cast(pa.int64()) for name, own in zip((SET_EVENT, SET_OTHER), held.T, strict=True)}


def _score_columns(
    model: FrozenModel, scores: RowScores, clinical: ClinicalColumns, centers: Sequence[str | None]
) -> dict[str, pa.Array]:
    columns = _class_columns(model, scores) if model.classes else _event_columns(model, scores)
    columns["outside_count"] = pa.array(scores.outside.sum(axis=1).astype(np.int64))
    columns["outside_features"] = names_where(scores.outside, model.ranged)
    columns["distance"] = nullable(scores.distance)
    columns["distance_percentile"] = nullable(scores.percentile)
    replaced = model.missing_feature == TRAINING_MEAN
    flags: Mapping[str, Booleans] = {
        **_clinical_flags(model, clinical),
        "no_embedding": scores.unread,
        "feature_replaced" if replaced else "feature_missing": scores.missing,
        "outside_training_range": scores.outside.sum(axis=1) > 0,
    }
    if model.harmonisation is not None:
        later = np.array([center in model.harmonisation.later for center in centers], np.bool_)
        flags = {**flags, NOT_HARMONISED: ~model.harmonisation.knows(centers), BY_OWN_CASES: later}
    columns["flags"] = names_where(np.column_stack(list(flags.values())), tuple(flags))
    return columns


def _event_columns(model: FrozenModel, scores: RowScores) -> dict[str, pa.Array]:
    """Return what is told of the event: scores, probabilities, decisions, points."""
    columns: dict[str, pa.Array] = {}
    for name, score in scores.score.items():
        columns[str(name)] = nullable(score)
    for name in SIGNATURES:
        columns[probability_column(name)] = nullable(model.probability(name, scores.score[name]))
    for name, score in scores.score.items():
        for threshold in THRESHOLDS:
            positive = (score >= model.thresholds[name][threshold]).astype(np.int64)
            columns[f"{name}_{threshold}"] = pa.array(positive, mask=np.isnan(score))
    for term, points in scores.points.items():
        columns[f"points_{term}"] = nullable(points)
    return columns | _clinical_points(model, scores)


def _class_columns(model: FrozenModel, scores: RowScores) -> dict[str, pa.Array]:
    """Return what is told of each of several classes, and that of the highest probability, of equal ones the first."""
    probability = scores.score[Model.DLRN]
    highest = np.array(model.classes, dtype=object)[np.nan_to_num(probability).argmax(axis=1)]
    rows = len(probability)
    return {
        "classes": pa.array([list(model.classes)] * rows, pa.list_(pa.string())),
        **{by_class(name): nullable(score) for name, score in scores.score.items()},
        PREDICTED: pa.array(highest, pa.string(), mask=np.isnan(probability[:, 0])),
        "clinical_terms": pa.array([list(names_of(model.clinical))] * rows, pa.list_(pa.string())),
    }


def _clinical_points(model: FrozenModel, scores: RowScores) -> dict[str, pa.Array]:
    """Return the clinical terms and their points as lists, for tables without a column of each; no points where one is unknown."""
    names = names_of(model.clinical)
    values = [scores.points[name] for name in names]
    known = np.isfinite(np.column_stack([np.zeros(len(scores.distance)), *values]).sum(axis=1))
    points = [list(row) if there else None for *row, there in zip(*values, known.tolist(), strict=True)]
    return {
        "clinical_terms": pa.array([list(names)] * len(known), pa.list_(pa.string())),
        "clinical_points": pa.array(points, pa.list_(pa.float64())),
    }


def _clinical_flags(model: FrozenModel, clinical: ClinicalColumns) -> dict[str, Booleans]:
    """Say by flag in which rows a clinical term gives no DLRN: its value is unknown, or a level that training did not have."""
    flags: dict[str, Booleans] = {}
    for name, values in clinical.items():
        flags[f"{name}_unknown"] = absent = unknown(values)
        if levels := levels_of(model.clinical, name):
            flags[f"{name}_level_new"] = ~absent & ~np.array([value in levels for value in values], np.bool_)
    return flags


def _explanation_columns(model: FrozenModel, scores: RowScores) -> dict[str, pa.Array]:
    """Return the DLR forest's base share, its columns that add most, what each adds, and what the others add together."""
    base, added = model.forests[Model.DLR].contributions(scores.scaled)
    used = model.used[Model.DLR]
    order, top, others = _leading(added[:, used], np.abs(added[:, used]))
    scored = ~np.isnan(scores.score[Model.DLR])
    return {
        "base": nullable(np.where(scored, base, np.nan)),
        "top_features": _names_at(np.asarray(model.columns, dtype=object)[used], order, scored),
        "top_contributions": nullable(np.where(scored[:, None], top, np.nan)),
        "other_contributions": nullable(np.where(scored, others, np.nan)),
    }


def _class_explanation_columns(model: FrozenModel, scores: RowScores, clinical: ClinicalColumns) -> dict[str, pa.Array]:
    """Return the same of the DLRN's logarithms of odds: of each class, or of each class for each column or clinical term."""
    parts = logit_parts(model, scores.scaled, clinical)
    used = model.used[Model.DLR]
    own = parts.columns[:, used]
    # What moves classes apart, whichever of them is the first.
    order, top, others = _leading(own, own.max(axis=2) - own.min(axis=2))
    scored = ~np.isnan(scores.score[Model.DLR][:, 0])
    return {
        "base_by_class": nullable(np.where(scored[:, None], parts.base, np.nan)),
        "top_features": _names_at(np.asarray(model.columns, dtype=object)[used], order, scored),
        "top_contributions_by_class": nullable(np.where(scored[:, None], _in_a_row(top), np.nan)),
        "other_contributions_by_class": nullable(np.where(scored[:, None], others, np.nan)),
        "clinical_contributions_by_class": nullable(_in_a_row(parts.clinical)),
    }


def _leading(added: Floats, size: Floats) -> tuple[Integers, Floats, Floats]:
    """Return which columns add most (n, top), what they add, and what all others add together.

    Args:
        added: (n, C) what each column adds, or (n, C, K) to each class.
        size: (n, C) how much that is.
    """
    order = np.argsort(-size, axis=1, kind="stable")[:, :TOP_FEATURES]
    top = np.take_along_axis(added, order if added.ndim == 2 else order[:, :, None], axis=1)
    # One after the other: `sum` adds the columns of a row alone in another order than those of a row among others.
    return order, top, np.cumsum(added, axis=1)[:, -1] - top.sum(axis=1)


def _in_a_row(values: Floats) -> Floats:
    """Return (n, k, K) numbers as (n, k * K), those of one column or term behind those of the other."""
    return values.reshape(len(values), values.shape[1] * values.shape[2])


def _names_at(names: npt.NDArray[np.object_], places: Integers, there: Booleans) -> pa.Array:
    """Return the names at some places (n, k) as lists, null where a row has none."""
    offsets = np.concatenate([[0], np.cumsum(np.where(there, places.shape[1], 0))]).astype(np.int32)
    own = pa.array(names[places[there]].ravel(), pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), own, mask=pa.array(~there))


def nullable(values: Floats) -> pa.Array:
    """Return numbers (n,) as Arrow has them, null for NaN; of rows of numbers (n, K) lists, null where one is NaN."""
    if values.ndim == 1:
        return pa.array(values, mask=np.isnan(values))
    known = ~np.isnan(values).any(axis=1)
    offsets = np.concatenate([[0], np.cumsum(np.where(known, values.shape[1], 0))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[known].ravel()), mask=pa.array(~known))


def names_where(mask: Booleans, names: Sequence[str]) -> pa.Array:
    """Return for each row of (n, p) the names of the columns that are true, as a list."""
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int32)
    values = pa.array(list(names), pa.string()).take(pa.array(np.nonzero(mask)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), values)
