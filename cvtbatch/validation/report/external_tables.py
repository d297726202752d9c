"""The tables of a comparison at centres that no variant was fitted on."""

from collections.abc import Iterator, Sequence

from cvtbatch.validation.external_comparison import ExternalCenter, ExternalModel
from cvtbatch.validation.model_comparison import ComparedClass, Comparison
from cvtbatch.validation.report.comparison_tables import TOLD, counted_cases, told_columns
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, part_of, tabulate

Row = tuple[ExternalCenter, ExternalModel]


def external_tables(found: Comparison, centers: Sequence[ExternalCenter]) -> Iterator[ReportTable]:
    """Yield the tables, a row each variant at each centre; none where there is no such centre."""
    if not centers:
        return
    each = f"each is by itself, of {len(centers[0].models) - 1} variants."
    rows = [(center, model) for center in centers for model in center.models]
    yield tabulate(
        "external_discrimination",
        "All classes" if found.by_class else "Area under the ROC curve",
        [
            Column("centre", lambda row: row[0].center),
            Column("variant", lambda row: row[1].name),
            Column(f"{found.measure} (95 % CI)", lambda row: row[1].auc),
            Column(f"less {found.reference} (95 % CI)", lambda row: _of_difference(row[1], "difference")),
            Column("accuracy (95 % CI)", lambda row: row[1].accuracy)
            if found.by_class
            else Column("P", lambda row: _of_difference(row[1], "test")),
        ],
        rows,
        place="external",
        notes=(
            *(
                f"{center.center}: {center.cases:,} cases of {center.patients:,} patients: "
                f"{counted_cases(center.events, center.by_class, 'the event')}."
                for center in centers
            ),
            "Every variant is fitted once on all training cases, the DLRN as the bundle that “cvtbatch fit” makes. "
            + (
                f"Intervals draw patients; {each}"
                if found.by_class
                else f"Intervals and P are DeLong's, or Obuchowski's where a patient has several cases; {each}"
            ),
        ),
    )
    if found.by_class:
        yield _told_table(found, centers)
        yield _class_table(centers)
        return
    yield tabulate(
        "external_calibration",
        "Calibration and net benefit",
        [
            Column("centre", lambda row: row[0].center),
            Column("variant", lambda row: row[1].name),
            Column("intercept", lambda row: part_of(row[1].calibration, lambda own: own.intercept)),
            Column("slope", lambda row: part_of(row[1].calibration, lambda own: own.slope)),
            Column("Brier score", lambda row: part_of(row[1].calibration, lambda own: own.brier)),
            *(_benefit_column(place, threshold) for place, threshold in enumerate(found.thresholds)),
        ],
        rows,
        place="external",
        notes=tuple(
            f"{center.center}: treating all has a net benefit of "
            + ", ".join(
                f"{value:.3f} at {threshold:g}"
                for value, threshold in zip(center.treat_all, found.thresholds, strict=True)
            )
            + "."
            for center in centers
        ),
    )


def _told_table(found: Comparison, centers: Sequence[ExternalCenter]) -> ReportTable:
    columns: list[Column[tuple[str, str, ComparedClass]]] = [
        Column("centre", lambda row: row[0]),
        Column("variant", lambda row: row[1]),
        *told_columns(found.by_class, lambda row: row[2]),
    ]
    title, note = TOLD
    return tabulate("external_told", title, columns, _classes(centers), place="external", notes=(note,))


def _class_table(centers: Sequence[ExternalCenter]) -> ReportTable:
    columns: list[Column[tuple[str, str, ComparedClass]]] = [
        Column("centre", lambda row: row[0]),
        Column("variant", lambda row: row[1]),
        Column("class", lambda row: row[2].name),
        Column("AUC (95 % CI)", lambda row: row[2].auc),
        Column("intercept", lambda row: part_of(row[2].calibration, lambda own: own.intercept)),
        Column("slope", lambda row: part_of(row[2].calibration, lambda own: own.slope)),
        Column("Brier score", lambda row: part_of(row[2].calibration, lambda own: own.brier)),
    ]
    return tabulate("external_classes", "Each class against all others", columns, _classes(centers), place="external")


def _classes(centers: Sequence[ExternalCenter]) -> list[tuple[str, str, ComparedClass]]:
    return [(center.center, model.name, own) for center in centers for model in center.models for own in model.classes]


def _of_difference(model: ExternalModel, name: str) -> Cell:
    difference = model.auc_difference
    return None if difference is None else part_of(difference, lambda own: getattr(own, name))


def _benefit_column(place: int, threshold: float) -> Column[Row]:
    return Column(f"net benefit at {threshold:g}", lambda row: part_of(row[1].net_benefit, lambda own: own[place]))
