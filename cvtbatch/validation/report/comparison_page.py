"""Writes a comparison of models: `comparison.html`, `comparison.json`, `tables/` and `figures/`; equal inputs give equal bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cvtbatch
from cvtbatch import contracts
from cvtbatch.errors import InternalError
from cvtbatch.validation.external_comparison import ExternalCenter
from cvtbatch.validation.model_comparison import ComparedModel, Comparison
from cvtbatch.validation.outcome import CVT, Outcome, outcome_of
from cvtbatch.validation.report.comparison_tables import (
    comparison_tables,
    counted_cases,
    draw_differences,
    verdict,
    whole_verdict,
)
from cvtbatch.validation.report.document import plain
from cvtbatch.validation.report.external_tables import external_tables
from cvtbatch.validation.report.page_files import write_files
from cvtbatch.validation.report.rendering import render
from cvtbatch.validation.report.visible_text import with_visible_text

SCHEMA = "commands/compare-models.json"


@dataclass(frozen=True, slots=True)
class ComparedVariant:
    """A variant with what it is.

    Attributes:
        description: what it is, in words.
        chosen: by column, or by variant where it chooses among these, the share of the outer folds that chose it.
        firth_folds: outer folds whose regression needed Firth's correction.
        seconds: of processors for its fits, which variants of the same fit share; None for a regression, which takes next to none.
    """

    model: ComparedModel
    description: str
    chosen: Mapping[str, float]
    firth_folds: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """All that a comparison shows.

    Attributes:
        centers: training centres.
        outlines: whose they are.
        excluded: cases of the training centres that take no part, by reason.
        unscored: by variant, cases that it has no score of; only cases that all variants score are compared.
        folds: of the nested estimate.
        marks: what all numbers are to be read with.
        not_for_inference: names of the image networks' weights where they are so.
        licences: what those of the weights ask of a reader.
        lacking: by variant, why it has no scores.
        external: centres that no variant was fitted on; what is excluded, unscored and lacking there is said apart.
        job: cohort, fit and compare, as they were resolved.
    """

    snapshot: str
    snapshot_digest: str
    centers: tuple[str, ...]
    outlines: str
    excluded: Mapping[str, int]
    unscored: Mapping[str, int]
    folds: int
    marks: tuple[str, ...]
    not_for_inference: str | None
    licences: tuple[str, ...]
    comparison: Comparison
    variants: tuple[ComparedVariant, ...]
    lacking: Mapping[str, str]
    external: tuple[ExternalCenter, ...]
    external_excluded: Mapping[str, int]
    external_unscored: Mapping[str, int]
    external_lacking: Mapping[str, str]
    job: Mapping[str, object]

    @property
    def outcome(self) -> Outcome:
        """What the models tell."""
        fit = self.job["fit"]
        return outcome_of(str(fit["outcome"]), tuple(fit["classes"])) if isinstance(fit, Mapping) else CVT

    @property
    def counted(self) -> str:
        """How many cases have the event, or are of each class."""
        return counted_cases(self.comparison.events, self.comparison.by_class, self.outcome.event)

    def to_document(self) -> dict[str, object]:
        """Return the JSON document; what could not be computed is {"not_computable": reason}."""
        found = self.comparison
        return {
            "command": "compare-models",
            "software": cvtbatch.__version__,
            **{
                name: plain(getattr(self, name))
                for name in ("snapshot", "snapshot_digest", "centers", "outlines", "excluded", "unscored", "marks")
            },
            "not_for_inference": self.not_for_inference,
            "licences": list(self.licences),
            "folds": self.folds,
            **{
                name: plain(getattr(found, name))
                for name in (
                    "repeats",
                    "resamples",
                    "cases",
                    "events",
                    "by_class",
                    "patients",
                    "reference",
                    "thresholds",
                    "treat_all",
                    "quantile",
                )
            },
            "variants": [
                {
                    "description": variant.description,
                    "chosen": plain(variant.chosen),
                    "firth_folds": variant.firth_folds,
                    "seconds": variant.seconds,
                    "verdict": verdict(variant.model),
                    **plain(variant.model),
                }
                for variant in self.variants
            ],
            "lacking": dict(self.lacking),
            **{
                name: plain(getattr(self, name))
                for name in ("external", "external_excluded", "external_unscored", "external_lacking")
            },
            "job": dict(self.job),
        }


def write_comparison(found: ComparisonPage, folder: Path) -> Path:
    """Write a comparison into a folder and return its page.

    Raises:
        InputError: the folder cannot be written.
    """
    document = found.to_document()
    if problems := contracts.problems_of(document, SCHEMA):
        raise InternalError("bad_report", f"the comparison breaks its own contract: {problems[0]}")
    shown = with_visible_text(found)
    tables = {
        table.name: table
        for table in (
            *comparison_tables(shown.comparison, shown.variants),
            *external_tables(shown.comparison, shown.external),
        )
    }
    drawing = draw_differences(shown.comparison)
    page = render(
        "comparison.html.j2",
        {},
        c=shown,
        version=cvtbatch.__version__,
        tables=tables,
        drawings={drawing.name: drawing} if drawing else {},
        verdict=whole_verdict(shown.comparison),
    )
    return write_files(folder, "comparison", document, tables.values(), drawing, page)
