"""Tables and the figure of a comparison of models, and what it comes to in words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from cvtbatch.validation.model_comparison import ComparedModel, Comparison, Difference
from cvtbatch.validation.report.column_words import SLICES, image_pattern_notes
from cvtbatch.validation.report.drawing import BLUE, GRAY, VERMILION, Drawing, finish, new_figure, style
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, part_of, tabulate
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable

BY_VARIANT = "slices, as the fit of each variant takes them (fit.pooling)"
MOST_COLUMNS = 8
"""Columns that a variant chose, as the page shows them; the document has all."""
LARGER, SMALLER, ALIKE = "larger", "smaller", "not told apart"
NAME_LETTERS = 30


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
    """Return what the simultaneous interval says of a model's AUC beside the reference's; None of the reference itself."""
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
        f"the AUC of {', '.join(names)}."
        for word, names in named.items()
        if names
    ]
    alike = len(others) - sum(map(len, named.values()))
    if not told:
        return (
            f"No variant's AUC differs from that of {found.reference} beyond what chance among {len(others)} variants makes: "
            "on these cases they are not told apart."
        )
    return " ".join([*told, f"Not told apart from it: {alike} of {len(others)}."])


def comparison_tables(found: Comparison, variants: Sequence[Variant]) -> Iterator[ReportTable]:
    """Yield the tables, in the order in which the page shows them."""
    yield tabulate(
        "discrimination",
        "Area under the ROC curve",
        [
            Column("variant", lambda variant: variant.model.name),
            Column("what it is", lambda variant: variant.description),
            Column("AUC (95 % CI)", lambda variant: variant.model.auc),
            Column(f"less {found.reference} (95 % CI)", lambda variant: _alone(variant.model.auc_difference)),
            Column("all variants together", lambda variant: _together(variant.model.auc_difference)),
            Column("its AUC is", lambda variant: verdict(variant.model)),
        ],
        variants,
        place="discrimination",
        notes=(
            f"Each AUC is the mean of {found.repeats} repeat{'s' * (found.repeats > 1)}, every case scored by a fit that did "
            f"not see its patient. Intervals draw {found.patients:,} patients {found.resamples:,} times, the same ones for all "
            "variants.",
            "The column “all variants together” has the intervals that hold for all differences at once (max-statistic): read that "
            "one where a variant was picked because it looked best.",
        ),
    )
    yield tabulate(
        "calibration",
        "Calibration",
        [
            Column("variant", lambda variant: variant.model.name),
            Column("intercept", lambda variant: _of_calibration(variant.model, "intercept")),
            Column("slope", lambda variant: _of_calibration(variant.model, "slope")),
            Column("Brier score", lambda variant: _of_calibration(variant.model, "brier")),
        ],
        variants,
        place="calibration",
        notes=("Means over the repeats. Ideal: intercept 0, slope 1; the smaller Brier's score, the better.",),
    )
    yield ReportTable(
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


def draw_differences(found: Comparison) -> Drawing | None:
    """Draw each variant's AUC less that of the reference, with both intervals; None where there is one model alone."""
    rows = [(model.name, model.auc_difference) for model in found.models if model.auc_difference is not None]
    if not rows:
        return None
    title = f"AUC less that of {found.reference}"
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


def _of_calibration(model: ComparedModel, name: str) -> Cell:
    return part_of(model.calibration, lambda found: getattr(found, name))


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
