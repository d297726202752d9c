"""The command line: translates options, delegates, prints. Nothing is decided here but exit codes.

Exit codes: 0 all done; 1 the run could not be done; 2 usage; 3 done, with standing failures.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import click

import cvtbatch
from cvtbatch import contracts
from cvtbatch.display import SHOWN_FAILURES, print_plan, print_report, print_status, progress_display
from cvtbatch.errors import CvtbatchError

if TYPE_CHECKING:
    from cvtbatch.pipelines.coordinator import Progress

CANNOT_RUN = 1
STANDING_FAILURES = 3

store_option = click.option("--store", "store_url", required=True, metavar="DIR", help="The store: a folder.")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, all else on stderr."
)
manifest_argument = click.argument("manifest", type=click.Path(path_type=Path))


# Set once the user has asked for an end: raised in a library's callback, a KeyboardInterrupt can vanish without a trace.
_interrupted = threading.Event()


def _interrupt(*_: object) -> NoReturn:
    _interrupted.set()
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line; the one place where an error becomes an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted. What was committed is safe; the same command continues.", err=True)
        code = CANNOT_RUN
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CvtbatchError as error:
        click.echo(f"Error: {error}", err=True)
        code = CANNOT_RUN
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CANNOT_RUN
    except Exception as error:
        _report_defect(error)
        code = CANNOT_RUN
    sys.exit(code or 0)


def _report_defect(error: Exception) -> None:
    """Tell of an exception that is no one's but ours; its traceback may name files, so it goes to the user's own log."""
    from cvtbatch.pipelines.user_log import UserLog, log_folder

    text = "".join(traceback.format_exception(error))
    click.echo(
        f"Error: {type(error).__name__}: a defect of cvtbatch; what was committed is safe. Please report it.", err=True
    )
    if UserLog("defects").write(text):
        click.echo(text, err=True)
    else:
        click.echo(f"The whole text is at the end of {log_folder() / 'defects.log'}", err=True)


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """List commands in the order in which they are used."""
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(cvtbatch.__version__, prog_name="cvtbatch")
def cli() -> None:
    """Feature store and scoring engine for intracerebral hematomas on head CT.

    \b
    A first walk, on synthetic heads:
      cvtbatch synth archive --cases 20 --centers 2 --seed 1
      cvtbatch extract archive/manifest.csv --store store
      cvtbatch status --store store
      cvtbatch export radiomics --store store --out radiomics.parquet

    For research use; not a medical device.
    """


@cli.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--cases", type=click.IntRange(1), required=True, help="How many cases.")
@click.option(
    "--centers", type=click.IntRange(1), default=1, show_default=True, help="Over how many centres they spread."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Equal seeds give equal archives.")
@click.option(
    "--size",
    type=click.Choice(["small", "full"]),
    default="small",
    show_default=True,
    help="About 256 x 256 x 24, or scanner size.",
)
def synth(out: Path, cases: int, centers: int, seed: int, size: Literal["small", "full"]) -> None:
    """Make a synthetic archive with a manifest and outcomes in the new folder OUT.

    \b
    Example: cvtbatch synth archive --cases 20 --centers 2 --seed 1
    """
    from cvtbatch.pipelines.synth import write_archive

    with progress_display("synth", quiet=False) as show:
        manifest = write_archive(out, cases, centers, seed, size, show)
    click.echo(f"{cases} cases of {centers} centre{'s' if centers > 1 else ''}: {manifest}")


@cli.command()
@manifest_argument
@click.option("--job", type=click.Path(path_type=Path), help="Job file; by default the one that comes with cvtbatch.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the job; repeatable."
)
@click.option(
    "--workers", type=click.IntRange(0), default=0, show_default=True, help="Worker processes; 0 reads in this one."
)
@json_option
@click.pass_context
def check(
    ctx: click.Context, manifest: Path, job: Path | None, overrides: Sequence[str], workers: int, as_json: bool
) -> None:
    """List every problem of MANIFEST and of the files that it names; extract nothing.

    \b
    Example: cvtbatch check archive/manifest.csv
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.manifest import read_manifest
    from cvtbatch.pipelines.check import check_files
    from cvtbatch.pipelines.job import read_job

    cases = read_manifest(manifest)
    x, y, z = read_job("extract", job, overrides)["volume"]["spacing_mm"]
    done = 0
    with open_cluster(workers) as cluster, progress_display("check", quiet=as_json) as show:

        def on_case() -> None:
            nonlocal done
            done += 1
            show(done, len(cases), 0)

        problems = check_files(cases, (x, y, z), cluster, on_case)
    broken = len({problem.case_key for problem in problems})
    awaiting = sum(not case.masked_rois() for case in cases)
    document = {
        "command": "check",
        "cases": len(cases),
        "readable": len(cases) - broken,
        "awaiting_mask": awaiting,
        "problems": [problem.to_document() for problem in problems],
    }
    for problem in problems:
        private = f" [{problem.private}]" if problem.private else ""
        where = problem.roi_key or problem.case_key
        text = f"row {problem.manifest_row}, {where}: {problem.stage}: {problem.kind}: {problem.message}{private}"
        click.echo(text.encode("utf-8", "backslashreplace"), err=as_json)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(f"{len(cases)} cases: {len(cases) - broken} can be read, {broken} cannot; {awaiting} without a mask")
    ctx.exit(STANDING_FAILURES if problems else 0)


@cli.command()
@manifest_argument
@store_option
@click.option("--job", type=click.Path(path_type=Path), help="Job file; by default the one that comes with cvtbatch.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the job; repeatable."
)
@click.option("--workers", type=click.IntRange(0), help="Worker processes; 0 works in this one.  [default: one a core]")
@click.option(
    "--scheduler", metavar="ADDRESS", help="Use the workers of this Dask scheduler, e.g. tcp://10.0.0.5:8786."
)
@click.option(
    "--audit",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Of the ROIs that are computed, compute this share with stock PyRadiomics too, and compare.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and why; do nothing.")
@click.option("--retry-failed", is_flag=True, help="Try failed cases again although their sources have not changed.")
@click.option("--verify-inputs", is_flag=True, help="Decode every source, even where files look unchanged.")
@json_option
@click.pass_context
def extract(
    ctx: click.Context,
    manifest: Path,
    store_url: str,
    job: Path | None,
    overrides: Sequence[str],
    workers: int | None,
    scheduler: str | None,
    audit: float | None,
    dry_run: bool,
    retry_failed: bool,
    verify_inputs: bool,
    as_json: bool,
) -> None:
    """Extract volumes and the 1,834 features of every hematoma in MANIFEST into a store.

    A second run computes only what is new or changed. Failures are kept as rows and do not stop the run.

    \b
    Examples:
      cvtbatch extract archive/manifest.csv --store store
      cvtbatch extract archive/manifest.csv --store store --dry-run
      cvtbatch extract archive/manifest.csv --store store --set radiomics.profile=onekey-1834
    """
    if workers is not None and scheduler is not None:
        raise click.UsageError("give --workers or --scheduler, not both")
    from cvtbatch.engine import open_cluster
    from cvtbatch.manifest import read_manifest
    from cvtbatch.pipelines import extract as pipeline
    from cvtbatch.pipelines.job import read_job

    if audit is not None:
        overrides = [*overrides, f"radiomics.audit={audit:.12f}"]
    settings = pipeline.resolve(read_job("extract", job, overrides), store_url)
    options = pipeline.Options(retry_failed, verify_inputs)
    cases = read_manifest(manifest)
    if dry_run:
        report, plans = pipeline.dry_run(cases, settings, options)
        print_plan(plans, report, as_json)
        return
    shown = 0
    with (
        progress_display("extract", quiet=as_json) as show,
        open_cluster(pipeline.default_workers() if workers is None else workers, scheduler) as cluster,
    ):

        def on_progress(progress: "Progress") -> None:
            show(progress.done, progress.total, progress.failed)
            if _interrupted.is_set():
                raise KeyboardInterrupt

        def on_private(text: str) -> None:
            nonlocal shown
            shown += 1
            if shown <= SHOWN_FAILURES:
                show.tell(text)

        report = pipeline.extract(cases, settings, cluster, options, on_progress, on_private)
    print_report(report, shown, as_json)
    ctx.exit(STANDING_FAILURES if report.failed else 0)


@cli.command()
@store_option
@json_option
def status(store_url: str, as_json: bool) -> None:
    """Show cases by state, rows, failures by kind, specifications and runs of a store.

    \b
    Example: cvtbatch status --store store
    """
    from cvtbatch.pipelines.status import read_status

    document = read_status(store_url)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        print_status(document)


@cli.command()
@click.argument("table", type=click.Choice(contracts.table_names()))
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .parquet or .csv.")
def export(table: str, store_url: str, out: Path) -> None:
    """Write the current rows of TABLE to a file.

    \b
    Examples:
      cvtbatch export radiomics --store store --out radiomics.parquet
      cvtbatch export failures --store store --out failures.csv
    """
    from cvtbatch.pipelines.export import export_table

    click.echo(f"{export_table(store_url, table, out)} rows: {out}")


@cli.command()
@click.argument("key")
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG to write.")
def picture(key: str, store_url: str, out: Path) -> None:
    """Draw the largest slice of the ROI named by KEY (roi_key, or case_key of a case with one ROI), with its outline.

    \b
    Example: cvtbatch picture center-1/case-0001 --store store --out case.png
    """
    from cvtbatch.pipelines.export import draw_roi

    click.echo(f"slice {draw_roi(store_url, key, out)}: {out}")
