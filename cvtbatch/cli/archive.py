"""Commands about archives: make a synthetic one, fetch public data, check one."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvtbatch.cli.display import SHOWN_FAILURES, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    cluster_options,
    job_option,
    json_option,
    manifest_argument,
    plain_http_option,
    reader_option,
    set_option,
)
from cvtbatch.cli.values import WholeNumber, Word
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.archive.check import CheckReport
    from cvtbatch.pipelines.archive.check_files import Problem


@click.command(short_help="Make a synthetic archive with its manifest.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--cases", type=WholeNumber(1), required=True, help="How many cases.")
@click.option("--centers", type=WholeNumber(1), default=1, show_default=True, help="Over how many centres they spread.")
@click.option("--seed", type=WholeNumber(0), default=0, show_default=True, help="Equal seeds give equal archives.")
@click.option(
    "--size",
    type=Word(["small", "full"]),
    default="small",
    show_default=True,
    help="About 256 x 256 x 24, or scanner size.",
)
@json_option
def synth(out: Path, cases: int, centers: int, seed: int, size: Literal["small", "full"], as_json: bool) -> None:
    """Make a synthetic archive with a manifest and outcomes in the new folder OUT.

    \b
    Example: cvtbatch synth archive --cases 20 --centers 2 --seed 1
    """
    from cvtbatch.pipelines.archive.synthesize import write_archive

    with progress_display("synth", quiet=as_json) as show:
        manifest = write_archive(out, cases, centers, seed, size, show)
    if as_json:
        document = {"command": "synth", "manifest": str(manifest), "cases": cases, "centers": centers, "seed": seed}
        click.echo(json.dumps(document, indent=2))
        return
    say(f"{counted(cases, 'case')} of {counted(centers, 'centre')}: {manifest}")


@click.command(short_help="Fetch a public data set, or list what there is.")
@click.argument("name", required=False)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Copy the files to this folder.")
@json_option
def download(name: str | None, out: Path | None, as_json: bool) -> None:
    """Fetch the public data set NAME, once, and print where its files lie; without NAME, list what there is.

    Every file is checked by its SHA-256. Where the variable CVTBATCH_DATA names a folder that has the files, nothing is fetched.

    \b
    Example: cvtbatch download head-ct-ge --out demo
    """
    from cvtbatch.downloads import DATA_SETS, fetch_data_set, read_file

    if name is None:
        _list_data_sets(as_json)
        return
    found = fetch_data_set(name)
    folder = next(iter(found.values())).parent
    if out is not None:
        folder = out / DATA_SETS[name].folder
        folder.mkdir(parents=True, exist_ok=True)
        for file, path in found.items():
            (folder / file).write_bytes(read_file(path))
    if as_json:
        click.echo(json.dumps({"command": "download", "name": name, "folder": str(folder)}, indent=2))
    else:
        say(str(folder))


def _list_data_sets(as_json: bool) -> None:
    from cvtbatch.downloads import DATA_SETS

    rows = [
        {
            "name": entry.name,
            "files": len(entry.files()),
            "licence": entry.licence,
            "source": f"{entry.repository} at {entry.commit[:10]}",
        }
        for entry in DATA_SETS.values()
    ]
    if as_json:
        click.echo(json.dumps({"command": "download", "data_sets": rows}, indent=2))
        return
    for row in rows:
        say("{name:<12} {files:>3} files  {licence:<13} {source}".format(**row))


@click.command(short_help="List what is wrong with a manifest and its files.")
@manifest_argument
@job_option
@set_option
@cluster_options(default_workers=None)
@click.option("--bundle", type=click.Path(path_type=Path), help="Say too what this bundle needs and MANIFEST lacks.")
@reader_option
@click.option("--all", "everything", is_flag=True, help="Print too what is read of the cases without a problem.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.csv", help="Write every problem to this file.")
@plain_http_option
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    manifest: Path,
    job: Path | None,
    overrides: Sequence[str],
    config: "ClusterConfig",
    bundle: Path | None,
    reader: str | None,
    everything: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """List every problem of MANIFEST and of the files that it names; extract nothing.

    A row that is wrong is a problem among the others, and the files of all other cases are read all the same. Exit code 3 where
    there is a problem, or something that a bundle needs is lacking. It says first whether the bundle's weights are untrained, and
    whether it carries the settings by which an archive is extracted. --reader is for --bundle.

    \b
    Examples:
      cvtbatch check archive/manifest.csv
      cvtbatch check archive/manifest.csv --out problems.csv
      cvtbatch check center-2/manifest.csv --bundle bundle --reader B
    """
    if reader is not None and bundle is None:
        raise click.UsageError("--reader: outlines of a reader are needed by a --bundle")
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.archive.check import preflight, report_of, require_csv, write_problems
    from cvtbatch.pipelines.archive.check_files import check_files
    from cvtbatch.pipelines.shared.job import read_job

    if out is not None:
        require_csv(out)
    spacing_mm = read_job("extract", job, overrides).volume.spacing_mm
    found = preflight(manifest, bundle, reader)
    for caution in found.bundle_warnings:
        say(f"warning: {caution.message}", err=as_json)
    _print_problems(found.row_problems(), out, err=as_json)
    if found.unlisted:
        say(f"... and {counted(found.unlisted, 'more problem')} of rows: mend these first", err=as_json)
    found.survey.manifest.require_folders()
    for warning in found.warnings:
        say(f"warning: {warning.message}", err=True)
    for lack in found.lacks:
        say(f"lacking: {lack.message}", err=as_json)
    with (
        progress_display("check", quiet=as_json) as show,
        open_cluster(config, on_notice=show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)

        def on_case(done: int, failed: int) -> None:
            show(done, len(found.survey.manifest), failed)
            raise_if_interrupted()

        on_case(0, 0)
        findings = check_files(found.survey.manifest, spacing_mm, cluster, on_case)
    report = report_of(found, findings)
    if out is not None:
        write_problems(out, report)
    _print_problems(findings.problems, out, err=as_json)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        _print_check(report, everything, out)
    ctx.exit(STANDING_FAILURES if report.problems or found.lacks else 0)


def _print_check(report: "CheckReport", everything: bool, out: Path | None) -> None:
    images = report.findings.images
    for image in images if everything else ():
        flags = f"; flags: {', '.join(image.flags)}" if image.flags else ""
        say(f"row {image.manifest_row}, {image.case_key}: {image.choice}{flags}")
    flagged = sum(bool(image.flags) for image in images)
    told = f"; images flagged in {flagged}{'' if everything else ' (--all)'}" if flagged else ""
    broken = report.cases - report.readable
    say(
        f"{counted(report.cases, 'case')}: {report.readable} can be read, {broken} cannot; "
        f"{report.awaiting_mask} without a mask{told}"
    )
    if out is not None:
        say(f"{counted(len(report.problems), 'problem')}: {out}")


def _print_problems(problems: "Sequence[Problem]", out: Path | None, *, err: bool) -> None:
    """Print problems, the first ones of each kind."""
    kinds = Counter[str]()
    for problem in problems:
        kinds[problem.kind] += 1
        if kinds[problem.kind] > SHOWN_FAILURES:
            continue
        private = f" [{problem.private}]" if problem.private else ""
        where = problem.roi_key or problem.case_key
        told = f"row {problem.manifest_row}, {where}: {problem.stage}: {problem.kind}: " if where else ""
        say(f"{told}{problem.message}{private}", err=err)
    for kind, count in kinds.items():
        if count > SHOWN_FAILURES:
            rest = f"{out} has them all" if out else "--out problems.csv has them all"
            say(f"... {count - SHOWN_FAILURES} more of {kind}: {rest}", err=err)
