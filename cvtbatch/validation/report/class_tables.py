"""Tables and the figure of a report of several classes. Pure."""

from collections.abc import Iterator

from cvtbatch.validation.class_validation import ClassModelResult, ClassResult, ClassRow, ClassValidation, PairResult
from cvtbatch.validation.report.drawing import (
    BLUE,
    GRAY,
    GREEN,
    LONGEST_LABEL,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Drawing,
    finish,
    is_drawable,
    new_figure,
    style,
)
from cvtbatch.validation.report.performance_tables import SEEN_NOT_PROMISED
from cvtbatch.validation.report.tables import Column, ReportTable, counted, tabulate
from cvtbatch.validation.set_coverage import ClassSetCoverage
from cvtbatch.validation.values import Maybe, NotComputable

LINES = (
    (BLUE, "solid"),
    (ORANGE, (0, (5, 1.5))),
    (GREEN, (0, (5, 1, 1, 1))),
    (PURPLE, (0, (1, 1))),
    (VERMILION, (0, (3, 1, 1, 1, 1, 1))),
    (SKY, (0, (8, 2))),
)


def class_tables(found: ClassValidation) -> Iterator[ReportTable]:
    """Yield the tables, in the order in which the page shows them."""
    moved = any(model.macro_as_they_are is not None for model in found.models)
    yield tabulate(
        "discrimination",
        "All classes",
        [
            Column("model", lambda model: model.name),
            Column("cases", lambda model: model.n),
            Column("M (95 % CI)", lambda model: model.macro),
            *([Column("M, as they are (95 % CI)", lambda model: model.macro_as_they_are)] if moved else []),
            Column("accuracy (95 % CI)", lambda model: model.accuracy),
            Column("M in training", lambda model: model.training[0].auc if model.training else None),
            Column("estimated by", _estimated_by),
        ],
        found.models,
        place="discrimination",
        notes=(
            "M is the mean, over all pairs of classes, of the area under the ROC curve of the two (Hand and Till 2001): 0.5 is "
            "chance, whatever the shares of the classes. Its interval draws patients 2,000 times. Accuracy is the share of cases "
            "whose class has the highest score: it is high by itself where one class is frequent.",
            *(["As they are: with the features of this centre not put on the scale of training."] if moved else []),
        ),
    )
    yield _classes(found)
    yield _pairs(found)
    yield _confusion(found)
    if found.sets:
        yield _sets(found)
    yield _calibration(found)
    yield tabulate(
        "flow",
        "From screened to analysed",
        [
            Column("step", lambda step: step.name),
            Column("left", lambda step: step.left),
            Column("left out", lambda step: counted(step.excluded)),
        ],
        found.flow,
        place="cohort",
    )
    yield _cases(found)


def _estimated_by(model: ClassModelResult) -> str | None:
    if not model.training:
        return None
    way = model.training[0]
    return f"{way.protocol} ({way.caution})" if way.caution else way.protocol


def _classes(found: ClassValidation) -> ReportTable:
    columns: list[Column[tuple[ClassModelResult, ClassResult]]] = [
        Column("model", lambda row: row[0].name),
        Column("class", lambda row: row[1].name),
        Column("cases", lambda row: row[1].n),
        Column("AUC (95 % CI)", lambda row: row[1].auc),
        Column("recall (95 % CI)", lambda row: row[1].recall),
        Column("precision (95 % CI)", lambda row: row[1].precision),
    ]
    return tabulate(
        "classes",
        "Each class against all others",
        columns,
        [(model, own) for model in found.models for own in model.classes],
        place="discrimination",
        notes=(
            "AUC by the class's own score, with DeLong's interval (Obuchowski's where a patient has several cases). Recall: of the "
            "cases of a class, those that are told to be of it; precision: of those told to be of it, those that are. There is no "
            "threshold: the class of the highest score is told.",
        ),
    )


def _calibration(found: ClassValidation) -> ReportTable:
    columns: list[Column[ClassResult]] = [
        Column("class", lambda own: own.name),
        Column("cases", lambda own: own.n),
        Column("intercept (95 % CI)", lambda own: None if own.calibration is None else own.calibration.intercept),
        Column("slope (95 % CI)", lambda own: None if own.calibration is None else own.calibration.slope),
        Column("observed / expected (95 % CI)", lambda own: own.observed_over_expected),
    ]
    return tabulate(
        "calibration",
        f"Calibration of {found.primary}, each class against all others",
        columns,
        found.primary_result.classes,
        place="calibration",
        notes=(
            "Intercept (ideal 0) and slope (ideal 1) of a logistic regression of a class against all others on the log odds of its "
            "probability. A slope below 1: probabilities are too extreme.",
        ),
    )


def _pairs(found: ClassValidation) -> ReportTable:
    by_model = {model.name: {(pair.first, pair.second): pair for pair in model.pairs} for model in found.models}

    def column(name: str) -> Column[PairResult]:
        return Column(name, lambda pair: by_model[name][pair.first, pair.second].auc)

    columns: list[Column[PairResult]] = [
        Column("first", lambda pair: pair.first),
        Column("second", lambda pair: pair.second),
        *(column(name) for name in by_model),
    ]
    return tabulate(
        "pairs",
        "Every two classes",
        columns,
        found.primary_result.pairs,
        place="discrimination",
        notes=(
            "A(i, j): the area under the ROC curve on the cases of these two classes alone, the mean of both directions.",
        ),
    )


def _confusion(found: ClassValidation) -> ReportTable:
    def column(place: int, name: str) -> Column[tuple[str, tuple[int, ...]]]:
        return Column(f"told {name}", lambda row: row[1][place])

    of_class: Column[tuple[str, tuple[int, ...]]] = Column("class", lambda row: row[0])
    return tabulate(
        "confusion",
        f"What {found.primary} tells cases of each class to be",
        [of_class, *(column(place, name) for place, name in enumerate(found.classes))],
        list(zip(found.classes, found.primary_result.confusion, strict=True)),
        place="decisions",
    )


def _sets(found: ClassValidation) -> ReportTable:
    def column(size: int) -> Column[ClassSetCoverage]:
        told = {0: "empty", 1: "of one class", len(found.classes): "of all"}.get(size, f"of {size}")
        return Column(told, lambda own: own.sizes[size])

    columns: list[Column[ClassSetCoverage]] = [
        Column("class", lambda own: own.name),
        Column("with a set", lambda own: own.n),
        Column("without a set", lambda own: own.unknown),
        Column("sets that hold their class (95 % CI)", lambda own: own.held),
        *(column(size) for size in range(len(found.classes) + 1)),
    ]
    return tabulate("sets", "Prediction sets", columns, found.sets, place="decisions", notes=(SEEN_NOT_PROMISED,))


def _cases(found: ClassValidation) -> ReportTable:
    def column(name: str) -> Column[ClassRow]:
        return Column(f"probability of {name}", lambda row: row.probabilities.get(name))

    columns: list[Column[ClassRow]] = [
        Column("case", lambda row: row.key),
        Column("class", lambda row: row.label or "not known"),
        Column("told", lambda row: row.told or "not scored"),
        *(column(name) for name in found.classes),
        *([Column("prediction set", _held)] if found.sets else []),
        Column("outside training range", lambda row: len(row.outside)),
        Column("distance percentile", lambda row: row.distance_percentile, 0),
        Column("flags", lambda row: ", ".join(row.flags)),
    ]
    rows = tuple(tuple(column.value(row) for column in columns) for row in found.cases)
    return ReportTable(
        "cases",
        "Cases",
        tuple(column.heading for column in columns),
        rows,
        digits=tuple(column.digits for column in columns),
        place="cases",
        long=True,
        keyed=True,
    )


def _held(row: ClassRow) -> str:
    if row.held is None:
        return "none"
    return ", ".join(row.held) or "empty"


def draw_class_curves(found: ClassValidation) -> Drawing | None:
    """Draw the primary model's ROC curve of each class against all others; None where no class has one."""
    curves = [(own, own.roc) for own in found.primary_result.classes if not isinstance(own.roc, NotComputable)]
    if not curves:
        return None
    title = f"ROC curves of {found.primary}, each class against all others"
    with style("class_roc"):
        figure, axes = new_figure()
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
        for place, (own, curve) in enumerate(curves):
            color, dashes = LINES[place % len(LINES)]
            label = own.name if is_drawable(own.name) and len(own.name) <= LONGEST_LABEL else f"class {place + 1}"
            axes.plot(curve.x, curve.y, color=color, linestyle=dashes, label=f"{label} {_area(own.auc)}")
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right")
        areas = ", ".join(f"{own.name} {_area(own.auc)}" for own, _ in curves)
        return finish(figure, "class_roc", title, f"{title}; AUC: {areas}")


def _area(area: Maybe[object]) -> str:
    value = getattr(area, "value", None)
    return "" if value is None else f"{value:.2f}"
