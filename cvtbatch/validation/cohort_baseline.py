"""The baseline tables of a centre: its classes, it and training, and how its cases were scanned."""

from collections.abc import Mapping, Sequence

from cvtbatch.validation.baseline import BaselineRow, Kept, Value, baseline_table
from cvtbatch.validation.inputs import NO_TRAINING, Case, Training
from cvtbatch.validation.kept_columns import KeptLevels, KeptNumbers
from cvtbatch.validation.nomogram import Nomogram, Term
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.values import Maybe, NotComputable

CLINICAL: Mapping[str, str] = {
    "age": "years",
    "sex": "category",
    "epilepsy": "yes/no",
    "hypertension": "yes/no",
    "headache": "yes/no",
    "onset_to_ct_h": "h",
    "location": "category",
    "confirmed_by": "category",
    "volume_ml": "ml",
}
"""Variables of the baseline table, with their units."""


def by_class(cases: tuple[Case, ...], nomogram: Maybe[Nomogram]) -> tuple[BaselineRow, ...]:
    """Compare cases with and without the event, by the variables above and further terms of the nomogram."""
    sides = [tuple(case for case in cases if case.outcome is outcome) for outcome in (True, False)]
    terms = () if isinstance(nomogram, NotComputable) else nomogram.terms
    variables = {**{term.column: _unit(term) for term in terms if term.column}, **CLINICAL}
    variables = {name: variables[name] for name in dict.fromkeys([*CLINICAL, *variables])}
    return baseline_table(variables, *(_columns(side, variables) for side in sides))


def _unit(term: Term) -> str:
    if not term.levels:
        return ""
    return "yes/no" if [name for _, name in term.levels] == ["no", "yes"] else "category"


def against_training(
    training: Training | None, cases: tuple[Case, ...], outcome: Outcome
) -> Maybe[tuple[BaselineRow, ...]]:
    """Compare the centre with training, the outcome's share first."""
    if training is None:
        return NO_TRAINING
    name = outcome.column
    own = {name: [None if case.outcome is None else int(case.outcome) for case in cases]}
    shares = baseline_table({name: "yes/no"}, own, {name: [int(value) for value in training.outcome]})
    return shares + baseline_table(CLINICAL, _columns(cases, CLINICAL), training.clinical)


def protocol(training: Training | None, cases: tuple[Case, ...]) -> tuple[BaselineRow, ...]:
    """Compare how cases were scanned; without training values the second group is empty."""
    names = dict.fromkeys(name for case in cases for name in case.acquisition)
    own = {name: [case.acquisition.get(name) for case in cases] for name in names}
    others = training.acquisition if training else {}
    units = {
        name: "category" if _holds_texts(own[name]) or _holds_texts(others.get(name, ())) else "" for name in names
    }
    return baseline_table(units, own, others)


def _holds_texts(column: Sequence[Value] | Kept) -> bool:
    if isinstance(column, KeptLevels | KeptNumbers | NotComputable):
        return isinstance(column, KeptLevels)
    return any(isinstance(value, str) for value in column)


def _columns(cases: tuple[Case, ...], names: Mapping[str, str]) -> dict[str, list[Value]]:
    return {name: [case.clinical.get(name) for case in cases] for name in names}
