"""What a cohort leaves open, in words: criteria that nobody recorded, outlines that are not scored. Pure."""

from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.inputs import FlowStep
from cvtbatch.validation.readers import OtherReading
from cvtbatch.validation.report.column_words import variable_in_words


def unrecorded_in_words(step: FlowStep) -> str:
    """Return what is not recorded of the cases that a step leaves, columns of one number together; empty where all is."""
    by_count: dict[int, list[str]] = {}
    for column, count in step.unrecorded:
        by_count.setdefault(count, []).append(variable_in_words(column))
    return "; ".join(
        f"{', '.join(names)}: not recorded for {count} of {_cases(step.left)}" for count, names in by_count.items()
    )


def unrecorded_criteria(validation: Validation) -> str:
    """Return what is not recorded of the criteria of eligibility; empty where all is."""
    return "; ".join(filter(None, map(unrecorded_in_words, validation.flow)))


def others_in_words(validation: Validation) -> str:
    """Return whose outlines of the centre are there and are not scored; empty where there are none."""
    return "; ".join(f"{_count(other.outlines, 'outline')} by {other.reader}" for other in validation.others)


def uncompared_in_words(validation: Validation) -> list[str]:
    """Return for each reading that is not scored, and of which there is no reader study, what there is of it."""
    scored = validation.provenance.applied_reader
    compared = {reader for study in validation.readers for reader in (study.first, study.second)}
    return [_pair(other, scored) for other in validation.others if other.reader not in compared]


def _pair(other: OtherReading, scored: str) -> str:
    if not other.shared:
        return f"{_count(other.outlines, 'outline')} by {other.reader}, of cases that {scored} has not outlined"
    verb = "has" if other.shared == 1 else "have"
    return f"{_cases(other.shared)} {verb} an outline by {other.reader} beside the one by {scored}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _cases(number: int) -> str:
    return _count(number, "case")
