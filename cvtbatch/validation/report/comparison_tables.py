"""Tables and the figure of a comparison of models, and what it comes to in words. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from cvtbatch.validation.model_comparison import ComparedClass, ComparedModel, Comparison, Difference, MeanCalibration
from cvtbatch.validation.report.column_words import SLICES, image_pattern_notes
from cvtbatch.validation.report.drawing import BLUE, GRAY, VERMILION, Drawing, finish, new_figure, style
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, part_of, tabulate
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, T

BY_VARIANT = "slices, as the fit of each variant takes them (fit.pooling)"
MOST_COLUMNS = 8
"""Columns that a variant chose, as the page shows them; the document has all."""
LARGER, SMALLER, ALIKE = "larger", "smaller", "not told apart"
NAME_LETTERS = 30
CALIBRATION = (("intercept", "intercept"), ("slope", "slope"), ("Brier score", "brier"))
TOLD = (
    "What cases of each class are told to be",
    "Cases of a class by the class whose score is the highest: means over the repeats.",
)
IDEAL = "Means over the repeats. Ideal: intercept 0, slope 1; the smaller Brier's score, the better."
OF_M = (
    "M is the mean, over all pairs of classes, of the area under the ROC curve of the two (Hand and Till 2001): 0.5 is chance. "
    "Accuracy is the share of cases whose class has the highest score: it is high by itself where one class is frequent."
)


class Variant(Protocol):
    """A variant with what the tables say of it; see `comparison_page.ComparedVariant`."""

    @property
    def model(self) -> ComparedModel: ...
    @property
    def description(self) -> str: ...
    @property
    def chosen(self) -> Mapping[str, float]: ...
    @property
    def firth_folds(self) -> int: ...
    @property
    def seconds(self) -> float | None: ...


def verdict(model: ComparedModel) -> str | None:
    """Return what the simultaneous interval says of a model's AUC or M beside the reference's; None of the reference itself."""
    if model.auc_difference is None:
        return None
    interval = model.auc_difference.simultaneous
    if interval.low > 0:
        return LARGER
    return SMALLER if interval.high < 0 else ALIKE


def whole_verdict(found: Comparison) -> str:
    """Return what the comparison comes to, in a sentence or two."""
    others = [model for model in found.models if model.auc_difference is not None]
    named = {word: [model.name for model in others if verdict(model) == word] for word in (LARGER, SMALLER)}
    told = [
        f"{word[0].upper()}{word[1:]} than that of {found.reference}, beyond what chance among {len(others)} variants makes: "
        f"the {found.measure} of {', '.join(names)}."
        for word, names in named.items()
        if names
    ]
    alike = len(others) - sum(map(len, named.values()))
    if not told:
        return (
            f"No variant's {found.measure} differs from that of {found.reference} beyond what chance among {len(others)} "
            "variants makes: on these cases they are not told apart."
        )
    return " ".join([*told, f"Not told apart from it: {alike} of {len(others)}."])


def counted_cases(events: int | None, by_class: Mapping[str, int], event: str) -> str:
    """Return how many cases have the event, or are of each of several classes."""
    return ", ".join(f"{count:,} {name}" for name, count in by_class.items()) or f"{events:,} with {event}"


def comparison_tables(found: Comparison, variants: Sequence[Variant]) -> Iterator[ReportTable]:
    """Yield the tables, in the order in which the page shows them."""
    yield tabulate(
        "discrimination",
        "All classes" if found.by_class else "Area under the ROC curve",
        [
            Column("variant", lambda variant: variant.model.name),
            Column("what it is", lambda variant: variant.description),
            Column(f"{found.measure} (95 % CI)", lambda variant: variant.model.auc),
            Column(f"less {found.reference} (95 % CI)", lambda variant: _alone(variant.model.auc_difference)),
            Column("all variants together", lambda variant: _together(variant.model.auc_difference)),
            Column(f"its {found.measure} is", lambda variant: verdict(variant.model)),
            *([Column("accuracy (95 % CI)", lambda variant: variant.model.accuracy)] if found.by_class else []),
        ],
        variants,
        place="discrimination",
        notes=(
            f"Each {found.measure} is the mean of {found.repeats} repeat{'s' * (found.repeats > 1)}, every case scored "
            f"by a fit that did not see its patient. Intervals draw {found.patients:,} patients {found.resamples:,} times, the "
            "same ones for all variants.",
            "The column “all variants together” has the intervals that hold for all differences at once (max-statistic): read that "
            "one where a variant was picked because it looked best.",
            *([OF_M] if found.by_class else []),
        ),
    )
    if found.by_class:
        yield _told_table(found)
        yield _class_table(found)
    else:
        yield _calibration_table(variants)
    if found.thresholds:
        yield _net_benefit_table(found)
    yield ReportTable(
        "chosen",
        "What was chosen in the outer folds",
        ("variant", "column or variant", "share of the folds"),
        tuple(
            (variant.model.name, name, share)
            for variant in variants
            for name, share in list(variant.chosen.items())[:MOST_COLUMNS]
        ),
        digits=(0, 0, 2),
        notes=(
            f"The {MOST_COLUMNS} most frequent of each variant; comparison.json has all.",
            *image_pattern_notes((name for variant in variants for name in variant.chosen), {SLICES: BY_VARIANT}),
        ),
        place="chosen",
    )
    yield tabulate(
        "cost",
        "What it takes",
        [
            Column("variant", lambda variant: variant.model.name),
            Column("processor seconds of its fits", lambda variant: variant.seconds, 0),
            Column("folds with Firth's correction", lambda variant: variant.firth_folds),
        ],
        variants,
        place="cost",
        notes=("Models of one fit share its seconds; a regression takes next to none.",),
    )


def _calibration_table(variants: Sequence[Variant]) -> ReportTable:
    return tabulate(
        "calibration",
        "Calibration",
        [
            Column("variant", lambda variant: variant.model.name),
            *(_calibration_column(heading, name, _of_model) for heading, name in CALIBRATION),
        ],
        variants,
        place="calibration",
        notes=(IDEAL,),
    )


def told_columns(classes: Iterable[str], own: Callable[[T], ComparedClass]) -> Iterator[Column[T]]:
    """Yield the columns of a confusion matrix.

    Args:
        own: returns the class that a row is of.
    """

    def column(place: int, name: str) -> Column[T]:
        return Column(f"told {name}", lambda row: own(row).told[place], 1)

    yield Column("class", lambda row: own(row).name)
    yield from (column(place, name) for place, name in enumerate(classes))


def _told_table(found: Comparison) -> ReportTable:
    columns: list[Column[tuple[ComparedModel, ComparedClass]]] = [
        Column("variant", lambda row: row[0].name),
        *told_columns(found.by_class, lambda row: row[1]),
    ]
    title, note = TOLD
    rows = [(model, own) for model in found.models for own in model.classes]
    return tabulate("told", title, columns, rows, place="discrimination", notes=(note,))


def _class_table(found: Comparison) -> ReportTable:
    columns: list[Column[tuple[ComparedModel, ComparedClass]]] = [
        Column("variant", lambda row: row[0].name),
        Column("class", lambda row: row[1].name),
        Column("AUC (95 % CI)", lambda row: row[1].auc),
        *(_calibration_column(heading, name, lambda row: row[1].calibration) for heading, name in CALIBRATION),
    ]
    return tabulate(
        "classes",
        "Each class against all others",
        columns,
        [(model, own) for model in found.models for own in model.classes],
        place="calibration",
        notes=(IDEAL,),
    )


def _calibration_column(heading: str, name: str, of: Callable[[T], Maybe[MeanCalibration]]) -> Column[T]:
    return Column(heading, lambda row: part_of(of(row), lambda found: getattr(found, name)))


def _of_model(variant: Variant) -> Maybe[MeanCalibration]:
    return variant.model.calibration


def _net_benefit_table(found: Comparison) -> ReportTable:
    return ReportTable(
        "net_benefit",
        "Net benefit",
        (
            "variant",
            *(
                heading
                for threshold in found.thresholds
                for heading in (f"at {threshold:g} (95 % CI)", f"at {threshold:g}, less {found.reference}")
            ),
        ),
        (
            *(
                (
                    model.name,
                    *(cell for place in range(len(found.thresholds)) for cell in _benefit_cells(model, place)),
                )
                for model in found.models
            ),
            ("treat all", *(cell for value in found.treat_all for cell in (value, None))),
        ),
        notes=(
            "True positives per case, less false ones at the threshold's odds, if a case is acted on from that probability on; "
            "treating none has 0. Differences: intervals that hold for all variants at once.",
        ),
        place="net_benefit",
    )


def draw_differences(found: Comparison) -> Drawing | None:
    """Draw each variant's AUC or M less that of the reference, with both intervals; None where there is one model alone."""
    rows = [(model.name, model.auc_difference) for model in found.models if model.auc_difference is not None]
    if not rows:
        return None
    title = f"{found.measure} less that of {found.reference}"
    with style("differences"):
        figure, axes = new_figure(1.5 + 0.3 * len(rows))
        for place, (_, difference) in enumerate(rows):
            own, together = difference.estimate.interval, difference.simultaneous
            axes.plot([together.low, together.high], [place] * 2, color=GRAY, linewidth=1.1)
            if isinstance(own, Interval):
                axes.plot([own.low, own.high], [place] * 2, color=BLUE, linewidth=3.2, solid_capstyle="butt")
            axes.plot(difference.estimate.value, place, "o", color=VERMILION, markersize=4.5)
        axes.plot([], [], color=BLUE, linewidth=3.2, label="95 % CI")
        axes.plot([], [], color=GRAY, linewidth=1.1, label="for all variants at once")
        axes.axvline(0, color=GRAY, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [_short(name) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(title)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return finish(figure, "differences", title, f"{title}, by variant, with intervals")


def _alone(difference: Difference | None) -> Cell:
    return None if difference is None else difference.estimate


def _together(difference: Difference | None) -> Cell:
    return None if difference is None else Estimate(difference.estimate.value, difference.simultaneous)


def _benefit_cells(model: ComparedModel, place: int) -> tuple[Cell, Cell]:
    """Return the net benefit at a threshold, and its difference to the reference's."""

    def at(found: Maybe[tuple[Estimate, ...]]) -> Cell:
        return part_of(found, lambda values: values[place])

    difference = model.net_benefit_difference
    if difference is None:
        return at(model.net_benefit), None
    return at(model.net_benefit), difference if isinstance(difference, NotComputable) else _together(difference[place])


def _short(name: str) -> str:
    """Return a name as it fits beside a figure."""
    return name if len(name) <= NAME_LETTERS else name[: NAME_LETTERS - 1] + "…"
