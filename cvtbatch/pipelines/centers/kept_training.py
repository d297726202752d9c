"""What a centre is compared with: training's values as a store holds them, or what the bundle keeps of them."""

import numpy as np

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.validation.baseline import Kept
from cvtbatch.validation.cohort_baseline import CLINICAL
from cvtbatch.validation.inputs import Training
from cvtbatch.validation.kept_columns import NOT_KEPT, keep_numbers
from cvtbatch.validation.training_distance import KeptEmbedding


def training_values(bundle: Bundle, stored: Training | None) -> Training | None:
    """Return training's values as a store holds them, if they are those of the bundle's cohort; else what the bundle keeps of them.

    A bundle of an earlier format keeps nothing: then what the store holds is taken.
    """
    kept = _kept_training(bundle)
    if kept is None or stored is None:
        return stored or kept
    return stored if _is_of(stored, kept) else kept


def _kept_training(bundle: Bundle) -> Training | None:
    told, summary, moments = bundle.description.cohort, bundle.description.cohort_summary, bundle.moments
    if summary is None:
        return None
    names = np.asarray(bundle.model.columns, dtype=object)[bundle.model.used[Model.DLR]]
    ends = dict(
        zip(bundle.model.columns, zip(bundle.model.low.tolist(), bundle.model.high.tolist(), strict=True), strict=True)
    )
    columns: dict[str, Kept] = {**summary.numbers, **summary.levels}
    embedding = None
    if summary.embedding is not None and moments is not None:
        mean, sd = (part.astype(np.float64) for part in (moments.mean, moments.sd))
        embedding = KeptEmbedding(summary.embedding.cases, mean, sd, summary.embedding.distances)
    return Training(
        outcome=np.repeat([1.0, 0.0], [told.positive, told.cases - told.positive]),
        clinical={name: columns.get(name, NOT_KEPT) for name in CLINICAL},
        acquisition={name: kept for name, kept in columns.items() if name not in CLINICAL},
        features={name: summary.features[name] for name in names if name in summary.features},
        embedding=embedding,
        ranges=ends,
    )


def _is_of(stored: Training, kept: Training) -> bool:
    """Say whether values of a store are those that a summary was made of: another centre may bear the same name."""
    same = (len(stored.outcome), stored.outcome.sum()) == (len(kept.outcome), kept.outcome.sum())
    return same and all(
        isinstance(values := stored.features[name], np.ndarray) and keep_numbers(values) == column
        for name, column in kept.features.items()
    )
