"""Tables of the reader studies: features by class and one by one; outline, score and decision."""

from collections.abc import Iterator, Sequence
from statistics import median

from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.readers import ClassAgreement, FeatureAgreement, ReaderStudy, weakest_first
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, tabulate
from cvtbatch.validation.values import NotComputable

_CLASSES: tuple[Column[ClassAgreement], ...] = (
    Column("feature class", lambda row: row.feature_class),
    Column("features", lambda row: row.features),
    Column("without ICC", lambda row: row.not_computable),
    Column("median ICC", lambda row: row.median_icc, 2),
    Column("share above 0.80", lambda row: row.strong, 2),
)


def reader_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield four tables of each reader study."""
    for number, study in enumerate(validation.readers, 1):
        title = f"{study.kind[0].upper()}{study.kind[1:]}: {study.first} against {study.second}, {study.cases} cases"
        yield tabulate(f"readers_{number}_classes", title, _CLASSES, study.classes, place="readers")
        yield _feature_table(f"readers_{number}_features", f"{title}, by feature", study.features)
        weak = weakest_first(study.features)
        yield _feature_table(f"readers_{number}_weak", f"{title}: features without an ICC above 0.80", weak)
        yield _outline_table(number, study)


def _feature_table(name: str, title: str, features: Sequence[FeatureAgreement]) -> ReportTable:
    return ReportTable(
        name,
        title,
        ("feature", "ICC (95 % CI)", "cases"),
        tuple((row.feature, row.icc, row.n) for row in features),
        digits=(0, 2, 0),
        place="readers",
        long=True,
    )


def _outline_table(number: int, study: ReaderStudy) -> ReportTable:
    name, title = f"readers_{number}_outlines", "Outline, score and decision"
    return ReportTable(name, title, ("what", "agreement"), tuple(study_words(study)), place="readers")


def study_words(study: ReaderStudy) -> list[tuple[str, Cell]]:
    """Return what two outlines have in common, and what they do to scores and decisions, in words: what, and how much."""
    rows: list[tuple[str, Cell]] = []
    if dice := study.dice:
        ends = f"{decimal(min(dice), 2)} to {decimal(max(dice), 2)}"
        rows.append(("Dice: median (lowest to highest)", f"{decimal(median(dice), 2)} ({ends})"))
    volume = study.volume_ml
    rows.append(
        ("volume on the stored grid (ml), second less first: mean (limits of agreement)", volume)
        if isinstance(volume, NotComputable)
        else (
            "volume on the stored grid (ml), second less first: mean (limits of agreement)",
            f"{decimal(volume.mean, 1)} ({decimal(volume.low, 1)} to {decimal(volume.high, 1)})",
        )
    )
    for score in study.scores:
        if not isinstance(score.differences, NotComputable):
            span = score.differences
            text = (
                f"{decimal(span.mean)} ({decimal(span.low)} to {decimal(span.high)}), largest {decimal(score.largest)}"
            )
            rows.append((f"{score.model} probability, second less first: mean (limits of agreement)", text))
        kappa = score.kappa if isinstance(score.kappa, NotComputable) else decimal(score.kappa, 2)
        rows.append((f"{score.model} decisions that change", f"{score.changed_decisions} of {score.n}"))
        rows.append((f"{score.model} decisions, kappa", kappa))
    return rows
