"""Commands about archives: make a synthetic one, fetch public data, check one."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvtbatch.cli.display import SHOWN_FAILURES, progress_display, say
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    job_option,
    json_option,
    manifest_argument,
    reader_option,
    set_option,
)
from cvtbatch.cli.values import WholeNumber, Word

if TYPE_CHECKING:
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
def synth(out: Path, cases: int, centers: int, seed: int, size: Literal["small", "full"]) -> None:
    """Make a synthetic archive with a manifest and outcomes in the new folder OUT.

    \b
    Example: cvtbatch synth archive --cases 20 --centers 2 --seed 1
    """
    from cvtbatch.pipelines.archive.synthesize import write_archive

    with progress_display("synth", quiet=False) as show:
        manifest = write_archive(out, cases, centers, seed, size, show)
    say(f"{cases} cases of {centers} centre{'s' if centers > 1 else ''}: {manifest}")


@click.command(short_help="Fetch a public data set, or list what there is.")
@click.argument("name", required=False)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Copy the files to this folder.")
def download(name: str | None, out: Path | None) -> None:
    """Fetch the public data set NAME, once, and print where its files lie; without NAME, list what there is.

    Every file is checked by its SHA-256. Where the variable CVTBATCH_DATA names a folder that has the files, nothing is fetched.

    \b
    Example: cvtbatch download head-ct-ge --out demo
    """
    from cvtbatch.downloads import DATA_SETS, fetch_data_set, read_file

    if name is None:
        for data_set in DATA_SETS.values():
            source = f"{data_set.repository} at {data_set.commit[:10]}"
            say(f"{data_set.name:<12} {len(data_set.files()):>3} files  {data_set.licence:<13} {source}")
        return
    found = fetch_data_set(name)
    folder = next(iter(found.values())).parent
    if out is not None:
        folder = out / DATA_SETS[name].folder
        folder.mkdir(parents=True, exist_ok=True)
        for file, path in found.items():
            (folder / file).write_bytes(read_file(path))
    say(str(folder))


@click.command(short_help="List what is wrong with a manifest and its files.")
@manifest_argument
@job_option
@set_option
@click.option(
    "--workers", type=WholeNumber(0), default=0, show_default=True, help="Worker processes; 0 reads in this one."
)
@click.option("--bundle", type=click.Path(path_type=Path), help="Say too what this bundle needs and MANIFEST lacks.")
@reader_option
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    manifest: Path,
    job: Path | None,
    overrides: Sequence[str],
    workers: int,
    bundle: Path | None,
    reader: str | None,
    as_json: bool,
) -> None:
    """List every problem of MANIFEST and of the files that it names; extract nothing. --reader is for --bundle.

    \b
    Example:
      cvtbatch check archive/manifest.csv
      cvtbatch check center-2/manifest.csv --bundle bundle --reader B
    """
    if reader is not None and bundle is None:
        raise click.UsageError("--reader: outlines of a reader are needed by a --bundle")
    from cvtbatch.dlrn.bundle import load_bundle
    from cvtbatch.engine import open_cluster
    from cvtbatch.manifest import read_manifest
    from cvtbatch.pipelines.archive.check_files import check_files
    from cvtbatch.pipelines.archive.check_ids import check_ids
    from cvtbatch.pipelines.archive.check_needs import check_needs
    from cvtbatch.pipelines.shared.job import read_job

    cases = read_manifest(manifest)
    cases.require_folders()
    spacing_mm = read_job("extract", job, overrides).volume.spacing_mm
    warnings = check_ids(cases)
    for warning in warnings:
        say(f"warning: {warning.message}", err=True)
    lacks = check_needs(cases, load_bundle(bundle), reader) if bundle else []
    for lack in lacks:
        say(f"lacking: {lack.message}", err=as_json)
    done = 0
    with open_cluster(workers) as cluster, progress_display("check", quiet=as_json) as show:

        def on_case() -> None:
            nonlocal done
            done += 1
            show(done, len(cases), 0)

        found = check_files(cases, spacing_mm, cluster, on_case)
    problems = found.problems
    broken = len({problem.case_key for problem in problems})
    awaiting = sum(not case.masked_rois() for case in cases)
    document = {
        "command": "check",
        "cases": len(cases),
        "readable": len(cases) - broken,
        "awaiting_mask": awaiting,
        "images": [image.to_document() for image in found.images],
        "problems": [problem.to_document() for problem in problems],
        "warnings": [warning.to_document() for warning in warnings],
        "lacks": [lack.to_document() for lack in lacks],
    }
    for image in () if as_json else found.images:
        flags = f"; flags: {', '.join(image.flags)}" if image.flags else ""
        say(f"row {image.manifest_row}, {image.case_key}: {image.choice}{flags}")
    _print_problems(problems, as_json)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        say(f"{len(cases)} cases: {len(cases) - broken} can be read, {broken} cannot; {awaiting} without a mask")
    ctx.exit(STANDING_FAILURES if problems or lacks else 0)


def _print_problems(problems: "Sequence[Problem]", as_json: bool) -> None:
    """Print problems, the first ones of each kind."""
    kinds = Counter[str]()
    for problem in problems:
        kinds[problem.kind] += 1
        if kinds[problem.kind] > SHOWN_FAILURES:
            continue
        private = f" [{problem.private}]" if problem.private else ""
        where = problem.roi_key or problem.case_key
        say(
            f"row {problem.manifest_row}, {where}: {problem.stage}: {problem.kind}: {problem.message}{private}",
            err=as_json,
        )
    for kind, count in kinds.items():
        if count > SHOWN_FAILURES:
            rest = "the document lists" if as_json else "--json lists"
            say(f"... {count - SHOWN_FAILURES} more of {kind}: {rest} them all", err=as_json)
