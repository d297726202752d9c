"""One case on a card: what each model says of it, and why, with no number outside the training range. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.reporting.flag_words import meaning_of
from cvtbatch.reporting.outlined_slice import OutlinedSlice, to_data_url
from cvtbatch.validation.inputs import Contribution, Scale
from cvtbatch.validation.nomogram import TrainingRange
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.report.case_words import amount_in_words
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.conclusion import conclude
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.rendering import render
from cvtbatch.validation.report.visible_text import with_visible_text
from cvtbatch.validation.values import Maybe, NotComputable
from cvtbatch.whole_files import written_whole

RESEARCH_USE = "For research use. Not a medical device; not for the care of patients."
UNCHECKED = (
    "Whether the case belongs to the study is not checked: non-traumatic supratentorial hemorrhage, CT without contrast within "
    "24 h of onset, no substantial intraventricular or subarachnoid hemorrhage."
)


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
class TermCard:
    """A term of the nomogram, with the range that its values had in training, or the levels.

    Attributes:
        value: a number, or the level of a category.
        training: None for a category.
        levels: of a category, as training had them, the reference first.
    """

    name: str
    value: Maybe[float | str]
    training: Maybe[TrainingRange] | None
    points: Maybe[float]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutsideColumn:
    """A column whose value lies outside the training range; the value itself is not shown."""

    column: str
    side: str
    training: TrainingRange


@dataclass(frozen=True, slots=True)
class Moved:
    """What moved the DLR signature from its base share: leading columns, and all others together."""

    base: float
    contributions: tuple[Contribution, ...]
    others: float


@dataclass(frozen=True, slots=True, eq=False)
class CaseCard:
    """A case on a card.

    Attributes:
        input_digest: of image and outline, by which the card and a store's rows can be told to be of one case.
        choice: which series was taken, and why.
        volume_ml, source_volume_ml: of the outline on the stored grid, and as drawn.
        flags: of volume, outline and scores.
        conclusion: what the primary model makes of the case, in a sentence, with what speaks against believing it.
        cautions: what speaks against the bundle, or against reading this card.
        outside: columns of any model.
        distance_percentile: of the distance from training among the training cases' own; None where it cannot be computed.
    """

    bundle_digest: str
    intended_use: str
    trained_on: str
    conclusion: str
    cautions: tuple[str, ...]
    input_digest: str
    choice: str
    volume_ml: float
    source_volume_ml: float
    flags: tuple[str, ...]
    models: tuple[ModelCard, ...]
    terms: tuple[TermCard, ...]
    total_points: Maybe[float]
    outside: tuple[OutsideColumn, ...]
    distance_percentile: float | None
    moved: Maybe[Moved]
    largest: OutlinedSlice


def card_lines(card: CaseCard) -> Iterator[str]:
    """Yield the card as lines of text."""
    yield card.conclusion
    yield RESEARCH_USE
    yield f"Intended use: {card.intended_use}"
    yield f"Bundle {card.bundle_digest[:12]}, trained on {card.trained_on}"
    yield from (f"Caution: {caution}." for caution in dict.fromkeys(card.cautions))
    yield UNCHECKED
    yield f"Image: {card.choice}; hematoma {volume_in_words(card)}; inputs {card.input_digest[:12]}"
    yield from (f"Flag: {flag}" for flag in map(flag_in_words, card.flags))
    for model in card.models:
        yield f"{model.name}: {score_in_words(model)}"
        yield from (f"  {text}" for text in decisions_in_words(model))
    for term in card.terms:
        yield f"{term.name}: {term_in_words(term)}"
    yield f"Total points: {_number(card.total_points, 0)}"
    if isinstance(card.moved, NotComputable):
        yield f"What moved the DLR signature: no number: {in_words(card.moved.reason)}"
    else:
        yield f"What moved the DLR signature from its base {decimal(card.moved.base, 2)}:"
        yield from (f"  {amount_in_words(row)}" for row in card.moved.contributions)
        yield f"  {amount_in_words(Contribution('all others', card.moved.others))}"
    yield from (f"Outside the training range: {outside_in_words(row)}" for row in card.outside)
    if card.distance_percentile is not None:
        yield f"Distance from training: percentile {decimal(card.distance_percentile, 0)} of the training cases' own"


def conclude_card(model: ModelCard, outside: Sequence[OutsideColumn], unfit: Sequence[str], outcome: Outcome) -> str:
    """Return the conclusion of a card by its primary model, whose first threshold is the primary one."""
    threshold, called = next(iter(model.thresholds.values())), next(iter(model.positive.values()), None)
    return conclude(model.name, model.probability, called, threshold, [row.column for row in outside], unfit, outcome)


def card_page(card: CaseCard, software: str) -> str:
    """Return the card as a page that needs nothing beside it.

    Args:
        software: name and version of what made it.
    """
    shown = with_visible_text(card)
    filters = (
        *(flag_in_words, score_in_words, decisions_in_words, term_in_words, outside_in_words),
        amount_in_words,
        volume_in_words,
    )
    return render(
        "card.html.j2",
        {function.__name__: function for function in filters},
        card=shown,
        picture=to_data_url(card.largest),
        research_use=RESEARCH_USE,
        unchecked=UNCHECKED,
        total=_number(card.total_points, 0),
        software=software,
    )


def write_card(file: Path, card: CaseCard, software: str) -> None:
    """Write the card as a page, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with written_whole(file) as aside:
            aside.write_text(card_page(card, software), encoding="utf-8")
    except OSError as error:
        raise InputError("cannot_write", f"the card cannot be written: {why(error)}", str(file)) from None


def volume_in_words(card: CaseCard) -> str:
    """Return the hematoma's volume as drawn, and that on the stored grid, from which its features are."""
    return f"{decimal(card.source_volume_ml, 1)} ml ({decimal(card.volume_ml, 1)} ml on the stored grid)"


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


def term_in_words(term: TermCard) -> str:
    """Return a term's value and points, or why there are none, and the range of its values in training."""
    if isinstance(term.value, NotComputable):
        shown = f"no number: {in_words(term.value.reason)}"
    else:
        value = term.value if isinstance(term.value, str) else f"{term.value:.3g}"
        none = isinstance(term.points, NotComputable)
        shown = f"{value}; {_number(term.points, 0)}{'' if none else ' points'}"
    if term.training is None:
        return f"{shown}; in training {', '.join(term.levels)}"
    return f"{shown}; {training_in_words(term.training)}"


def training_in_words(training: Maybe[TrainingRange]) -> str:
    """Return the range of a term's values in training."""
    if isinstance(training, NotComputable):
        return f"training range: {training.reason}"
    return f"training range {training.low:.3g} to {training.high:.3g}"


def outside_in_words(row: OutsideColumn) -> str:
    """Return which column lies outside, on which side of which range."""
    span = f"{row.training.low:.4g} to {row.training.high:.4g}"
    return f"{in_words(row.column)}, {row.side} the training cases' {span}"


def flag_in_words(flag: str) -> str:
    """Return a flag with its meaning."""
    meaning = meaning_of(flag)
    return flag.replace("_", " ") + (f": {meaning}" if meaning else "")


def _number(value: Maybe[float], digits: int) -> str:
    return f"no number: {in_words(value.reason)}" if isinstance(value, NotComputable) else decimal(value, digits)
