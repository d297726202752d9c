"""The command that extracts an archive into a store."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import print_case_plan, print_plan, print_report, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    cluster_options,
    job_option,
    json_option,
    manifest_argument,
    plain_http_option,
    set_option,
    store_option,
    typed_command,
)
from cvtbatch.cli.values import Number, Word

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.extraction.report import Progress
    from cvtbatch.pipelines.extraction.settings import Only


# What each stage counts.
UNITS = {"extract": "cases", "outline": "volumes", "region": "cases", "embed": "outlines"}


@click.command(short_help="Fill a store: volumes, radiomics features, embeddings.")
@manifest_argument
@store_option
@job_option
@set_option
@cluster_options(default_workers=None)
@click.option(
    "--audit",
    type=Number(0, 1),
    metavar="SHARE",
    help="Of the ROIs that are computed, compute this share with stock PyRadiomics too, and compare.",
)
@click.option(
    "--params",
    multiple=True,
    metavar="[NAME=]FILE",
    help="PyRadiomics parameter file: compute its features too, into the table features_NAME (by default named as the file). "
    "May be repeated.",
)
@click.option(
    "--source-params",
    multiple=True,
    metavar="[NAME=]FILE",
    help="As --params, computed of image and mask as their sources have them, before anything is resampled.",
)
@click.option(
    "--only",
    type=Word(["radiomics", "outlines", "embeddings"]),
    help="Leave the others out; outlines (with their features) and embeddings are made of what is stored, and read no source.",
)
@plain_http_option
@click.option("--dry-run", is_flag=True, help="Print what would be done, and why; do nothing.")
@click.option("--retry-failed", is_flag=True, help="Try failed cases again although their sources have not changed.")
@click.option("--verify-inputs", is_flag=True, help="Decode every source, even where files look unchanged.")
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of your own for the log, which names paths.  [default: below ~/.local/state/cvtbatch]",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for run-report.html and failures.csv, which name paths, and failures-without-paths.csv.  "
    "[default: below ~/.local/state/cvtbatch]",
)
@click.option(
    "--metrics",
    metavar="FILE.prom|HOST:PORT",
    help="Tell Prometheus how the run stands: by a file for the node exporter, or under /metrics; :9100 is of this machine alone.",
)
@json_option
@click.pass_context
def extract(
    ctx: click.Context,
    manifest: Path,
    store_url: str,
    job: Path | None,
    overrides: Sequence[str],
    config: "ClusterConfig",
    audit: float | None,
    params: Sequence[str],
    source_params: Sequence[str],
    only: "Only | None",
    dry_run: bool,
    retry_failed: bool,
    verify_inputs: bool,
    log: Path | None,
    report: Path | None,
    metrics: str | None,
    as_json: bool,
) -> None:
    """Extract volumes, the study's radiomics features and the embeddings of every hematoma in MANIFEST into a store.

    Cases without a mask are outlined if the job's outline.method says how. A second run computes only what is new or
    changed. Failures are kept as rows and do not stop the run.

    \b
    Examples:
      cvtbatch extract archive/manifest.csv --store store
      cvtbatch extract archive/manifest.csv --store store --dry-run
      cvtbatch extract archive/manifest.csv --store store --set radiomics.profile=onekey-1834
      cvtbatch extract archive/manifest.csv --store store --params params.yaml
      cvtbatch extract archive/manifest.csv --store store --source-params params.yaml
      cvtbatch extract archive/manifest.csv --store store --set outline.method=blast-ct
      cvtbatch extract archive/manifest.csv --store store --only embeddings --set embedding.weights=tuned.safetensors
    """

    def step(text: str) -> None:
        if not as_json:
            say(text, err=True)

    # Before what takes its time to be imported.
    step("reading the manifest")
    from cvtbatch.engine import open_cluster
    from cvtbatch.manifest import read_manifest, twin_notices
    from cvtbatch.pipelines.extraction import extract as pipeline
    from cvtbatch.pipelines.extraction.first_steps import first_steps
    from cvtbatch.pipelines.extraction.listeners import Listeners
    from cvtbatch.pipelines.extraction.set_settings import named_sets, other_settings
    from cvtbatch.pipelines.extraction.settings import Options, own_gpus, resolve
    from cvtbatch.pipelines.shared.job import read_job

    for key, files in (("sets", params), ("source_sets", source_params)):
        overrides = [*overrides, *(f"radiomics.{key}.{name}={json.dumps(file)}" for name, file in named_sets(files))]
    if audit is not None:
        overrides = [*overrides, f"radiomics.audit={audit:.12f}"]
    cases = read_manifest(manifest)
    for notice in twin_notices(cases.centers):
        say(f"warning: {notice}", err=True)
    settings = resolve(read_job("extract", job, overrides), store_url, only)
    for notice in other_settings(store_url, settings.specs):
        say(f"warning: {notice}", err=True)
    if settings.extracts:
        cases.require_folders()
    options = Options(retry_failed, verify_inputs, metrics, log, report, typed_command())
    if dry_run:
        show_plan = (lambda _: None) if as_json else print_case_plan
        print_plan(pipeline.dry_run(cases, settings, options, show_plan), as_json)
        return
    config, steps = first_steps(config, cases, settings, options)
    for begun in steps:
        step(begun)
    with (
        progress_display("extract", quiet=as_json) as show,
        open_cluster(config, own_gpus(settings), show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)

        def on_progress(progress: "Progress") -> None:
            show.enter(progress.stage, UNITS[progress.stage])
            show(progress.done, progress.total, progress.failed)
            raise_if_interrupted()

        done = pipeline.extract(
            cases, settings, cluster, options, Listeners(on_progress, show.tell, show.tell, show.step)
        )
    print_report(done, as_json)
    ctx.exit(STANDING_FAILURES if done.failed else 0)
