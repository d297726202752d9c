"""The command that makes a manifest of a folder of studies."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.archive_options import is_address, selection_options, to_selection, to_source
from cvtbatch.cli.display import progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    clinical_options,
    cluster_options,
    json_option,
    plain_http_option,
    to_clinical,
)
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.indexing.report import IndexReport
    from cvtbatch.pipelines.indexing.study_choice import Kernel, Prefer

_UNITS = {"read": "files", "choose": "studies"}
_NAMED = 5
_WAY_ON = (
    ": x_outlines says why. Fill in mask by hand, or begin a new --out with --segment NAME, or with --mask-pattern: a path from "
    "the image's folder, of DICOM files also from the one above it, such as 'hematoma.nii.gz' or 'masks/*.nii.gz'"
)


@click.command(short_help="Make a manifest of a folder of studies, or of an archive.")
@click.argument("folder", metavar="FOLDER|SOURCE")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The manifest, a .csv file; rows are added to one that is there.",
)
@click.option("--center", metavar="NAME", help="Centre of all studies; or name {center} in --pattern.")
@click.option(
    "--pattern",
    metavar="PATTERN",
    help="What folders below FOLDER mean, e.g. '{center}/{patient}/{study}'; what it leaves out, DICOM says.",
)
@click.option(
    "--prefer", type=click.Choice(["thin", "thick"]), help="Of series that tie, take the one with these slices."
)
@click.option(
    "--kernel", type=click.Choice(["soft", "sharp"]), help="Of series that tie, take the one with such a kernel."
)
@click.option(
    "--first-after-onset",
    is_flag=True,
    help="Of a patient's studies take the first after the column 'onset' of --clinical.",
)
@click.option(
    "--mask-pattern",
    metavar="PATTERN",
    help="Where outlines lie, from the image's folder, e.g. '{stem}_roi.nii.gz'.  [default: by their names]",
)
@click.option("--segment", metavar="NAME", help="The segment that is the hematoma, in files that hold several.")
@clinical_options
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Which pseudonym is whose; keep it to yourself.  [default: below ~/.local/share/cvtbatch]",
)
@selection_options
@plain_http_option
@cluster_options(default_workers=None)
@json_option
@click.pass_context
def index(
    ctx: click.Context,
    folder: str,
    out: Path,
    center: str | None,
    pattern: str | None,
    prefer: "Prefer | None",
    kernel: "Kernel | None",
    first_after_onset: bool,
    mask_pattern: str | None,
    segment: str | None,
    clinical: Path | None,
    on: str | None,
    map_path: Path | None,
    body_parts: Sequence[str],
    study_date: str | None,
    accessions: Path | None,
    descriptions: Sequence[str],
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Make a manifest of the studies below FOLDER: one row for the head CT of each, ready for check and extract.

    Headers alone are read, of DICOM files, zip and tar archives, NIfTI, NRRD and MetaImage, and none a second time: an index
    that was broken off goes on, and one that is run again adds what is new and overwrites nothing that is there.

    \b
    Columns that it fills:
      center, case_id, patient      the centre, and pseudonyms; --map keeps whose they are
      image, series_uid             the head CT by the rule that extract follows
      mask, segment, mask_label, reader
                                    an outline that was found beside it, or refers to it
      age, epilepsy, etiology, ...  from --clinical
      x_state, x_reason             chosen or tie, and why
      x_candidates, x_outlines      what else there was to choose from

    Series that the rule does not tell apart have a row each, x_state tie: delete all but one, or give --prefer or --kernel.
    Studies without a head CT are listed in a file beside the manifest.

    SOURCE is an archive, dicomweb+https://HOST/PATH: its headers are asked for, and images are addresses, from which extract
    fetches them. --body-part, --description, --study-date and --accessions are as for pull.

    \b
    Examples:
      cvtbatch index /nas/head-ct --center berlin --out manifest.csv
      cvtbatch index /nas --pattern '{center}/{patient}/{study}' --out manifest.csv --prefer thin
      cvtbatch index /nas --center berlin --out manifest.csv --clinical patients.csv --on patient_id --first-after-onset
      cvtbatch index dicomweb+https://pacs.example.org/dicom-web --body-part HEAD --center berlin --out manifest.csv

    \b
    Exit codes: 0 all done; 1 it could not be done; 2 usage; 3 done, but ties or files that cannot be read stand.
    """
    values = to_clinical(clinical, on)
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.indexing import index as pipeline
    from cvtbatch.pipelines.indexing.archive_scan import require_dicomweb
    from cvtbatch.pipelines.indexing.study_choice import ChoiceOptions

    options = pipeline.IndexOptions(
        pattern,
        center,
        ChoiceOptions(prefer, kernel),
        mask_pattern,
        segment,
        map_path,
        values,
        first_after_onset,
    )
    selected = to_selection(["CT"], body_parts, descriptions, study_date, accessions)
    if is_address(folder):
        if pattern is not None or mask_pattern is not None:
            raise click.UsageError("--pattern and --mask-pattern are about folders: leave them out for an archive")
        address = to_source(folder, None, None).address
        prepared = pipeline.prepare_archive(require_dicomweb(address, selected), out, options)
    else:
        if selected != to_selection(["CT"], (), (), None, None):
            raise click.UsageError(
                "--body-part, --description, --study-date and --accessions are about an archive: name one as SOURCE"
            )
        prepared = pipeline.prepare(Path(folder), out, options)
    with progress_display("read", quiet=as_json, unit="files") as show:
        show.tell(f"reading headers below {folder}")
        with open_cluster(config, (), show.tell) as cluster:
            show.tell_dashboard(cluster.dashboard)

            def on_progress(stage: str, done: int, total: int, failed: int) -> None:
                show.enter(stage, _UNITS[stage])
                show(done, total, failed)
                raise_if_interrupted()

            report = pipeline.index(prepared, cluster, on_progress)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    given = {"--prefer": prefer, "--kernel": kernel}
    preferred = " ".join(f"{option} {value}" for option, value in given.items() if value)
    for line in _lines(report, out, preferred):
        say(line, err=as_json)
    ctx.exit(STANDING_FAILURES if report.stands else 0)


def _lines(report: "IndexReport", out: Path, preferred: str) -> Iterator[str]:
    """Yield what happened, and for each thing that is left to do, what to do.

    Args:
        preferred: the options that decided ties, as they were given; empty if none was.
    """
    read = f"{report.files_read:,} headers read" if report.files_read < report.files else "all headers read"
    yield f"{counted(report.files, 'file')} ({read}) in {report.seconds:.1f} s: {counted(report.studies, 'study', 'studies')}"
    states = [f"{report.chosen:,} chosen", f"{counted(report.ties, 'tie')}"]
    if report.without_ct:
        states.append(f"{report.without_ct:,} without a head CT")
    states += [f"{count:,} left out: {state}" for state, count in report.left_out_otherwise.items()]
    yield f"{counted(report.studies, 'study', 'studies')}: {', '.join(states)}"
    if report.left_out:
        yield f"those without a row are listed in {report.left_out_path}"
    filled = f", {report.rows_filled:,} filled from the clinical table" if report.rows_filled else ""
    kept = report.rows_kept - report.rows_filled
    yield f"{out}: {counted(report.rows_added, 'row')} added, {kept:,} kept as they were{filled}"
    yield from _of_rows(report, out, preferred)
    if report.outlines or report.unclear_outlines:
        way_on = _WAY_ON if report.unclear_outlines else ""
        yield f"outlines: {report.outlines:,} found, {report.unclear_outlines:,} unclear{way_on}"
    yield from _of_sources(report)
    yield from _of_table(report)
    if report.rows_added:
        yield f"whose pseudonyms these are stands in {report.map_path}: keep it to yourself, and outside the store"


def _of_rows(report: "IndexReport", out: Path, preferred: str) -> Iterator[str]:
    if report.settled or (preferred and report.standing_ties and report.rows_kept):
        yield f"{counted(report.settled, 'tie')} of an earlier run decided by {preferred}: the rows that lost are taken out"
    if report.standing_ties:
        apart = f" that {preferred} does not tell apart" if preferred else ""
        way_on = "" if preferred else ", or run again with --prefer or --kernel"
        yield (
            f"{counted(report.standing_ties, 'case')} with rows of several series{apart} (x_state tie): delete all but one of "
            f"each{way_on}; check and extract refuse the manifest until then"
        )
    if report.changed:
        yield (
            f"{counted(len(report.changed), 'study', 'studies')} with other files than before; the rows stay: "
            f"{_some(report.changed)}"
        )
    if report.removed:
        yield f"{counted(len(report.removed), 'case')} whose studies are not there any more: {_some(report.removed)}"
    if report.other_ids:
        yield (
            f"the ids of {counted(report.other_ids, 'study', 'studies')} are not those of before (another --pattern or "
            f"--center, or other PatientIDs): their rows stand under the old ones, as they were; to begin again delete {out}"
        )
    if report.taken_out:
        yield f"{counted(report.taken_out, 'study', 'studies')} whose rows were deleted: left out"


def _of_sources(report: "IndexReport") -> Iterator[str]:
    if report.unreadable:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.unreadable.items())
        count = counted(sum(report.unreadable.values()), "file")
        yield f"{count} not to be read: {kinds}: {_some(report.unreadable_files)}; why stands in {report.left_out_path}"
    if report.without_patient:
        yield (
            f"{counted(report.without_patient, 'folder or image file', 'folders and image files')} without the patient's id: each "
            "study counts as a patient of its own; where folders name patients, say so by --pattern"
        )
    if report.without_study:
        yield f"{counted(report.without_study, 'folder')} without StudyInstanceUID: each counts as a study"
    if report.misfits:
        yield f"warning: {counted(len(report.misfits), 'folder')} left out: outside the pattern: {_some(report.misfits)}"


def _of_table(report: "IndexReport") -> Iterator[str]:
    if report.clinical_unmatched:
        rows = _some([str(number) for number in report.clinical_unmatched])
        yield (
            f"{len(report.clinical_unmatched):,} of {counted(report.clinical_rows, 'row')} of the clinical table fit no study: "
            f"rows {rows} (without the header)"
        )
    if report.without_clinical:
        have = "has" if report.without_clinical == 1 else "have"
        yield f"{report.without_clinical:,} of {counted(report.studies, 'study', 'studies')} {have} no row in the clinical table"
    if report.clinical_differing:
        yield (
            f"{counted(report.clinical_differing, 'case')} with other values than the clinical table, which stand as they are: "
            "empty those cells, or give --out a new file, to have the table's"
        )
    if report.clinical_not_taken:
        yield f"columns of the clinical table that no manifest takes: {', '.join(report.clinical_not_taken)}"
    if report.onset_unknown:
        yield f"{counted(report.onset_unknown, 'study', 'studies')} taken although time, patient or onset is not known"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join([*(name or "." for name in names[:_NAMED]), *([f"{more:,} more"] if more > 0 else [])])
