"""Options and exit codes that several commands share."""

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cvtbatch.cli.values import WholeNumber

Command = Callable[..., Any]


def typed_command() -> str:
    """Return the command line of this process as it is typed."""
    return shlex.join(["cvtbatch", *sys.argv[1:]])


CANNOT_RUN = 1
STANDING_FAILURES = 3

store_option = click.option(
    "--store", "store_url", required=True, metavar="URL", help="The store: a folder, or s3://BUCKET/PREFIX."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, all else on stderr."
)
job_option = click.option(
    "--job", type=click.Path(path_type=Path), help="Job file; by default the one that comes with cvtbatch."
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the job; repeatable."
)


def _allow_plain_http(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    if given:
        from cvtbatch.pacs.addresses import plain_http_allowed

        ctx.with_resource(plain_http_allowed())


plain_http_option = click.option(
    "--plain-http",
    is_flag=True,
    expose_value=False,
    callback=_allow_plain_http,
    help="Take dicomweb+http:// to another machine too, where all can be read.",
)
manifest_argument = click.argument("manifest", type=click.Path(path_type=Path))
reader_option = click.option(
    "--reader",
    metavar="NAME",
    help="Whose outlines; a method, e.g. blast-ct, stands for its newest reader.  [default: the bundle's]",
)
centers_option = click.option(
    "--center", "centers", multiple=True, metavar="NAME", help="This centre's cases alone; repeatable."
)
snapshot_option = click.option("--snapshot", "snapshot_name", metavar="NAME", help="Read what this snapshot froze.")
spec_option = click.option(
    "--spec", "spec_ids", multiple=True, metavar="ID", help="Read rows of this specification; repeatable."
)


def cluster_options(default_workers: int | None) -> Callable[[Command], Command]:
    """Add --workers, --scheduler and --cluster, which exclude one another; the command gets what they say as `config`.

    Args:
        default_workers: processes where none of them is given; None for one a core.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def translate(
            *args: Any, workers: int | None, scheduler: str | None, cluster_file: Path | None, **options: Any
        ) -> Any:
            if sum(given is not None for given in (workers, scheduler, cluster_file)) > 1:
                raise click.UsageError("give one of --workers, --scheduler and --cluster")
            from cvtbatch.engine import ClusterConfig, ExternalScheduler, LocalWorkers, read_cluster_file
            from cvtbatch.engine import default_workers as one_a_core

            config: ClusterConfig
            if cluster_file is not None:
                config = read_cluster_file(cluster_file)
            elif scheduler is not None:
                config = ExternalScheduler(scheduler)
            else:
                workers = default_workers if workers is None else workers
                config = LocalWorkers(one_a_core() if workers is None else workers)
            return command(*args, config=config, **options)

        shown = "one a core" if default_workers is None else default_workers
        return _workers_option(str(shown))(_scheduler_option(_cluster_option(translate)))

    return decorate


def _workers_option(default: str) -> Callable[[Command], Command]:
    text = f"Worker processes on this machine; 0 works in this one.  [default: {default}]"
    hint = f"0 works in this process; leave it out for {default}"
    return click.option("--workers", type=WholeNumber(0, hint=hint), help=text)


_scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Use the workers of a scheduler on this machine, e.g. tcp://127.0.0.1:8786."
)
_cluster_option = click.option(
    "--cluster",
    "cluster_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Run where this file says: local, scheduler, slurm or kubernetes (examples: deploy/).",
)


def clinical_options(command: Command) -> Command:
    """Add the options that name a hospital's table of clinical values."""
    command = click.option("--on", metavar="COLUMN", help="Column of --clinical with the hospital's patient id.")(
        command
    )
    return click.option(
        "--clinical",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Table with values of patients: columns such as age, epilepsy, etiology, x_... go into the manifest.",
    )(command)


def to_clinical(clinical: Path | None, on: str | None) -> tuple[Path, str] | None:
    """Return a table of clinical values and its column of patient ids.

    Raises:
        UsageError: one of the two is missing.
    """
    if (clinical is None) != (on is None):
        raise click.UsageError(
            "--clinical and --on go together: a table, and its column with the hospital's patient id"
        )
    return None if clinical is None or on is None else (clinical, on)
