"""What a bundle keeps of its cohort, so that a centre that holds no more than the bundle can be compared with it.

Quantiles, aggregates and moments alone (`cvtbatch.validation.kept_columns`): of the columns in use, of clinical values and of how
cases were scanned, and of the embedding. Of other features nothing is kept: nothing compares them, and they would be twenty
times the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats32
from cvtbatch.dlrn.attention import embedding_of
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.description import CohortSummary, KeptDistances
from cvtbatch.dlrn.kernels import project
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.validation.baseline import Value, level_texts, to_floats
from cvtbatch.validation.kept_columns import KeptLevels, KeptNumbers, keep_levels, keep_numbers
from cvtbatch.validation.training_distance import keep_embedding


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingMoments:
    """Mean and standard deviation (n - 1) of the training cases' embeddings: (E,) both."""

    mean: Floats32
    sd: Floats32


def summarise_cohort(
    cohort: Cohort, model: FrozenModel, columns: Mapping[str, Sequence[Value]], units: Mapping[str, str]
) -> tuple[CohortSummary, EmbeddingMoments | None]:
    """Return what a bundle keeps of a cohort.

    Args:
        columns: clinical values and how cases were scanned, by name, None where unknown.
        units: of some of the columns; see `baseline_table`. Others are categories where a value is a text.
    """
    places = [cohort.radiomics_names.index(name) for name in model.radiomics]
    embedding = embedding_of(model.attention, cohort, np.arange(len(cohort.keys)))
    components = project(embedding, model.loadings, model.offset)
    values = np.column_stack([model.harmonised(cohort.radiomics[:, places], cohort.centers), components])
    features = {name: keep_numbers(values[:, place]) for place, name in enumerate(model.columns)}
    numbers: dict[str, KeptNumbers | None] = {}
    levels: dict[str, KeptLevels | None] = {}
    for name, column in columns.items():
        unit = units.get(name, "category" if any(isinstance(value, str) for value in column) else "")
        if unit in ("category", "yes/no"):
            levels[name] = keep_levels(level_texts(column, unit))
        else:
            numbers[name] = keep_numbers(to_floats(column))
    found = keep_embedding(embedding.astype(np.float64))
    summary = CohortSummary(
        features={name: kept for name, kept in features.items() if kept is not None},
        numbers={name: kept for name, kept in numbers.items() if kept is not None},
        levels={name: kept for name, kept in levels.items() if kept is not None},
        embedding=None if found is None else KeptDistances(found.cases, found.distances),
    )
    if found is None:
        return summary, None
    return summary, EmbeddingMoments(found.mean.astype(np.float32), found.sd.astype(np.float32))
