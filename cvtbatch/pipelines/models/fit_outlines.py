"""Whose outlines a fit takes: its job with readers named whole, and the agreement of features that it filters by."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cvtbatch.contracts import TableContract
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.regions.rules import rules_of
from cvtbatch.store import View, feature_columns
from cvtbatch.validation.icc_table import IccTable, parse_icc_table


def resolve_outlines(
    job: Job, view: View, spec_ids: Sequence[str], features: TableContract
) -> tuple[Job, IccTable | None]:
    """Return a job as a bundle keeps it, and the ICC table that it names.

    Args:
        features: table of the features that are fitted on.
        spec_ids: specifications to which the fit is restricted.

    Returns:
        the job: a method's name gives way to its reader's, the table's path to its SHA-256, a region's name to that of its rule.

    Raises:
        InputError: "no_such_reader", "bad_region"; the table cannot be read, or is none.
    """
    there = read_readings(view, spec_ids)
    selection, regions = job.fit.selection, tuple(rule.name for rule in rules_of(job.fit.regions))
    columns = feature_columns(features, regions, job.fit.outline_features)
    table = None if selection.icc_table is None else _read_table(Path(selection.icc_table), columns)
    selection = replace(
        selection,
        icc_readers=tuple(there.find(name).reader for name in selection.icc_readers),
        icc_table=None if table is None else table.sha256,
    )
    cohort = replace(job.cohort, primary_reader=there.find(job.cohort.primary_reader).reader)
    return replace(job, cohort=cohort, fit=replace(job.fit, selection=selection, regions=regions)), table


def _read_table(path: Path, features: Sequence[str]) -> IccTable:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            "bad_icc_table", f"the file of fit.selection.icc_table cannot be read: {why(error)}", str(path)
        ) from None
    return parse_icc_table(data, features)
