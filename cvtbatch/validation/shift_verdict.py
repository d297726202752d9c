"""What a centre's shift means, in plain words."""

from collections.abc import Sequence

from cvtbatch.counts import counted
from cvtbatch.validation.covariate_effects import CovariateEffect
from cvtbatch.validation.feature_shift import SMALL_P, FeatureShift, is_large
from cvtbatch.validation.shares import share_in_words
from cvtbatch.validation.training_distance import Novelty, Support
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, Significance

NAMED = 4


def shift_verdict(
    features: Maybe[tuple[FeatureShift, ...]],
    scores: Maybe[tuple[FeatureShift, ...]],
    acquisition: Maybe[tuple[FeatureShift, ...]],
    within: Maybe[Support],
    nearest: Maybe[Novelty],
    covariates: tuple[CovariateEffect, ...],
) -> str:
    """Say what the parts of a shift mean; a part that could not be compared may add nothing.

    Two questions are asked of the columns, and each answer names its figure: how many values lie outside the training range, and
    whether that, or the distributions, differ by more than chance explains. Few cases can lie outside throughout and show nothing.
    """
    sentences = [
        _of_range(within),
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
    large = sum(is_large(row) for row in judged if not _odd(row))
    verb = "differs" if large == 1 else "differ"
    unclear = f"{verb} by half a standard deviation or more, which chance may explain in so few cases"
    if odd:
        told = (
            f"This centre differs from training, or lies outside what the model has seen, in {len(odd)} of {len(judged)} "
            f"selected features: {_named(odd)}."
        )
        return f"{told} Of the others, {large} {unclear}." if large else told
    cases = max(row.n for row in judged)
    told = f"A shift of the {len(judged)} selected features is not shown with {counted(cases, 'case')}"
    if large:
        return f"{told}, which is not to say that there is none: {large} of them {unclear}."
    return f"{told}: none of them differs by as much as half a standard deviation."


def _of_range(within: Maybe[Support]) -> str:
    if isinstance(within, NotComputable):
        return ""
    count = round(within.outside.value * within.cases)
    if not count:
        return f"No case lies outside the training range in any of the {within.columns} columns that the models use."
    return (
        f"{share_in_words(count, within.cases)} lie outside the training range in one or more of the {within.columns} columns that "
        f"the models use: in {within.per_case:.1f} on average, where about {within.expected:.1f} are expected of cases like those "
        "of training."
    )


def _odd(row: FeatureShift) -> bool | None:
    """Say whether a row is shifted or unseen; None where it could not be judged."""
    return row.shifted or row.unseen if isinstance(row.ks, Significance) else None


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _of_distance(within: Maybe[Support], nearest: Maybe[Novelty]) -> str:
    if isinstance(nearest, Novelty):
        return (
            f"By embeddings, {_part(nearest.far, len(nearest.percentiles))} are farther from the {nearest.reference} than 95 % of "
            "training cases are (5 % if alike)."
        )
    if isinstance(within, NotComputable) or isinstance(within.far, NotComputable):
        return ""
    return (
        f"By the selected features together, {_part(within.far, within.known)} are farther from the training mean than 95 % of "
        "training cases are (more than 5 % even if alike, since the mean is training's own)."
    )


def _part(share: Estimate, n: int) -> str:
    return share_in_words(round(share.value * n), n)


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
