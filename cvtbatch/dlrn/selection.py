"""From many columns to few: each step's verdict on every column, with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cvtbatch import contracts
from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.folds import Split
from cvtbatch.dlrn.lasso import fit_lasso
from cvtbatch.dlrn.settings import SelectionSettings
from cvtbatch.dlrn.univariate import Scaler, fit_scaler, kruskal_p, mann_whitney_p, uncorrelated, unusable_reasons
from cvtbatch.regions.rules import split_column


class Step(StrEnum):
    """Where a column left, in order; SELECTED is where it did not."""

    SCREENING = "screening"
    AGREEMENT = "agreement"
    MANN_WHITNEY = "mann_whitney"
    CORRELATION = "correlation"
    LASSO = "lasso"
    SELECTED = "selected"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one column.

    Attributes:
        left_at: step at which it left.
        reason: why; empty for a selected column.
        p_value: of Mann-Whitney U, of several classes of Kruskal-Wallis, NaN where the column did not come that far.
        coefficient: of the LASSO, likewise.
    """

    name: str
    left_at: Step
    reason: str
    p_value: float = float("nan")
    coefficient: float = float("nan")


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome of a selection.

    Attributes:
        columns: (s,) numbers of the selected columns.
        scaler: z-score of the selected columns.
        verdicts: one for each column that was offered, in order.
        alpha: penalty of the LASSO; NaN where there was nothing to choose.
        rescued: no column passed a filter, so that the one with the smallest P stands in.
    """

    columns: Integers
    scaler: Scaler
    verdicts: tuple[Verdict, ...]
    alpha: float
    rescued: bool

    def names(self) -> tuple[str, ...]:
        """Return the names of the selected columns."""
        return tuple(self.verdicts[column].name for column in self.columns)

    def counts(self) -> dict[str, int]:
        """Return how many columns each step left, `offered` first."""
        gone = [sum(verdict.left_at == step for verdict in self.verdicts) for step in Step][:-1]
        left = [len(self.verdicts) - sum(gone[: number + 1]) for number in range(len(gone))]
        return {"offered": len(self.verdicts), **dict(zip([str(step) for step in Step][:-1], left, strict=True))}


@dataclass(frozen=True, slots=True)
class Offered:
    """Columns after the filters that look at one of them at a time; Rad, DL and DLR share their values.

    Attributes:
        names: (p,) names of all columns.
        values: (n, p) raw values.
        scaled: (n, p) z-scores; 0 in columns that cannot be used.
        scaler: mean and deviation; 0 and 1 in columns that cannot be used.
        reasons: (p,) why a column cannot be used, or empty.
        unstable: (p,) why readers do not agree on it, or empty.
        p_values: (p,) Mann-Whitney's or Kruskal-Wallis' P; NaN for columns that cannot be used.
        outcome: (n,).
    """

    names: tuple[str, ...]
    values: Floats
    scaled: Floats
    scaler: Scaler
    reasons: tuple[str, ...]
    unstable: tuple[str, ...]
    p_values: Floats
    outcome: Integers


def offer(names: Sequence[str], values: Floats, outcome: Integers, unstable: Sequence[str]) -> Offered:
    """Screen, scale and test every column.

    A feature whose value follows the processor cannot be used: a frozen model must score alike everywhere.

    Args:
        values: (n, p).
        unstable: (p,) why readers do not agree on a column, or empty.
    """
    bound = contracts.processor_bound_features()
    reasons = [
        "processor_bound" if split_column(name)[1] in bound else reason
        for name, reason in zip(names, unusable_reasons(values), strict=True)
    ]
    usable = np.array([not reason for reason in reasons])
    mean, scale = np.zeros(len(names)), np.ones(len(names))
    scaled, p_values = np.zeros_like(values), np.full(len(names), np.nan)
    if usable.any():
        own = fit_scaler(values[:, usable])
        mean[usable], scale[usable] = own.mean, own.scale
        scaled[:, usable] = own.apply(values[:, usable])
        test = mann_whitney_p if outcome.max() < 2 else kruskal_p
        p_values[usable] = test(values[:, usable], outcome)
    return Offered(
        tuple(names), values, scaled, Scaler(mean, scale), tuple(reasons), tuple(unstable), p_values, outcome
    )


def select(
    offered: Offered,
    columns: Sequence[int],
    splits: Sequence[Split],
    settings: SelectionSettings,
    smote: tuple[int, int] | None,
) -> Selection | None:
    """Select among some of the columns.

    Args:
        columns: numbers of the columns of `offered` that take part.
        splits: folds of the LASSO.
        smote: (neighbours, seed) inside the LASSO's folds, or None.

    Returns:
        the selection, over `columns` as numbered there; None if no column can be used.
    """
    names = [offered.names[column] for column in columns]
    p_values = offered.p_values[list(columns)]
    verdicts: dict[int, Verdict] = {}
    remaining = _passed_alone(offered, columns, settings.mann_whitney_p, verdicts)
    usable = [place for place in range(len(columns)) if not offered.reasons[columns[place]]]
    if not usable:
        return None
    smallest = min(usable, key=lambda place: (p_values[place], names[place]))
    chosen, alpha = [], float("nan")
    if remaining:
        kept = _decorrelated(offered, columns, remaining, settings.correlation, verdicts)
        values = np.asfortranarray(offered.scaled[:, [columns[place] for place in kept]])
        fit = fit_lasso(
            values, offered.outcome, splits, alphas=settings.lasso_alphas, eps=settings.lasso_eps, smote=smote
        )
        alpha = fit.alpha
        for place, coefficient in zip(kept, fit.coefficients, strict=True):
            step, reason = (Step.SELECTED, "") if coefficient else (Step.LASSO, "coefficient 0")
            verdicts[place] = Verdict(names[place], step, reason, float(p_values[place]), float(coefficient))
        chosen = [place for place in kept if verdicts[place].left_at == Step.SELECTED]
    rescued = not chosen
    if rescued:
        chosen = [smallest]
        verdicts[smallest] = Verdict(names[smallest], Step.SELECTED, "smallest P", float(p_values[smallest]))
    taken = [columns[place] for place in chosen]
    scaler = Scaler(offered.scaler.mean[taken], offered.scaler.scale[taken])
    ordered = tuple(verdicts[place] for place in range(len(columns)))
    return Selection(np.asarray(chosen, np.int64), scaler, ordered, alpha, rescued)


def _passed_alone(offered: Offered, columns: Sequence[int], limit: float, verdicts: dict[int, Verdict]) -> list[int]:
    """Return the places of the columns that pass the filters which look at one column; the others get their verdict."""
    passed = []
    for place, column in enumerate(columns):
        name, p_value = offered.names[column], float(offered.p_values[column])
        if reason := offered.reasons[column]:
            verdicts[place] = Verdict(name, Step.SCREENING, reason)
        elif reason := offered.unstable[column]:
            verdicts[place] = Verdict(name, Step.AGREEMENT, reason)
        elif not p_value < limit:
            verdicts[place] = Verdict(name, Step.MANN_WHITNEY, f"P >= {limit:g}", p_value)
        else:
            passed.append(place)
    return passed


def _decorrelated(
    offered: Offered, columns: Sequence[int], places: list[int], limit: float, verdicts: dict[int, Verdict]
) -> list[int]:
    taken = [columns[place] for place in places]
    names = [offered.names[column] for column in taken]
    stays, instead = uncorrelated(offered.scaled[:, taken], offered.p_values[taken], names, limit)
    for number, place in enumerate(places):
        if not stays[number]:
            p_value = float(offered.p_values[columns[place]])
            verdicts[place] = Verdict(
                names[number], Step.CORRELATION, f"|r| > {limit:g} with {instead[number]}", p_value
            )
    return [place for number, place in enumerate(places) if stays[number]]
