"""Check: what is wrong with a manifest, with the files that it names, and with what a bundle needs of it."""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.manifest import Survey, survey_manifest
from cvtbatch.manifest.files import refuse_manifest
from cvtbatch.pipelines.archive.check_files import Document, Findings, Problem
from cvtbatch.pipelines.archive.check_needs import Lack, check_needs
from cvtbatch.pipelines.archive.check_rows import RowWarning, check_rows
from cvtbatch.pipelines.shared.bundle_warnings import BundleWarning, bundle_warnings
from cvtbatch.plain_text import FOR_PEOPLE, for_spreadsheet
from cvtbatch.whole_files import written_whole

# Stage of a problem of the manifest's own rows.
MANIFEST = "manifest"
COLUMNS = ("manifest_row", "case_key", "roi_key", "stage", "kind", "message")


@dataclass(frozen=True, slots=True)
class Preflight:
    """What shows before a file is read.

    Attributes:
        survey: the manifest; its sound cases' files are read, whatever is wrong with other rows.
        warnings: of ids.
        bundle_warnings: what speaks against the bundle itself.
        lacks: what a bundle needs and cases lack.
    """

    survey: Survey
    warnings: tuple[RowWarning, ...]
    bundle_warnings: tuple[BundleWarning, ...]
    lacks: tuple[Lack, ...]

    @property
    def unlisted(self) -> int:
        """How many problems of rows there are beyond those that are in words."""
        return self.survey.count - len(self.survey.problems)

    def row_problems(self) -> list[Problem]:
        """Return what is wrong with rows of the manifest, the first problems of each sort."""
        return [Problem(found.row, "", "", MANIFEST, found.kind, found.text, "") for found in self.survey.problems]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, for people and as the JSON document of `cvtbatch check --json`.

    Attributes:
        cases: of the manifest, with those that have a wrong row.
        problems: of rows and of files, in the manifest's order.
    """

    preflight: Preflight
    findings: Findings
    cases: int
    readable: int
    awaiting_mask: int
    problems: tuple[Problem, ...]

    def to_document(self) -> Document:
        """Return the JSON document."""
        return {
            "command": "check",
            "cases": self.cases,
            "readable": self.readable,
            "awaiting_mask": self.awaiting_mask,
            "images": [image.to_document() for image in self.findings.images],
            "problems": [problem.to_document() for problem in self.problems],
            "warnings": [warning.to_document() for warning in self.preflight.warnings],
            "bundle_warnings": [asdict(warning) for warning in self.preflight.bundle_warnings],
            "lacks": [lack.to_document() for lack in self.preflight.lacks],
        }


def preflight(manifest: Path, bundle: Path | None, reader: str | None) -> Preflight:
    """Read a manifest, sound or not, and compare it with what a bundle needs.

    Args:
        reader: whose outlines the bundle is to score; by default whom it was fitted on.

    Raises:
        InputError, ProblemsError: as `survey_manifest`; there is no bundle.
        FormatError: the bundle is damaged.
    """
    survey = survey_manifest(manifest)
    warnings = tuple(check_rows(survey.manifest))
    if bundle is None:
        return Preflight(survey, warnings, (), ())
    loaded = load_bundle(bundle)
    lacks = check_needs(survey.manifest, loaded, reader)
    return Preflight(survey, warnings, bundle_warnings(loaded.description), tuple(lacks))


def report_of(found: Preflight, findings: Findings) -> CheckReport:
    """Return what a check comes to, once the files are read."""
    cases, left_out = found.survey.manifest, found.survey.left_out
    broken = len({problem.case_key for problem in findings.problems})
    problems = sorted(
        [*found.row_problems(), *findings.problems], key=lambda problem: (problem.manifest_row, problem.roi_key)
    )
    return CheckReport(
        found,
        findings,
        len(cases) + left_out,
        len(cases) - broken,
        sum(not case.masked_rois() for case in cases),
        tuple(problems),
    )


def require_csv(out: Path) -> None:
    """Refuse a file of another kind, and a manifest, before hours of work.

    Raises:
        InputError: "unknown_format" or "cannot_write".
    """
    if out.suffix != ".csv":
        raise InputError("unknown_format", f"--out {out}: the suffix is not .csv")
    refuse_manifest(out)


def write_problems(out: Path, report: CheckReport) -> None:
    """Write problems as a CSV that opens in a spreadsheet, without paths; it appears whole or not at all.

    As in an export, a text that a spreadsheet takes for a formula stands behind an apostrophe, and ids stay as they are.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as aside, aside.open("w", encoding=FOR_PEOPLE, newline="") as text:
            rows = csv.writer(text)
            rows.writerow(COLUMNS)
            for problem in report.problems:
                *ids, message = (getattr(problem, name) for name in COLUMNS)
                rows.writerow([*ids, for_spreadsheet(message)])
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {why(error)}") from None
