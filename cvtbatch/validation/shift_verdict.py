"""What a centre's shift means, in plain words."""

from collections.abc import Sequence

from cvtbatch.validation.covariate_effects import CovariateEffect
from cvtbatch.validation.feature_shift import SMALL_P, FeatureShift
from cvtbatch.validation.training_distance import Novelty, Support
from cvtbatch.validation.values import Maybe, NotComputable, Significance

NAMED = 4


def shift_verdict(
    features: Maybe[tuple[FeatureShift, ...]],
    scores: Maybe[tuple[FeatureShift, ...]],
    acquisition: Maybe[tuple[FeatureShift, ...]],
    within: Maybe[Support],
    nearest: Maybe[Novelty],
    covariates: tuple[CovariateEffect, ...],
) -> str:
    """Say what the parts of a shift mean; a part that could not be compared may add nothing."""
    sentences = [
        _of_features(features),
        _of_distance(within, nearest),
        _of_acquisition(acquisition),
        _of_scores(scores),
        _of_covariates(covariates),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _of_features(features: Maybe[tuple[FeatureShift, ...]]) -> str:
    judged = [] if isinstance(features, NotComputable) else [row for row in features if _odd(row) is not None]
    if not judged:
        return "The training values of the selected features are not in this store: they are not compared."
    odd = [row.feature for row in judged if _odd(row)]
    if odd:
        return (
            f"This centre differs from training, or lies outside what the model has seen, in {len(odd)} of {len(judged)} "
            f"selected features: {_named(odd)}."
        )
    return f"None of {len(judged)} selected features is distributed clearly differently from training."


def _odd(row: FeatureShift) -> bool | None:
    """Say whether a row is shifted or unseen; None where it could not be judged."""
    return row.shifted or row.unseen if isinstance(row.ks, Significance) else None


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _of_distance(within: Maybe[Support], nearest: Maybe[Novelty]) -> str:
    if isinstance(nearest, Novelty):
        return (
            f"{100 * nearest.far.value:.0f} % of its embeddings are farther from the {nearest.reference} than 95 % of training "
            "cases are (5 % if alike)."
        )
    if isinstance(within, NotComputable) or isinstance(within.far, NotComputable):
        return ""
    return (
        f"{100 * within.far.value:.0f} % of its cases are farther from the training mean than 95 % of training cases are "
        "(more than 5 % even if alike, since the mean is training's own)."
    )


def _of_acquisition(acquisition: Maybe[tuple[FeatureShift, ...]]) -> str:
    odd = [] if isinstance(acquisition, NotComputable) else [row.feature for row in acquisition if _odd(row)]
    return f"It was scanned otherwise: {_named(odd)}." if odd else ""


def _of_scores(scores: Maybe[tuple[FeatureShift, ...]]) -> str:
    odd = [] if isinstance(scores, NotComputable) else [row.feature for row in scores if _odd(row)]
    return f"Scores lie elsewhere than in training: {_named(odd)}." if odd else ""


def _of_covariates(covariates: tuple[CovariateEffect, ...]) -> str:
    causes = [
        effect.covariate
        for effect in covariates
        if isinstance(effect.test, Significance) and effect.test.p_value < SMALL_P
    ]
    return f"The score moves with {_named(causes)}, beyond what the outcome explains." if causes else ""
