"""What is known of a case, and what a model says of it, in words: points of the nomogram, what moved the signature. Pure."""

from cvtbatch.validation.baseline import Value
from cvtbatch.validation.cohort_baseline import CLINICAL
from cvtbatch.validation.decisions import Decisions
from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.inputs import Case, Contribution
from cvtbatch.validation.nomogram import Nomogram, TrainingRange
from cvtbatch.validation.report.column_words import in_words, variable_in_words
from cvtbatch.validation.report.conclusion import SECOND_OPINION, UNTRAINED, conclude
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.values import Maybe, NotComputable

SIGNATURE = "DLR signature"


def outside_training(case: Case, nomogram: Maybe[Nomogram]) -> tuple[str, ...]:
    """Return what of a case lies outside the training range, by name: columns, and terms of the nomogram that are numbers."""
    terms = () if isinstance(nomogram, NotComputable) else nomogram.terms
    values = _term_values(case)
    return (
        *case.outside,
        *(
            term.name
            for term in terms
            if isinstance(term.training, TrainingRange)
            and term.column not in case.outside
            and isinstance(value := values.get(term.name), float)
            and not term.training.low <= value <= term.training.high
        ),
    )


def clinical_terms(nomogram: Maybe[Nomogram]) -> tuple[str, ...]:
    """Return the clinical terms of a nomogram by name; epilepsy where there is no nomogram to tell them."""
    if isinstance(nomogram, NotComputable):
        return ("epilepsy",)
    return tuple(term.name for term in nomogram.terms[1:])


def terms_in_words(nomogram: Maybe[Nomogram]) -> str:
    """Return what the nomogram is a regression of."""
    *first, last = ("the DLR signature", *clinical_terms(nomogram))
    return f"{', '.join(first)} and {last} at admission" if first else last


def beyond_in_words(case: Case, most: int) -> str:
    """Return the columns that lie outside the training range, the farthest first, each with how far beyond the nearer end of the
    range it lies, in widths of the range; empty where none does.
    """
    ordered = sorted(case.outside, key=lambda name: -abs(case.beyond.get(name, 0.0)))
    told = [f"{in_words(name)} ({_how_far(case.beyond.get(name))})" for name in ordered[:most]]
    left = len(ordered) - most
    return ", ".join(told) + (f" and {left} more" if left > 0 else "")


def conclusion_in_words(result: CaseResult, validation: Validation) -> str:
    """Return what the primary model makes of a case in a sentence, without a number outside the training range."""
    case, name, where = result.case, validation.primary, validation.provenance
    outside = outside_training(case, validation.nomogram)
    probability: Maybe[float] = NotComputable("an input is not known")
    if outside:
        probability = NotComputable("an input lies outside the training range")
    elif name in case.scores:
        probability = case.scores[name]
    found = validation.primary_result.points[0].decisions
    unfit = [
        why
        for why, is_so in ((UNTRAINED, where.not_for_inference), (SECOND_OPINION, "not_for_inference" in case.flags))
        if is_so
    ]
    threshold = found.threshold if isinstance(found, Decisions) else None
    return conclude(name, probability, result.called, threshold, outside, unfit, validation.outcome)


def clinical_in_words(case: Case) -> str:
    """Return the clinical values that are known, named as in the tables of the cohort, with their units."""
    return "; ".join(
        f"{variable_in_words(name)}: {_clinical(value, 'ml' if name == 'source_volume_ml' else CLINICAL.get(name, ''))}"
        for name, value in case.clinical.items()
        if value is not None
    )


def points_in_words(case: Case) -> str:
    """Return the sum of the nomogram's points, and those of each term with the value that has them; empty where there are none."""
    points = case.explanation.points if case.explanation else ()
    if not points:
        return ""
    values = _term_values(case)
    parts = [f"{decimal(row.amount, 0)} for {_with_value(row.name, values.get(row.name))}" for row in points]
    total = decimal(sum(row.amount for row in points), 0)
    *first, last = parts
    told = f"{', '.join(first)} and {last}" if first else last
    return f"{total} point{'' if total == '1' else 's'}: {told}"


def moved_in_words(case: Case, most: int) -> str:
    """Return the features that moved the DLR signature most, as stored, by direction; empty where they are not known."""
    rows = case.explanation.contributions[:most] if case.explanation else ()
    sides = (("raised", [row for row in rows if row.amount >= 0]), ("lowered", [row for row in rows if row.amount < 0]))
    return ", ".join(f"{verb} by {' and '.join(map(amount_in_words, moved))}" for verb, moved in sides if moved)


def epilepsy_decides(validation: Validation) -> str:
    """Say in how many cases the decision at the frozen threshold is that of epilepsy alone.

    Returns:
        empty where it is not known of any, or no term of the nomogram.
    """
    primary = validation.primary_result
    if "epilepsy" not in clinical_terms(validation.nomogram):
        return ""
    found = primary.points[0].decisions
    if not isinstance(found, Decisions):
        return ""
    same = [
        (case.scores[primary.name] >= found.threshold) == (case.clinical["epilepsy"] == 1)
        for case in (result.case for result in validation.cases)
        if primary.name in case.scores and case.clinical.get("epilepsy") is not None
    ]
    if not same:
        return ""
    return f"In {sum(same)} of {len(same)} cases the decision of {primary.name} at the frozen threshold is that of epilepsy alone."


def extrapolated(validation: Validation) -> str:
    """Say how many scores are of inputs outside the training range; empty where none is."""
    name = validation.primary
    scored = [result.case for result in validation.cases if name in result.case.scores]
    outside = sum(bool(outside_training(case, validation.nomogram)) for case in scored)
    if not outside:
        return ""
    verb = "is of an input" if outside == 1 else "are of inputs"
    return (
        f"{outside} of {len(scored)} scores of {name} {verb} outside the training range: there the model extrapolates, and a card "
        "gives no probability."
    )


def amount_in_words(row: Contribution) -> str:
    """Return a name with what it adds."""
    return f"{in_words(row.name)} ({'+' if row.amount >= 0 else ''}{decimal(row.amount, 2)})"


def _how_far(widths: float | None) -> str:
    if widths is None:
        return "all training cases have one value"
    return f"{decimal(abs(widths), 1 if abs(widths) >= 0.05 else 2)} {'above' if widths > 0 else 'below'}"


def _term_values(case: Case) -> dict[str, Value]:
    """Return the values that a nomogram's term can have, by its name, levels by theirs; None where unknown."""
    clinical = {variable_in_words(name): _level(value) for name, value in case.clinical.items()}
    return {SIGNATURE: case.scores.get("DLR"), **clinical}


def _clinical(value: float | str, unit: str) -> str:
    """Return a value with its unit; whole numbers are answers, 0 or 1."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return "yes" if value else "no"
    return f"{value:g} {unit}" if unit == "years" else f"{decimal(value, 1)} {unit}"


def _with_value(name: str, value: Value) -> str:
    if value is None:
        return name
    if isinstance(value, str):
        return f"{name} {value}"
    return f"{name} {decimal(value, 2) if name == SIGNATURE else f'{value:g}'}"


def _level(value: Value) -> Value:
    """Return a value as a nomogram's axis has it: whole numbers are answers, 0 or 1."""
    if isinstance(value, int):
        return "yes" if value else "no"
    return value
