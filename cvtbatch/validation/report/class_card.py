"""One case on a card of a bundle that tells several classes: what each model says of each class. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cvtbatch.validation.inputs import Scale
from cvtbatch.validation.report.card_facts import CardFacts, term_in_words
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.values import Maybe, NotComputable


@dataclass(frozen=True, slots=True)
class ClassModelCard:
    """What a model says of the case.

    Attributes:
        by_class: votes, or the DLRN's probability, of each class, whose sum is 1; not computable where an input is missing or lies
            outside the training range.
        told: class of the highest; None without a score.
    """

    name: str
    by_class: Maybe[Mapping[str, float]]
    scale: Scale
    told: str | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClassCard(CardFacts):
    """A case on a card of a bundle that tells several classes.

    Attributes:
        classes: in the order of the bundle.
        prediction_set: classes that it holds; None where the bundle makes none.
    """

    classes: tuple[str, ...]
    models: tuple[ClassModelCard, ...]
    prediction_set: Maybe[tuple[str, ...]] | None


def class_lines(card: ClassCard) -> Iterator[str]:
    """Yield what models say, as lines of text, and the terms."""
    yield from (f"{model.name}: {shares_in_words(model)}" for model in card.models)
    if card.prediction_set is not None:
        yield f"Prediction set: {set_in_words(card.prediction_set)}"
    yield from (f"{term.name}: {term_in_words(term)}" for term in card.terms)


def shares_in_words(model: ClassModelCard) -> str:
    """Return what a model says of each class, and what that is, or why there is nothing."""
    if isinstance(model.by_class, NotComputable):
        return f"no numbers: {in_words(model.by_class.reason)}"
    shares = ", ".join(f"{name} {decimal(share)}" for name, share in model.by_class.items())
    return f"{shares} ({'probabilities' if model.scale == 'probability' else f'{model.scale}, no probabilities'})"


def set_in_words(held: Maybe[tuple[str, ...]]) -> str:
    """Return the classes that a prediction set holds, or why there is no set, and of whom it promises anything."""
    if isinstance(held, NotComputable):
        return f"none: {in_words(held.reason)}"
    return f"{', '.join(held) or 'empty'} (what it promises is of cases like training's alone)"
