"""One case on a card: what each model says of it, and why, with no number outside the training range. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.reporting.outlined_slice import to_data_url
from cvtbatch.validation.inputs import Contribution, Scale
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.report.card_facts import (
    RESEARCH_USE,
    UNCHECKED,
    CardFacts,
    OutsideColumn,
    flag_in_words,
    lines_after,
    lines_before,
    number_in_words,
    outside_in_words,
    term_in_words,
    volume_in_words,
)
from cvtbatch.validation.report.case_words import amount_in_words
from cvtbatch.validation.report.class_card import ClassCard, class_lines, set_in_words, shares_in_words
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.conclusion import conclude
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.rendering import render
from cvtbatch.validation.report.visible_text import with_visible_text
from cvtbatch.validation.values import Maybe, NotComputable
from cvtbatch.whole_files import written_whole


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model says of the case.

    Attributes:
        score: not computable where an input is missing or lies outside the training range.
        scale: what the score is, and whether votes have a probability beside them.
        probability: the DLRN's score, or what recalibrated votes stand for; not computable where there is no score or votes are
            uncalibrated.
        thresholds: frozen, by name.
        positive: whether the score reaches each of them; empty without a score.
    """

    name: str
    score: Maybe[float]
    scale: Scale
    probability: Maybe[float]
    thresholds: Mapping[str, float]
    positive: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Moved:
    """What moved the DLR signature from its base share: leading columns, and all others together."""

    base: float
    contributions: tuple[Contribution, ...]
    others: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CaseCard(CardFacts):
    """A case on a card of a bundle that tells an event.

    Attributes:
        total_points: of the nomogram.
        moved: what moved the DLR signature.
    """

    models: tuple[ModelCard, ...]
    total_points: Maybe[float]
    moved: Maybe[Moved]


def card_lines(card: CaseCard | ClassCard) -> Iterator[str]:
    """Yield the card as lines of text."""
    yield from lines_before(card)
    yield from _event_lines(card) if isinstance(card, CaseCard) else class_lines(card)
    yield from lines_after(card)


def _event_lines(card: CaseCard) -> Iterator[str]:
    for model in card.models:
        yield f"{model.name}: {score_in_words(model)}"
        yield from (f"  {text}" for text in decisions_in_words(model))
    for term in card.terms:
        yield f"{term.name}: {term_in_words(term)}"
    yield f"Total points: {number_in_words(card.total_points, 0)}"
    if isinstance(card.moved, NotComputable):
        yield f"What moved the DLR signature: no number: {in_words(card.moved.reason)}"
    else:
        yield f"What moved the DLR signature from its base {decimal(card.moved.base, 2)}:"
        yield from (f"  {amount_in_words(row)}" for row in card.moved.contributions)
        yield f"  {amount_in_words(Contribution('all others', card.moved.others))}"


def conclude_card(model: ModelCard, outside: Sequence[OutsideColumn], unfit: Sequence[str], outcome: Outcome) -> str:
    """Return the conclusion of a card by its primary model, whose first threshold is the primary one."""
    threshold, called = next(iter(model.thresholds.values())), next(iter(model.positive.values()), None)
    return conclude(model.name, model.probability, called, threshold, [row.column for row in outside], unfit, outcome)


def card_page(card: CaseCard | ClassCard, software: str) -> str:
    """Return the card as a page that needs nothing beside it.

    Args:
        software: name and version of what made it.
    """
    filters = (
        *(flag_in_words, score_in_words, decisions_in_words, term_in_words, outside_in_words),
        *(shares_in_words, set_in_words, number_in_words, amount_in_words, volume_in_words),
    )
    return render(
        "card.html.j2" if isinstance(card, CaseCard) else "class_card.html.j2",
        {function.__name__: function for function in filters},
        card=with_visible_text(card),
        picture=to_data_url(card.largest),
        research_use=RESEARCH_USE,
        unchecked=UNCHECKED,
        software=software,
    )


def write_card(file: Path, card: CaseCard | ClassCard, software: str) -> None:
    """Write the card as a page, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with written_whole(file) as aside:
            aside.write_text(card_page(card, software), encoding="utf-8")
    except OSError as error:
        raise InputError("cannot_write", f"the card cannot be written: {why(error)}", str(file)) from None


def score_in_words(model: ModelCard) -> str:
    """Return a score and what it is, or why there is none."""
    if isinstance(model.score, NotComputable):
        return f"no number: {in_words(model.score.reason)}"
    if model.scale == "probability":
        return f"{decimal(model.score)} (a probability)"
    if isinstance(model.probability, NotComputable):
        return f"{decimal(model.score)} ({model.scale}, no probability)"
    return f"{decimal(model.score)} (a share of the forest's votes); probability {decimal(model.probability)} ({model.scale})"


def decisions_in_words(model: ModelCard) -> list[str]:
    """Return a line for each frozen threshold that the score can be held to."""
    return [
        f"{'reaches' if positive else 'stays below'} the frozen threshold {name}, {decimal(model.thresholds[name])}"
        for name, positive in model.positive.items()
    ]
