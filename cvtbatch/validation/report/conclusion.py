"""One sentence on one case: what the primary model makes of it, and what speaks against believing that. Pure."""

from collections.abc import Mapping, Sequence

from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.values import Maybe, NotComputable

UNTRAINED = "the image network was never trained"
SECOND_OPINION = "the outline comes from a method that is for demos and second opinions"


def conclude(
    model: str,
    probability: Maybe[float],
    called: bool | None,
    threshold: float | None,
    outside: Sequence[str],
    unfit: Sequence[str],
    outcome: Outcome,
) -> str:
    """Return the conclusion of a case.

    Args:
        probability: of the primary model; not computable where it may give no number.
        called: whether that reaches the primary frozen threshold; None without a probability.
        threshold: that threshold, where it is at hand.
        outside: columns, and terms of the nomogram, whose values lie outside the training range.
        unfit: why nothing may be concluded of a patient at all, in words.
        outcome: what the model tells.
    """
    if isinstance(probability, NotComputable):
        # The columns that a reason lists in brackets stand below, each with its range.
        told = f"No conclusion: {model} gives no probability: {in_words(probability.reason.partition(' (')[0])}"
    else:
        at = "" if threshold is None else f" {decimal(threshold)}"
        side, found = ("at or above", outcome.event) if called else ("below", outcome.other)
        told = f"{model}: probability of {outcome.event} {decimal(probability)}, {side} the frozen threshold{at}: class {found}"
    return _with_warnings(told, outside, unfit)


def conclude_class(
    model: str, by_class: Maybe[Mapping[str, float]], outside: Sequence[str], unfit: Sequence[str]
) -> str:
    """Return the conclusion of a case whose model tells one of several classes: the likeliest one, of equal ones the first.

    Args:
        by_class: probabilities of the primary model; not computable where it may give none.
        outside, unfit: as `conclude` has them.
    """
    if isinstance(by_class, NotComputable):
        told = f"No conclusion: {model} gives no probabilities: {in_words(by_class.reason.partition(' (')[0])}"
    else:
        likeliest = max(by_class, key=lambda name: by_class[name])
        told = f"{model}: class {likeliest}, of {len(by_class)} the likeliest, with probability {decimal(by_class[likeliest])}"
    return _with_warnings(told, outside, unfit)


def _with_warnings(told: str, outside: Sequence[str], unfit: Sequence[str]) -> str:
    warnings = [f"Not for inference: {reason}" for reason in unfit]
    if outside:
        warnings.append(f"Outside the range of training: {_named(outside)}")
    return ". ".join([told, *warnings, "Research use only."])


def _named(outside: Sequence[str]) -> str:
    return in_words(outside[0]) if len(outside) == 1 else f"{len(outside)} inputs"
