"""The command that gives results back."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from cvtbatch.cli.display import SHOWN_FAILURES, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import STANDING_FAILURES, centers_option, json_option, store_option
from cvtbatch.errors import CvtbatchError


@click.command(short_help="Write outlines and results as DICOM SEG and SR, for a PACS.")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@store_option
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    required=True,
    help="The manifest from which the store was extracted.",
)
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle whose scores the reports hold too.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files, new or not."
)
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
    out: Path,
    centers: Sequence[str],
    reader: str | None,
    as_json: bool,
) -> None:
    """Write every outline as a DICOM Segmentation, and what was measured and scored of it as a Structured Report.

    Of all cases of the manifest, or of those that each KEY (case_key or roi_key) names, whose image is a DICOM series. The files
    name the patient, as the source's headers do: keep them where the images may lie. What is there already stays; exit code 3
    where a case cannot be written. How to: docs/how-to/results-for-a-pacs.md.

    \b
    Examples:
      cvtbatch results --store store --manifest archive/manifest.csv --out results
      cvtbatch results --store store --manifest archive/manifest.csv --bundle bundle --center C2 --out results
    """
    from cvtbatch.pipelines.results.write_results import write_results

    with progress_display("results", quiet=as_json) as show:

        def on_progress(done: int, total: int, failed: int) -> None:
            show(done, total, failed)
            raise_if_interrupted()

        def on_refused(case_key: str, error: CvtbatchError) -> None:
            show.tell(f"{case_key}: {error}")

        report = write_results(store_url, manifest, bundle, out, keys, centers, reader, on_progress, on_refused)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        found = report.outlines
        say(
            f"{found['written']} outlines written, {found['replaced']} in place of another, {found['there']} there before: "
            f"{out}, of {report.cases} cases"
        )
        _tell_left_out("no DICOM series is the image of", report.not_dicom)
        _tell_left_out("the store has no such outline of", report.not_stored)
        _tell_left_out(
            "no score by this bundle, so that the report has none (run `cvtbatch score`), of", report.unscored
        )
        if report.failed:
            many = "1 case was" if len(report.failed) == 1 else f"{len(report.failed)} cases were"
            say(f"{many} refused, and the others written", err=True)
    ctx.exit(STANDING_FAILURES if report.failed else 0)


def _tell_left_out(why: str, keys: Sequence[str]) -> None:
    if keys:
        more = f" and {len(keys) - SHOWN_FAILURES} more" if len(keys) > SHOWN_FAILURES else ""
        say(f"{why} {len(keys)}: {', '.join(keys[:SHOWN_FAILURES])}{more}", err=True)
