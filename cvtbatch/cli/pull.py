"""The command that fetches studies out of an archive."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.archive_options import (
    pace_options,
    selection_options,
    source_options,
    to_hours,
    to_selection,
    to_source,
)
from cvtbatch.cli.display import SHOWN_FAILURES, megabytes, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import STANDING_FAILURES, json_option
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.pipelines.archive.pull import PullReport

_UNITS = {"list": "studies", "fetch": "series"}


@click.command(short_help="Fetch studies out of an archive, by DICOMweb or DIMSE.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files, new or not."
)
@click.option("--modality", "modalities", multiple=True, metavar="CODE", help="Series of it, e.g. CT; repeatable.")
@selection_options
@pace_options
@source_options
@click.option("--dry-run", is_flag=True, help="Say what would be fetched at most, and fetch nothing.")
@json_option
@click.pass_context
def pull(
    ctx: click.Context,
    source: str,
    out: Path,
    modalities: Sequence[str],
    body_parts: Sequence[str],
    study_date: str | None,
    accessions: Path | None,
    descriptions: Sequence[str],
    connections: int,
    rate: int | None,
    at_night: str | None,
    ae_title: str | None,
    move_port: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch the studies of an archive that are wanted, as far as they are not in --out: one folder a series, files as they come.

    SOURCE is dicomweb+https://HOST/PATH (QIDO-RS, WADO-RS), or dimse+tls://AET@HOST:PORT or dimse://AET@HOST:PORT (C-FIND, C-GET or
    C-MOVE; encrypted or not). Every instance is looked at before it is kept: all of it is there, and it is the one that was asked
    for. A pull that was broken off goes on; one that is run again adds what is new. What came is for `cvtbatch index`. The files
    name patients, as the archive's do; names of folders and files do not.

    Credentials come from the environment (CVTBATCH_PACS_USER with CVTBATCH_PACS_PASSWORD, CVTBATCH_PACS_TOKEN, or
    CVTBATCH_PACS_TOKEN_COMMAND, a command that prints a token) or from the netrc file. How to: docs/how-to/pull.md.

    \b
    Examples:
      cvtbatch pull dicomweb+https://pacs.example.org/dicom-web --modality CT --body-part HEAD --out heads
      cvtbatch pull dimse://PACS@pacs.example.org:11112 --accessions wanted.txt --modality CT --out heads
      cvtbatch index heads --center berlin --out manifest.csv

    \b
    Exit codes: 0 all done; 1 it could not be done; 2 usage; 3 done, but instances are missing, or series grew meanwhile: run again.
    """
    from cvtbatch.pipelines.archive import pull as pipeline
    from cvtbatch.pipelines.shared.pull_pace import Pace

    archive = to_source(source, ae_title, move_port)
    selection = to_selection(modalities, body_parts, descriptions, study_date, accessions)
    hours = to_hours(at_night)
    with progress_display("list", quiet=as_json, unit="studies") as show:

        def on_progress(stage: str, done: int, total: int, failed: int) -> None:
            show.enter(stage, _UNITS[stage])
            show(done, total, failed)
            raise_if_interrupted()

        def on_wait(seconds: float) -> None:
            show.tell(f"nothing is begun before {at_night}: {seconds / 3600:.1f} hours to wait")

        def on_failed(folder: str, why: str) -> None:
            show.tell(f"{folder}: {why}")

        report = pipeline.pull(
            archive,
            selection,
            out,
            Pace(rate, hours, on_wait),
            connections,
            dry_run=dry_run,
            show=on_progress,
            on_failed=on_failed,
        )
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        _print(report)
    ctx.exit(STANDING_FAILURES if report.failed or report.grew else 0)


def _print(report: "PullReport") -> None:
    wanted = f"{report.series:,} series of {counted(report.studies, 'study', 'studies')}, {counted(report.instances, 'instance')}"
    if report.dry_run:
        say(f"{wanted}: nothing was fetched")
    else:
        size = f"{megabytes(report.size)} in {report.seconds:.0f} s"
        say(f"{wanted}: {report.fetched} fetched ({size}), {report.there} there before: {report.out}")
    if unknown := report.unknown_accessions:
        more = f" and {len(unknown) - SHOWN_FAILURES} more" if len(unknown) > SHOWN_FAILURES else ""
        say(f"no study with the accession number {', '.join(unknown[:SHOWN_FAILURES])}{more}", err=True)
    if report.grew:
        say(f"{len(report.grew)} series grew while they were fetched: run again to have the rest", err=True)
    if report.failed:
        say(f"something is missing of {len(report.failed)} series: the same command asks for it again", err=True)
