"""Figures of what a model is worth: ROC, precision-recall, AUC beside other figures, calibration, decision curves, subgroups."""

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from textwrap import fill
from typing import Any

import numpy as np

from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.model_result import ModelResult
from cvtbatch.validation.report.digits import decimal, decimals_of, value_text
from cvtbatch.validation.report.drawing import (
    BLACK,
    BLUE,
    GRAY,
    MODEL_LINES,
    ORANGE,
    VERMILION,
    Drawing,
    class_labels,
    finish,
    new_figure,
    style,
)
from cvtbatch.validation.values import Estimate, Interval, NotComputable

CAUTION_LETTERS = 68
"""In a line below a figure."""


def draw_performance(validation: Validation) -> Iterator[Drawing]:
    """Yield the figures that can be drawn."""
    models = validation.models
    if any(not isinstance(model.roc, NotComputable) for model in models):
        yield _draw_roc(models)
        yield _draw_precision_recall(models)
        yield _draw_auc(models)
    if any(result.case.scores.get(validation.primary) is not None for result in validation.cases):
        yield _draw_scores(validation)
    for model in reversed(models):
        if model.calibration.groups and model.calibration.groups[0].n != model.n:
            yield _draw_calibration(model)
    primary = validation.primary_result
    if not isinstance(primary.decision_curve, NotComputable):
        yield _draw_decision_curve(primary)
        yield _draw_decision_curves(models)
    if any(isinstance(row.auc, Estimate) for row in validation.subgroups):
        yield _draw_subgroups(validation)


def _lines(models: Sequence[ModelResult]) -> Iterator[tuple[ModelResult, str, object]]:
    """Yield models with their colour and dashes."""
    for place, model in enumerate(models):
        color, dashes = MODEL_LINES[place - len(models)] if len(models) <= len(MODEL_LINES) else (GRAY, "solid")
        yield model, color, dashes


def _unit_square(axes: Any, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _draw_roc(models: Sequence[ModelResult]) -> Drawing:
    with style("roc"):
        figure, axes = new_figure(4.4)
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, linestyle=":")
        for model, color, dashes in _lines(models):
            if isinstance(model.roc, NotComputable):
                continue
            value = f" {value_text(model.auc)}" if isinstance(model.auc, Estimate) else ""
            axes.plot(model.roc.x, model.roc.y, color=color, linestyle=dashes, label=f"{model.name}, AUC{value}")
            point = model.points[0].decisions
            if isinstance(point, NotComputable) or isinstance(point.specificity, NotComputable):
                continue
            if isinstance(point.sensitivity, Estimate):
                axes.plot(1 - point.specificity.value, point.sensitivity.value, "o", color=color, markersize=6)
        axes.plot([], [], "o", color=GRAY, markersize=6, label="at the frozen threshold")
        _unit_square(axes, "1 − specificity (false-positive rate)", "sensitivity (true-positive rate)")
        axes.legend(loc="lower right")
        return finish(
            figure, "roc", "ROC curves", "ROC curves of the models with their operating points at the frozen threshold"
        )


def _draw_precision_recall(models: Sequence[ModelResult]) -> Drawing:
    with style("precision_recall"):
        figure, axes = new_figure(4.4)
        prevalence = None
        for model, color, dashes in _lines(models):
            found = model.precision_recall
            if isinstance(found, NotComputable):
                continue
            prevalence = found.prevalence
            # The average precision counts the rectangle from recall 0 to the first point too.
            axes.step(
                (0, *found.curve.x),
                (found.curve.y[0], *found.curve.y),
                where="pre",
                color=color,
                linestyle=dashes,
                label=f"{model.name}, AP {value_text(found.average_precision)}",
            )
        if prevalence is not None:
            axes.axhline(
                prevalence,
                color=GRAY,
                linewidth=0.8,
                linestyle=":",
                label=f"prevalence {decimal(prevalence, decimals_of(models[0].n))}",
            )
        _unit_square(axes, "recall (sensitivity)", "precision (positive predictive value)")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return finish(figure, "precision_recall", "Precision-recall curves", "Precision-recall curves of the models")


def _draw_auc(models: Sequence[ModelResult]) -> Drawing:
    """Draw AUCs here, in training by each protocol, and as published, with their intervals and what speaks against them."""
    rows: list[tuple[str, Estimate, str, str]] = []
    cautions = list(dict.fromkeys(row.caution for model in models for row in model.training if row.caution))
    of_study = any(model.published_auc for model in models)
    for model, _, _ in _lines(models):
        own = [("here", model.auc, BLUE, "o")]
        own += [(row.protocol + _mark(row.caution, cautions), row.auc, ORANGE, "s") for row in model.training]
        own += [("published", model.published_auc, GRAY, "D")] if model.published_auc else []
        rows += [
            (f"{model.name}: {name}", value, color, mark)
            for name, value, color, mark in own
            if isinstance(value, Estimate)
        ]
    with style("auc"):
        figure, axes = new_figure(0.9 + 0.24 * len(rows) + 0.3 * len(cautions))
        _intervals(axes, rows)
        axes.set(xlabel="AUC with 95 % confidence interval", xlim=(min(0.4, _lowest(rows) - 0.02), 1.02))
        axes.axvline(0.5, color=GRAY, linewidth=0.8, linestyle=":")
        notes = [f"{_mark(caution, cautions).strip()} {caution}" for caution in cautions]
        for note in notes:
            axes.plot([], [], " ", label=fill(note, CAUTION_LETTERS))
        if notes:
            figure.legend(loc="outside lower left", handlelength=0, handletextpad=0)
        return finish(
            figure,
            "auc",
            "AUC here, in training, and as published" if of_study else "AUC here and in training",
            "; ".join(
                [f"AUC of each model here{', in training and published' if of_study else ' and in training'}", *notes]
            ),
        )


def _mark(caution: str, cautions: Sequence[str]) -> str:
    """Return the letter of a caution below the figure, or an empty text."""
    return f" ({ascii_lowercase[cautions.index(caution)]})" if caution else ""


def _lowest(rows: Sequence[tuple[str, Estimate, str, str]]) -> float:
    return min(
        estimate.interval.low if isinstance(estimate.interval, Interval) else estimate.value for _, estimate, *_ in rows
    )


def _intervals(axes: Any, rows: Sequence[tuple[str, Estimate, str, str]]) -> None:
    """Draw estimates one below the other."""
    for place, (_, estimate, color, mark) in enumerate(rows):
        if isinstance(estimate.interval, Interval):
            axes.plot([estimate.interval.low, estimate.interval.high], [place, place], color=color, linewidth=1.5)
        axes.plot(estimate.value, place, mark, color=color, markersize=5)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _draw_scores(validation: Validation) -> Drawing:
    """Draw the primary score by class, one mark a case, spread so that equal scores stay visible."""
    name, (event, others) = validation.primary, class_labels(validation.outcome)
    groups: dict[str, list[float]] = {event: [], others: [], "unknown": []}
    for result in validation.cases:
        if name in result.case.scores:
            known = {True: event, False: others, None: "unknown"}[result.case.outcome]
            groups[known].append(result.case.scores[name])
    shown = [(label, values) for label, values in groups.items() if values]
    threshold = next(iter(validation.primary_result.points), None)
    with style("scores"):
        figure, axes = new_figure(1.3 + 0.75 * len(shown))
        rng = np.random.default_rng(0)
        colors, marks = (
            {event: VERMILION, others: BLUE, "unknown": GRAY},
            {event: "^", others: "o", "unknown": "x"},
        )
        for place, (label, values) in enumerate(shown):
            heights = place + rng.uniform(-0.28, 0.28, len(values))
            axes.plot(values, heights, marks[label], color=colors[label], markersize=4, alpha=0.65, markeredgewidth=0.8)
            axes.plot([np.median(values)] * 2, [place - 0.38, place + 0.38], color=BLACK, linewidth=2)
        if threshold is not None and not isinstance(threshold.decisions, NotComputable):
            at = threshold.decisions.threshold
            axes.axvline(at, color=BLACK, linewidth=1, linestyle="--", label=f"frozen threshold {decimal(at)}")
        axes.plot([], [], color=BLACK, linewidth=2, label="median")
        axes.set_yticks(range(len(shown)), [f"{label}\n(n = {len(values)})" for label, values in shown])
        axes.set(xlabel=f"{name} probability", xlim=(-0.02, 1.02), ylim=(len(shown) - 0.4, -0.6))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return finish(
            figure, "scores", f"{name} probability by outcome", f"{name} probabilities of the cases by outcome"
        )


def _draw_calibration(model: ModelResult) -> Drawing:
    name = f"calibration_{model.name}"
    with style(name):
        figure, axes = new_figure(4.6)
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.9, linestyle=":", label="ideal")
        curve = model.calibration.curve
        if not isinstance(curve, NotComputable):
            axes.fill_between(curve.predicted, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0)
            axes.plot(curve.predicted, curve.observed, color=BLUE, label="flexible curve, 95 % CI")
        for place, group in enumerate(model.calibration.groups):
            share = group.observed
            label = f"groups of {_sizes(model)} cases, 95 % CI" if place == 0 else None
            if isinstance(share.interval, Interval):
                axes.plot(
                    [group.predicted] * 2, [share.interval.low, share.interval.high], color=VERMILION, linewidth=1
                )
            axes.plot(group.predicted, share.value, "s", color=VERMILION, markersize=4.5, label=label)
        _unit_square(axes, "predicted probability", "observed share with the event")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        shown = _named(model)
        return finish(figure, name, f"Calibration of {shown}", f"Calibration plot of {shown}")


def _named(model: ModelResult) -> str:
    """Name a model, and what its calibration and net benefit rest on where that is not its score."""
    return model.name if model.scale == "probability" else f"{model.name}, {model.scale}"


def _sizes(model: ModelResult) -> str:
    sizes = [group.n for group in model.calibration.groups]
    return f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def _draw_decision_curve(model: ModelResult) -> Drawing:
    curve = model.decision_curve
    if isinstance(curve, NotComputable):
        raise TypeError(curve.reason)
    with style("decision_curve"):
        figure, axes = new_figure(4.0)
        axes.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(curve.thresholds, curve.model, color=BLUE, label=f"{model.name}, 95 % CI")
        _defaults(axes, curve.thresholds, curve.treat_all, max(curve.high))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return finish(
            figure, "decision_curve", f"Decision curve of {model.name}", f"Net benefit of {model.name} by threshold"
        )


def _draw_decision_curves(models: Sequence[ModelResult]) -> Drawing:
    with style("decision_curves"):
        figure, axes = new_figure(4.0)
        last = None
        for model, color, dashes in _lines(models):
            if not isinstance(model.decision_curve, NotComputable):
                last = model.decision_curve
                axes.plot(last.thresholds, last.model, color=color, linestyle=dashes, label=_named(model))
        if last is not None:
            _defaults(axes, last.thresholds, last.treat_all, last.treat_all[0])
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return finish(
            figure, "decision_curves", "Decision curves of all models", "Net benefit of all models by threshold"
        )


def _defaults(axes: Any, thresholds: Sequence[float], treat_all: Sequence[float], top: float) -> None:
    axes.plot(thresholds, treat_all, color=ORANGE, linestyle=(0, (4, 2)), linewidth=1.2, label="treat all")
    axes.axhline(0, color=BLACK, linewidth=1, linestyle=":", label="treat none")
    axes.set(
        xlabel="threshold probability",
        ylabel="net benefit (true positives per case)",
        xlim=(0, 1),
        ylim=(-0.25 * top - 0.02, 1.2 * top + 0.02),
    )


def _draw_subgroups(validation: Validation) -> Drawing:
    found = [
        (f"{row.variable}: {row.level}\n{row.events} of {row.n}", row.auc, BLUE, "o")
        for row in validation.subgroups
        if isinstance(row.auc, Estimate)
    ]
    with style("subgroups"):
        figure, axes = new_figure(0.9 + 0.36 * len(found))
        _intervals(axes, found)
        axes.set(xlabel=f"AUC of {validation.primary} with 95 % CI", xlim=(min(0.3, _lowest(found) - 0.03), 1.03))
        axes.axvline(0.5, color=GRAY, linewidth=0.8, linestyle=":")
        whole = validation.primary_result.auc
        if isinstance(whole, Estimate):
            axes.axvline(
                whole.value, color=VERMILION, linewidth=1, linestyle="--", label=f"all cases {value_text(whole)}"
            )
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center")
        return finish(figure, "subgroups", "Discrimination in subgroups", f"AUC of {validation.primary} in subgroups")
