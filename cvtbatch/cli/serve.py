"""The command that watches an archive."""

import datetime
import json
from collections.abc import Sequence
from contextlib import nullcontext, suppress
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
from cvtbatch.cli.display import say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    clinical_options,
    cluster_options,
    job_option,
    json_option,
    set_option,
    store_option,
    to_clinical,
    typed_command,
)
from cvtbatch.cli.streams import go_on_unread
from cvtbatch.cli.values import Number, WholeNumber
from cvtbatch.own_folders import temporary_folder

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.indexing.study_choice import Kernel, Prefer
    from cvtbatch.pipelines.results.delivery import Destination
    from cvtbatch.pipelines.results.result_files import Products
    from cvtbatch.pipelines.serving.figures import Round
    from cvtbatch.pipelines.serving.outgoing import ResultsWork


@click.command(short_help="Watch an archive, and do all of this for what is new.")
@click.option("--source", required=True, metavar="ADDRESS", help="The archive that is watched.")
@store_option
@click.option("--center", required=True, metavar="NAME", help="Centre of all studies.")
@click.option("--every", type=Number(1), default=60.0, show_default=True, metavar="SECONDS", help="From poll to poll.")
@click.option("--once", is_flag=True, help="Poll once, do what is due, and end: for cron.")
@click.option(
    "--days", type=WholeNumber(0), metavar="N", help="Studies of today and the N days before.  [default: of all days]"
)
@selection_options
@pace_options
@source_options
@click.option(
    "--queue", type=WholeNumber(1), default=16, show_default=True, help="Series fetched and not extracted yet, at most."
)
@click.option(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where they lie meanwhile; they name patients.  [default: below ~/.local/state/cvtbatch]",
)
@click.option("--prefer", type=click.Choice(["thin", "thick"]), help="As for index: what decides where series tie.")
@click.option("--kernel", type=click.Choice(["soft", "sharp"]), help="As for index, too.")
@click.option("--segment", metavar="NAME", help="The segment that is the hematoma, in outlines that hold several.")
@clinical_options
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Which pseudonym is whose, as for index.  [default: below ~/.local/share/cvtbatch]",
)
@job_option
@set_option
@click.option("--bundle", type=click.Path(path_type=Path), help="Extract under its specifications, and score with it.")
@click.option(
    "--reader",
    metavar="NAME",
    help="Whose outlines are scored.  [default: those that outline.method finds; without one, the bundle's]",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for results, as `results` writes."
)
@click.option("--to", metavar="ADDRESS", help="PACS for the results. Nothing goes there without --send.")
@click.option(
    "--send", is_flag=True, help="Send results of outlines that people drew, and of found ones that a review accepts."
)
@click.option("--send-unreviewed", is_flag=True, help="With --send: of found outlines, too, that nobody has reviewed.")
@click.option("--capture", is_flag=True, help="As for results: also a page as a Secondary Capture.")
@click.option("--fhir", is_flag=True, help="As for results: also the report as a FHIR R4 Bundle, a file in --out.")
@click.option("--retry-failed", is_flag=True, help="Take studies again, once, that failed or were left out.")
@cluster_options(default_workers=1)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of your own for the log, which names paths.  [default: below ~/.local/state/cvtbatch]",
)
@click.option("--metrics", metavar="FILE.prom|HOST:PORT", help="Tell Prometheus how the watch stands, as for extract.")
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    source: str,
    store_url: str,
    center: str,
    every: float,
    once: bool,
    days: int | None,
    body_parts: Sequence[str],
    study_date: str | None,
    accessions: Path | None,
    descriptions: Sequence[str],
    connections: int,
    rate: int | None,
    at_night: str | None,
    ae_title: str | None,
    move_port: int | None,
    queue: int,
    spool: Path | None,
    prefer: "Prefer | None",
    kernel: "Kernel | None",
    segment: str | None,
    clinical: Path | None,
    on: str | None,
    map_path: Path | None,
    job: Path | None,
    overrides: Sequence[str],
    bundle: Path | None,
    reader: str | None,
    out: Path | None,
    to: str | None,
    send: bool,
    send_unreviewed: bool,
    capture: bool,
    fhir: bool,
    retry_failed: bool,
    config: "ClusterConfig",
    log: Path | None,
    metrics: str | None,
    as_json: bool,
) -> None:
    """Watch an archive for head CTs, and take each through pull, index, extract, score and results.

    A study is taken once it is unchanged from one poll to the next, and its files are removed when it is done.
    What became of it stands in the store, by a keyed hash. A watch that was killed goes on where it was: nothing is lost, and
    nothing is done or sent twice. An archive that is away is asked again; a study that fails is a row, and the others go on. A
    segmentation or structure set of the study is its outline; others are found if outline.method says how.

    Nothing is sent without --send; found outlines are sent once a review accepts them. Bundles and methods that are not for
    inference are refused. Credentials are those of pull and results. How to: docs/how-to/serve.md.

    \b
    Examples:
      cvtbatch serve --source dicomweb+https://pacs.example.org/dicom-web --store store --center berlin --body-part HEAD --days 2
      cvtbatch serve --source dimse://PACS@10.0.0.5:104 --store store --center berlin --once --set outline.method=blast-ct
      cvtbatch serve --source dicomweb+https://pacs.example.org/dicom-web --store store --center berlin --bundle bundle \\
        --to dicomweb+https://pacs.example.org/dicom-web --send

    \b
    Exit codes: 0 ended by a signal, or --once with all done; 1 it could not be done; 2 usage; 3 --once, and studies failed, or
    something of them is missing.
    """
    if days is not None and study_date is not None:
        raise click.UsageError("give --days or --study-date, not both")
    if to is None and send:
        raise click.UsageError("--send is about an archive: name it with --to")
    values = to_clinical(clinical, on)
    from cvtbatch.pacs.addresses import parse_address
    from cvtbatch.pacs.dimse import AE_TITLE
    from cvtbatch.pipelines.extraction.settings import Options
    from cvtbatch.pipelines.indexing.index import IndexOptions
    from cvtbatch.pipelines.indexing.study_choice import ChoiceOptions
    from cvtbatch.pipelines.results.delivery import Destination
    from cvtbatch.pipelines.results.result_files import Products
    from cvtbatch.pipelines.serving import serve as pipeline
    from cvtbatch.pipelines.serving.serve_settings import ServeSettings, Watched, require_results, resolve_extraction
    from cvtbatch.pipelines.shared.bundle_networks import names_weights
    from cvtbatch.pipelines.shared.job import read_job
    from cvtbatch.pipelines.shared.pull_pace import Pace

    archive = to_source(source, ae_title, move_port)
    selection = to_selection(["CT"], body_parts, descriptions, study_date, accessions)
    hours = to_hours(at_night)
    ours = ae_title or AE_TITLE
    goes_to = None if to is None else Destination(parse_address(to), ours, send)
    results = _to_results(store_url, bundle, Products(out, capture, fhir), goes_to, send_unreviewed)
    require_results(archive, results)
    folder = spool or pipeline.default_spool(store_url)
    rounds: list[Round] = []
    go_on_unread()

    def on_round(found: "Round") -> None:
        rounds[:] = [found]
        if as_json:
            click.echo(json.dumps(found.to_document()))
        elif once or found.fresh or found.due:
            say(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {found}")

    with temporary_folder("cvtbatch-serve-") as scratch:
        given = names_weights(overrides)
        extraction = resolve_extraction(read_job("extract", job, overrides), store_url, bundle, scratch, given=given)
        choice = ChoiceOptions(prefer, kernel)
        settings = ServeSettings(
            Watched(archive, selection, days, lambda: Pace(rate, hours), connections),
            store_url,
            every,
            queue,
            IndexOptions(
                center=center, choice=choice, segment=segment, map_path=map_path, clinical=values, is_batch=True
            ),
            extraction,
            Options(retry_failed, log=log or pipeline.default_log(), report=folder / "report", command=typed_command()),
            config,
            bundle,
            reader or (None if extraction.outline is None else extraction.outline.reader),
            results,
            metrics,
        )
        with nullcontext() if once else suppress(KeyboardInterrupt):
            pipeline.serve(settings, folder, once, lambda text: say(text, err=True), raise_if_interrupted, on_round)
    ctx.exit(STANDING_FAILURES if once and any(found.stands for found in rounds) else 0)


def _to_results(
    store_url: str, bundle: Path | None, products: "Products", goes_to: "Destination | None", send_unreviewed: bool
) -> "ResultsWork | None":
    """Return what is made of outlines; None where nothing is asked for.

    Raises:
        UsageError: options that go together do not.
    """
    from cvtbatch.pipelines.serving.outgoing import ResultsWork

    if send_unreviewed and (goes_to is None or not goes_to.send):
        raise click.UsageError("--send-unreviewed goes with --to and --send")
    if products.out is None and goes_to is not None and not goes_to.send:
        raise click.UsageError("--to without --send sends nothing: add --send, or give --out alone")
    if products.fhir and products.out is None:
        raise click.UsageError("--fhir writes a file: give --out")
    if products.out is None and goes_to is None:
        if products.capture:
            raise click.UsageError("--capture is about results: give --out, or --to with --send")
        return None
    return ResultsWork(store_url, bundle, products, goes_to, send_unreviewed)
