"""Commands with which people look at outlines, and say what of them can be used."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import SHOWN_FAILURES, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    centers_option,
    cluster_options,
    json_option,
    snapshot_option,
    store_option,
)
from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig


class _WithPages(click.Group):
    """A group that writes pages unless a command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["pages", *args])


@click.group(cls=_WithPages, short_help="Judge outlines on pages; bring verdicts into the store.")
def review() -> None:
    """Look at outlines on pages that need no server, and bring the verdicts into the store.

    `cvtbatch review --store ...` writes the pages: `cvtbatch review pages --help` has its options.
    """


@review.command()
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@centers_option
@snapshot_option
@click.option(
    "--reader",
    "readers",
    multiple=True,
    metavar="NAME",
    help="Outlines of this reader alone, a method's newest if it names a method; repeatable.",
)
@click.option(
    "--all/--unreviewed", "everything", default=True, help="Everything (the default), or what has no verdict yet."
)
@cluster_options(default_workers=None)
@json_option
@click.pass_context
def pages(
    ctx: click.Context,
    store_url: str,
    out: Path,
    centers: Sequence[str],
    snapshot_name: str | None,
    readers: Sequence[str],
    everything: bool,
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Write pages to look at outlines with, and at cases without one, flagged and unsure ones first.

    Open OUT/index.html in a browser, which keeps the verdicts until they are exported as review.csv. The pages show images of
    patients: keep them where the images may lie. Exit code 3 where voxels of a case cannot be read.

    \b
    Examples:
      cvtbatch review --store store --out review
      cvtbatch review --store store --out review --center C2 --unreviewed
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.reviews.pages import Choice, write_review

    choice = Choice(snapshot_name, tuple(centers), tuple(readers), not everything)
    with (
        progress_display("review", quiet=as_json, unit="cases") as show,
        open_cluster(config, on_notice=show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)

        def on_progress(done: int, total: int) -> None:
            show(done, total, 0)
            raise_if_interrupted()

        report = write_review(store_url, out, choice, cluster, on_progress)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        say(
            f"{counted(report.cases, 'case')} on {counted(report.pages, 'page')} in {report.seconds:.1f} s: "
            f"{counted(report.outlines, 'outline')} and {counted(report.without_outline, 'case')} without one, "
            f"{report.reviewed} of them reviewed; outlines flagged or unsure in {counted(report.flagged, 'case')}, images "
            f"flagged in {report.flagged_images}"
        )
        for kind, cases in sorted(report.unreadable.items()):
            say(f"{counted(cases, 'case')} cannot be shown: {kind.replace('_', ' ')}", err=True)
        say(f"{report.page}")
    ctx.exit(STANDING_FAILURES if report.unreadable else 0)


@review.command()
@click.argument("file", metavar="REVIEW.CSV", type=click.Path(path_type=Path))
@store_option
@click.option("--reviewer", default="", metavar="NAME", help="Who looked; goes into the table.")
@json_option
@click.pass_context
def apply(ctx: click.Context, file: Path, store_url: str, reviewer: str, as_json: bool) -> None:
    """Bring the verdicts of REVIEW.CSV, as the pages export it, into the table reviews.

    What is there already is not written again. A row that is wrong refuses the file. A verdict on an outline that has changed
    since, or older than the store's, is left out and named: exit code 3.

    \b
    Example: cvtbatch review apply review.csv --store store --reviewer "reader 1"
    """
    from cvtbatch.pipelines.reviews.apply import apply_review

    report = apply_review(store_url, file, reviewer)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        say(f"{counted(report.rows, 'verdict')}: {report.applied} applied, {report.already_applied} applied before")
        if report.verdicts:
            rows = [(word.replace("_", " "), count) for word, count in report.verdicts.items()]
            print_table("Verdicts", ("verdict", "count"), rows)
        if report.accepted:
            told = ", ".join(f"{count} by {reader}" for reader, count in report.accepted.items())
            say(
                f"accepted outlines: {told}. An accepted one takes the place of no other: score, validate and add-center take "
                "those of the reader that the bundle was fitted on, or of --reader NAME, and leave out what is not accepted "
                "only with --set cohort.reviewed=true"
            )
        for one in report.left_out[:SHOWN_FAILURES]:
            say(f"left out: {one}", err=True)
        if len(report.left_out) > SHOWN_FAILURES:
            say(f"and {len(report.left_out) - SHOWN_FAILURES} more left out (--json lists all)", err=True)
    ctx.exit(STANDING_FAILURES if report.left_out else 0)
