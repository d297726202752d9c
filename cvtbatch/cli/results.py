"""The command that gives results back."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import SHOWN_FAILURES, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import STANDING_FAILURES, centers_option, json_option, plain_http_option, store_option
from cvtbatch.counts import counted
from cvtbatch.errors import CvtbatchError

if TYPE_CHECKING:
    from cvtbatch.pipelines.results.write_results import ResultsReport


@click.command(short_help="Outlines and results as DICOM SEG and SR, for a PACS.")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@store_option
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    required=True,
    help="The manifest from which the store was extracted.",
)
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle whose scores the reports hold too.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files, new or not.")
@click.option(
    "--to",
    metavar="ADDRESS",
    help="PACS for the objects: dicomweb+https://HOST/PATH or dimse+tls://AET@HOST:PORT. Without --send they are listed.",
)
@click.option("--send", is_flag=True, help="Send them.")
@click.option("--ae-title", metavar="AET", help="Ours, for DIMSE.  [default: CVTBATCH]")
@plain_http_option
@click.option("--capture", is_flag=True, help="Also a page as a Secondary Capture, for viewers that show no report.")
@click.option("--fhir", is_flag=True, help="Also the report as a FHIR R4 Bundle, a file beside the others.")
@centers_option
@click.option("--reader", metavar="NAME", help="The outlines of this reader or method alone.  [default: all]")
@json_option
@click.pass_context
def results(
    ctx: click.Context,
    keys: Sequence[str],
    store_url: str,
    manifest: Path,
    bundle: Path | None,
    out: Path | None,
    to: str | None,
    send: bool,
    ae_title: str | None,
    capture: bool,
    fhir: bool,
    centers: Sequence[str],
    reader: str | None,
    as_json: bool,
) -> None:
    """Write or send every outline as a DICOM Segmentation, and what was measured and scored of it as a Structured Report.

    Of all cases of the manifest, or of those that each KEY (case_key or roi_key) names, whose image is a DICOM series. The files
    name the patient, as the source's headers do: keep them where the images may lie. What is there already stays; exit code 3
    where a case cannot be written, or an object not be sent: run again to go on.

    Nothing is sent without --send. Credentials for a PACS come from CVTBATCH_PACS_USER and CVTBATCH_PACS_PASSWORD,
    CVTBATCH_PACS_TOKEN, CVTBATCH_PACS_TOKEN_COMMAND or a netrc file. How to: docs/how-to/results-for-a-pacs.md.

    \b
    Examples:
      cvtbatch results --store store --manifest archive/manifest.csv --out results
      cvtbatch results --store store --manifest archive/manifest.csv --bundle bundle --center C2 --out results
      cvtbatch results --store store --manifest archive/manifest.csv --out results --to dimse://PACS@10.0.0.5:104 --send
    """
    if out is None and not send:
        raise click.UsageError("give --out, or --to with --send")
    if out is None and fhir:
        raise click.UsageError("--fhir writes a file: give --out")
    if to is None and (send or ae_title is not None):
        raise click.UsageError("--send and --ae-title are about an archive: name it with --to")
    from cvtbatch.pacs.addresses import check_ae_title, parse_address
    from cvtbatch.pacs.dimse import AE_TITLE
    from cvtbatch.pipelines.results.delivery import Destination
    from cvtbatch.pipelines.results.result_files import Products
    from cvtbatch.pipelines.results.write_results import write_results

    destination = None
    if to is not None:
        ours = AE_TITLE if ae_title is None else check_ae_title(ae_title)
        destination = Destination(parse_address(to), ours, send)
    with progress_display("results", quiet=as_json) as show:

        def on_progress(done: int, total: int, failed: int) -> None:
            show(done, total, failed)
            raise_if_interrupted()

        def on_refused(what: str, error: CvtbatchError) -> None:
            show.tell(f"{what}: {error}")

        products = Products(out, capture, fhir)
        report = write_results(
            *(store_url, manifest, bundle, products, destination, keys, centers, reader, on_progress, on_refused)
        )
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        _tell_done(report)
        _tell_left_out("no DICOM series is the image of", report.not_dicom)
        _tell_left_out("the store has no such outline of", report.not_stored)
        _tell_left_out(
            "no score by this bundle, so that the report has none (run `cvtbatch score`), of", report.unscored
        )
        if report.failed:
            many = counted(len(report.failed), "case was", "cases were")
            say(f"{many} refused, and the others written", err=True)
    ctx.exit(0 if report.complete else STANDING_FAILURES)


def _tell_done(report: "ResultsReport") -> None:
    found = report.outlines
    if report.out is not None:
        say(
            f"{counted(found['written'], 'outline')} written, {found['replaced']} in place of another, "
            f"{found['there']} there before: {report.out}, of {counted(report.cases, 'case')}"
        )
    states = Counter(one.state for one in report.objects)
    if states["planned"]:
        for one in report.objects:
            say(one.file)
        say(f"{counted(states['planned'], 'object')} would go to {report.to}: add --send")
    elif report.to is not None:
        say(
            f"{counted(states['sent'], 'object')} sent, {states['there']} there before, {states['failed']} not sent: {report.to}"
        )
        if states["failed"]:
            say("run the same command again to send what was not", err=True)


def _tell_left_out(why: str, keys: Sequence[str]) -> None:
    if keys:
        more = f" and {len(keys) - SHOWN_FAILURES} more" if len(keys) > SHOWN_FAILURES else ""
        say(f"{why} {len(keys)}: {', '.join(keys[:SHOWN_FAILURES])}{more}", err=True)
