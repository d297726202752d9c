"""Figures of the cohort and the model: inclusion flow, nomogram, importances, shift, readers."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.feature_shift import FeatureShift
from cvtbatch.validation.inputs import FlowStep, Importance
from cvtbatch.validation.nomogram import Nomogram, Term
from cvtbatch.validation.readers import STRONG_ICC, ReaderStudy, feature_class
from cvtbatch.validation.report.case_words import outside_training, points_in_words
from cvtbatch.validation.report.cohort_words import unrecorded_in_words
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.drawing import (
    BLACK,
    BLUE,
    GRAY,
    ORANGE,
    VERMILION,
    WIDTH_IN,
    Drawing,
    class_labels,
    finish,
    is_drawable,
    new_figure,
    style,
)
from cvtbatch.validation.shift import ScoreDistribution
from cvtbatch.validation.values import Estimate, NotComputable

PROBABILITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
LINE_IN = 0.165
MOST_FEATURES = 25
_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def draw_model(validation: Validation) -> Iterator[Drawing]:
    """Yield the figures that can be drawn."""
    yield _draw_flow(validation.flow)
    if not isinstance(validation.nomogram, NotComputable):
        yield _draw_nomogram(validation.nomogram, worked_example(validation))
    if validation.importances:
        yield _draw_importances(validation.importances)
    features = validation.shift.features
    if not isinstance(features, NotComputable) and any(isinstance(row.difference, float) for row in features):
        yield _draw_shift(features)
    if not isinstance(validation.shift.scores, NotComputable):
        yield _draw_score_shift(validation, validation.shift.scores.distributions)
    for number, study in enumerate(validation.readers, 1):
        if any(isinstance(row.icc, Estimate) for row in study.features):
            yield _draw_readers(number, study)


def worked_example(validation: Validation) -> CaseResult | None:
    """Return the case that the nomogram is read for: within the training range if any is, with points of most terms, an event, near
    the primary threshold.
    """
    name, point = validation.primary, validation.primary_result.points[0].decisions
    fit = [
        result
        for result in validation.cases
        if name in result.case.scores and result.case.explanation and result.case.explanation.points
    ]
    at = 0.5 if isinstance(point, NotComputable) else point.threshold

    def place(result: CaseResult) -> tuple[bool, int, bool, float]:
        case, points = result.case, result.case.explanation.points if result.case.explanation else ()
        outside = bool(outside_training(case, validation.nomogram))
        return outside, sum(row.amount == 0 for row in points), not case.outcome, abs(case.scores[name] - at)

    return min(fit, key=place, default=None)


def _draw_flow(steps: Sequence[FlowStep]) -> Drawing:
    """Draw boxes from screened to analysed, and beside each arrow who left and why."""
    with style("flow"):
        wrapped = [_beside(step) for step in steps]
        gaps = [max(0.25, LINE_IN * (len(lines) + 0.6)) if lines else 0.25 for lines in wrapped]
        box = 0.52
        height = 0.2 + sum(gaps[1:]) + box * len(steps)
        figure, axes = new_figure(height)
        axes.set(xlim=(0, WIDTH_IN), ylim=(height, 0))
        axes.axis("off")
        y = 0.1
        for place, step in enumerate(steps):
            if place:
                middle = y + gaps[place] / 2
                axes.annotate("", (1.0, y + gaps[place]), (1.0, y), arrowprops={"arrowstyle": "-|>", "color": BLACK})
                if wrapped[place]:
                    axes.plot([1.0, 1.55], [middle, middle], color=BLACK, linewidth=0.9)
                    axes.text(1.62, middle, "\n".join(wrapped[place]), va="center", fontsize=8, linespacing=1.25)
                y += gaps[place]
            axes.add_patch(_box(0.06, y, 1.88, box))
            name = "\n".join(textwrap.wrap(step.name, 26))
            axes.text(1.0, y + box / 2, f"{name}\nn = {step.left}", ha="center", va="center", fontsize=8.5)
            y += box
        alt = "; ".join(
            filter(None, (part for step in steps for part in (f"{step.name}: {step.left}", unrecorded_in_words(step))))
        )
        return finish(figure, "flow", "Inclusion flow", f"Inclusion flow. {alt}")


def _box(x: float, y: float, width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor="#F2F6FA", edgecolor=BLUE, linewidth=1)


def _beside(step: FlowStep) -> list[str]:
    """Return the lines beside the arrow to a step: who left and why, and what is not recorded of those who stay."""
    lost = sum(n for _, n in step.excluded)
    left_out = [f"left out: {lost}"] if lost else []
    for reason, n in step.excluded:
        left_out += textwrap.wrap(f"{n}  {reason}", 31, subsequent_indent="    ")
    told = unrecorded_in_words(step)
    return left_out + [line for part in told.split("; ") if part for line in textwrap.wrap(part, 36)]


def _draw_nomogram(nomogram: Nomogram, example: CaseResult | None) -> Drawing:
    """Draw the scales one below the other: points, terms, total points, probability; the example as vertical marks."""
    total = max(nomogram.most_points, 1.0)
    shown = [(p, nomogram.total_at(p)) for p in PROBABILITIES]
    shown = [(p, at) for p, at in shown if -1e-9 <= at <= total + 1e-9]
    with style("nomogram"):
        rows = len(nomogram.terms) + 3
        figure, axes = new_figure(0.74 * rows + (0.5 if example else 0.2))
        axes.set(xlim=(-0.02, 1.02), ylim=(rows - 0.3, -0.5))
        axes.axis("off")
        _scale(axes, 0, "points", [(k / 100, f"{k}") for k in range(0, 101, 20)])
        for place, term in enumerate(nomogram.terms, 1):
            ticks = [(nomogram.points(term, value) / 100, text) for value, text in term.levels or _tick_values(term)]
            # Where a curve turns, its shorter side is told above the line.
            turn = max(range(len(ticks)), key=lambda at: (ticks[at][0], -at)) if term.knots else 0
            sides = sorted((ticks[:turn], ticks[turn:]), key=len)
            longer = sorted(sides[1])
            _scale(axes, place, term.name, longer if term.levels or not term.column else _apart(longer, 0.05), sides[0])
        step = next(size for size in (10, 20, 50, 100, 200, 500) if total / size <= 8)
        _scale(axes, rows - 2, "total points", [(k / total, f"{k}") for k in range(0, int(total) + 1, step)])
        _scale(axes, rows - 1, "probability", _apart([(at / total, f"{p:g}") for p, at in shown]))
        title, alt = "Nomogram", "Nomogram: points of each term, total points and probability"
        if example and example.case.explanation:
            key = example.case.key
            title, alt = f"{title}, read for case {key}", f"{alt}; read for case {key}"
            points = {row.name: row.amount for row in example.case.explanation.points}
            _mark_example(axes, nomogram, points, total, rows)
            summed = sum(points.get(term.name, 0.0) for term in nomogram.terms)
            name = "\n".join(textwrap.wrap(f"Example, case {key}:", 52)) if is_drawable(key) else "Example:"
            points_told = "\n".join(textwrap.wrap(points_in_words(example.case), 64))
            text = f"{name}\n{points_told}\n→ probability {decimal(nomogram.probability(summed), 2)}"
            axes.text(0, rows - 0.42, text, color=VERMILION, fontsize=8.5, va="top")
        return finish(figure, "nomogram", title, alt)


def _tick_values(term: Term) -> list[tuple[float, str]]:
    """Return values of a number's axis in order: its ends, and between them round ones of a clinical number."""
    if not term.column:
        return [(value, f"{value:g}") for value in np.linspace(term.low, term.high, 6)]
    from matplotlib.ticker import MaxNLocator

    gap = (term.high - term.low) / 20
    between = [
        value for value in MaxNLocator(6).tick_values(term.low, term.high) if term.low + gap < value < term.high - gap
    ]
    return [(value, f"{value:g}") for value in (term.low, *between, term.high)]


def _scale(
    axes: Any, y: float, name: str, ticks: Sequence[tuple[float, str]], above: Sequence[tuple[float, str]] = ()
) -> None:
    places = [x for x, _ in (*ticks, *above)]
    axes.plot([min(places), max(places)] if places else [0, 1], [y, y], color=BLACK, linewidth=1)
    for x, text in above:
        axes.plot([x, x], [y, y - 0.09], color=BLACK, linewidth=0.9)
        axes.text(x, y - 0.12, text, ha="center", va="bottom", fontsize=8, bbox=_BLANK, zorder=3)
    axes.text(0, y - 0.3, name, fontsize=8.5, fontweight="bold", va="center", bbox=_BLANK, zorder=3)
    for x, text in ticks:
        axes.plot([x, x], [y, y + 0.09], color=BLACK, linewidth=0.9)
        axes.text(x, y + 0.14, text, ha="center", va="top", fontsize=8, bbox=_BLANK, zorder=3)


def _apart(ticks: Sequence[tuple[float, str]], gap: float = 0.075) -> list[tuple[float, str]]:
    """Leave out labels that would touch the one before."""
    kept: list[tuple[float, str]] = []
    for x, text in ticks:
        if not kept or x - kept[-1][0] >= gap:
            kept.append((x, text))
    return kept


def _mark_example(axes: Any, nomogram: Nomogram, points: dict[str, float], total: float, rows: int) -> None:
    summed = 0.0
    for place, term in enumerate(nomogram.terms, 1):
        own = points.get(term.name, 0.0)
        summed += own
        axes.plot([own / 100] * 2, [0, place], color=VERMILION, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.plot(own / 100, place, "v", color=VERMILION, markersize=6)
    axes.plot([summed / total] * 2, [rows - 2, rows - 1], color=VERMILION, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.plot([summed / total], [rows - 2], "v", color=VERMILION, markersize=6)
    axes.plot([summed / total], [rows - 1], "v", color=VERMILION, markersize=6)


def short(feature: str, width: int = 26) -> str:
    """Return a feature's name on at most two lines: image type, then class and feature."""
    image, _, rest = feature.partition("_")
    text = f"{image}\n{rest.replace('_', ' ')}" if rest and len(feature) > width else feature.replace("_", " ")
    return "\n".join(line if len(line) <= width + 6 else line[: width + 5] + "…" for line in text.split("\n"))


def _draw_importances(rows: Sequence[Importance]) -> Drawing:
    shown = rows[:MOST_FEATURES]
    with style("importances"):
        figure, axes = new_figure(0.8 + 0.33 * len(shown))
        axes.barh(range(len(shown)), [row.importance for row in shown], color=BLUE, height=0.6)
        axes.set_yticks(range(len(shown)), [short(in_words(row.feature)) for row in shown], fontsize=7.5)
        axes.set(xlabel="share of the impurity decrease", ylim=(len(shown) - 0.4, -0.6))
        return finish(figure, "importances", "Feature importances of DLR", "Importance of each selected feature")


def _draw_shift(rows: Sequence[FeatureShift]) -> Drawing:
    known = [(row, row.difference) for row in rows if isinstance(row.difference, float)]
    known = sorted(known, key=lambda pair: -abs(pair[1]))[:MOST_FEATURES]
    with style("shift"):
        figure, axes = new_figure(1.2 + 0.33 * len(known))
        axes.axvspan(-0.5, 0.5, color="#EEEEEE", linewidth=0)
        axes.axvline(0, color=GRAY, linewidth=0.9)
        for place, (row, difference) in enumerate(known):
            odd = row.shifted or row.unseen
            axes.plot([0, difference], [place, place], color=VERMILION if odd else BLUE, linewidth=1.2)
            axes.plot(difference, place, "D" if odd else "o", color=VERMILION if odd else BLUE, markersize=5)
        axes.plot([], [], "o", color=BLUE, label="none found, or unclear")
        axes.plot([], [], "D", color=VERMILION, label="shifted or unseen")
        widest = max(0.7, *(abs(difference) for _, difference in known)) * 1.08
        axes.set_yticks(range(len(known)), [short(in_words(row.feature)) for row, _ in known], fontsize=7.5)
        axes.set(xlabel="standardised difference (SD)", xlim=(-widest, widest), ylim=(len(known) - 0.4, -0.6))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return finish(
            figure, "shift", "Selected features: this centre less training", "Standardised differences of features"
        )


def _draw_score_shift(validation: Validation, distributions: Sequence[ScoreDistribution]) -> Drawing:
    """Draw the share of cases at or below each score, by class: training dashed, this centre solid."""
    model, outcome = validation.primary, validation.outcome
    colors = {outcome.event: VERMILION, outcome.others: BLUE, "all cases": GRAY}
    labels = dict(zip((outcome.event, outcome.others), class_labels(outcome), strict=True))
    classes = [row for row in distributions if row.group != "all cases" and row.center]
    with style("shift_scores"):
        figure, axes = new_figure(4.0)
        for row in classes or [row for row in distributions if row.group == "all cases"]:
            for values, dashes, where in ((row.training, (0, (4, 2)), "training"), (row.center, "solid", "here")):
                if values:
                    label = f"{labels.get(row.group, row.group)}, {where} (n = {len(values)})"
                    axes.ecdf(values, color=colors[row.group], linestyle=dashes, linewidth=1.6, label=label)
        axes.set(xlabel=f"{model} probability", ylabel="share of cases at or below it")
        axes.set(xlim=(-0.02, 1.02), ylim=(0, 1.02))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        title = f"{model} probabilities here and in training"
        return finish(
            figure, "shift_scores", title, f"Cumulative distributions of {model} here and in training, by class"
        )


def _draw_readers(number: int, study: ReaderStudy) -> Drawing:
    values = {
        row.feature_class: [
            feature.icc.value
            for feature in study.features
            if isinstance(feature.icc, Estimate) and feature_class(feature.feature) == row.feature_class
        ]
        for row in study.classes
    }
    values = {name: found for name, found in values.items() if found}
    name = f"readers_{number}"
    with style(name):
        figure, axes = new_figure(1.0 + 0.36 * len(values))
        axes.axvline(
            STRONG_ICC, color=VERMILION, linewidth=1, linestyle="--", label=f"strong agreement: {STRONG_ICC:.2f}"
        )
        axes.boxplot(
            list(values.values()),
            positions=range(len(values)),
            orientation="horizontal",
            widths=0.55,
            flierprops={"marker": ".", "markersize": 4, "markeredgecolor": BLUE},
            medianprops={"color": ORANGE, "linewidth": 2},
            boxprops={"color": BLUE},
            whiskerprops={"color": BLUE},
            capprops={"color": BLUE},
        )
        axes.set_yticks(range(len(values)), [f"{name} ({len(found)})" for name, found in values.items()])
        lowest = min(min(found) for found in values.values())
        axes.set(xlabel="ICC (two-way, absolute agreement, single)", xlim=(min(0.0, lowest) - 0.02, 1.02))
        axes.set_ylim(len(values) - 0.4, -0.6)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center")
        title = f"{study.kind[0].upper()}{study.kind[1:]} agreement of features"
        return finish(figure, name, title, f"ICC by feature class, {study.first} against {study.second}")
