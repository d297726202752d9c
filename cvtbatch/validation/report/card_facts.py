"""What the card of a case shows whatever its bundle tells: whose case and bundle, cautions, terms, what lies outside. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from cvtbatch.reporting.flag_words import meaning_of
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.validation.nomogram import TrainingRange
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.values import Maybe, NotComputable

RESEARCH_USE = "For research use. Not a medical device; not for the care of patients."
UNCHECKED = (
    "Whether the case belongs to the study is not checked: non-traumatic supratentorial hemorrhage, CT without contrast within "
    "24 h of onset, no substantial intraventricular or subarachnoid hemorrhage."
)


@dataclass(frozen=True, slots=True)
class TermCard:
    """A term of the nomogram, with the range that its values had in training, or the levels.

    Attributes:
        value: a number, or the level of a category.
        training: None for a category.
        points: of the nomogram; None where it has none, as that of several classes.
        levels: of a category, as training had them, the reference first.
    """

    name: str
    value: Maybe[float | str]
    training: Maybe[TrainingRange] | None
    points: Maybe[float] | None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutsideColumn:
    """A column whose value lies outside the training range; the value itself is not shown."""

    column: str
    side: str
    training: TrainingRange


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CardFacts:
    """A case on a card, without what models say of it.

    Attributes:
        input_digest: of image and outline, by which the card and a store's rows can be told to be of one case.
        choice: which series was taken, and why.
        volume_ml, source_volume_ml: of the outline on the stored grid, and as drawn.
        flags: of volume, outline and scores.
        conclusion: what the primary model makes of the case, in a sentence, with what speaks against believing it.
        cautions: what speaks against the bundle, or against reading this card.
        terms: of the nomogram.
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
    terms: tuple[TermCard, ...]
    outside: tuple[OutsideColumn, ...]
    distance_percentile: float | None
    largest: OutlinedSlice


def lines_before(card: CardFacts) -> Iterator[str]:
    """Yield what stands before the scores, as lines of text."""
    yield card.conclusion
    yield RESEARCH_USE
    yield f"Intended use: {card.intended_use}"
    yield f"Bundle {card.bundle_digest[:12]}, trained on {card.trained_on}"
    yield from (f"Caution: {caution}." for caution in dict.fromkeys(card.cautions))
    yield UNCHECKED
    yield f"Image: {card.choice}; hematoma {volume_in_words(card)}; inputs {card.input_digest[:12]}"
    yield from (f"Flag: {flag}" for flag in map(flag_in_words, card.flags))


def lines_after(card: CardFacts) -> Iterator[str]:
    """Yield what stands after them."""
    yield from (f"Outside the training range: {outside_in_words(row)}" for row in card.outside)
    if card.distance_percentile is not None:
        yield f"Distance from training: percentile {decimal(card.distance_percentile, 0)} of the training cases' own"


def volume_in_words(card: CardFacts) -> str:
    """Return the hematoma's volume as drawn, and that on the stored grid, from which its features are."""
    return f"{decimal(card.source_volume_ml, 1)} ml ({decimal(card.volume_ml, 1)} ml on the stored grid)"


def term_in_words(term: TermCard) -> str:
    """Return a term's value and points, or why there are none, and the range of its values in training."""
    if isinstance(term.value, NotComputable):
        shown = f"no number: {in_words(term.value.reason)}"
    else:
        value = term.value if isinstance(term.value, str) else f"{term.value:.3g}"
        shown = value if term.points is None else f"{value}; {_points_in_words(term.points)}"
    if term.training is None:
        return f"{shown}; in training {', '.join(term.levels)}"
    return f"{shown}; {training_in_words(term.training)}"


def _points_in_words(points: Maybe[float]) -> str:
    return number_in_words(points, 0) + ("" if isinstance(points, NotComputable) else " points")


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


def number_in_words(value: Maybe[float], digits: int) -> str:
    """Return a number, or why there is none."""
    return f"no number: {in_words(value.reason)}" if isinstance(value, NotComputable) else decimal(value, digits)
