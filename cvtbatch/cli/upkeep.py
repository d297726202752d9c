"""Commands that keep a store in shape beside its readers and writers."""

import json
from typing import Any

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import json_option, store_option
from cvtbatch.cli.tables import print_table
from cvtbatch.cli.values import Number


@click.command(short_help="Rewrite small files of the tables into larger ones.")
@store_option
@json_option
def compact(store_url: str, as_json: bool) -> None:
    """Rewrite the small files of a store's tables into larger ones, which read faster; no value changes.

    Readers and runs go on meanwhile. What is replaced stays for those who read it, until gc.

    \b
    Example: cvtbatch compact --store store
    """
    from cvtbatch.pipelines.stores.upkeep import compact_store

    document: dict[str, Any] = compact_store(store_url)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    rows = [(entry["table"], entry["files_before"], entry["files_after"]) for entry in document["tables"]]
    print_table(f"Compacted in {document['seconds']:.1f} s", ("table", "files before", "files now"), rows)


@click.command(short_help="Remove files that nobody needs any more.")
@store_option
@click.option(
    "--older-than",
    "older_than_h",
    type=Number(0),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="Leave what was written later; longer than any run or reader needs what it has open.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@json_option
def gc(store_url: str, older_than_h: float, dry_run: bool, as_json: bool) -> None:
    """Remove what no row, no snapshot and no live run of a store needs.

    That is volumes and masks without a row, files that compaction replaced, and what interrupted writes left half done. Snapshots
    keep the versions that they name. Nothing is removed that was written since the start of a run that has not ended; one that was
    killed is taken for ended after a week.

    \b
    Examples:
      cvtbatch gc --store store --dry-run
      cvtbatch gc --store store --older-than 72
    """
    from cvtbatch.pipelines.stores.upkeep import collect_garbage

    document: dict[str, Any] = collect_garbage(store_url, older_than_h, dry_run)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    done = "Would be removed" if dry_run else "Removed"
    rows = [(entry["kind"].replace("_", " "), entry["objects"], entry["bytes"]) for entry in document["removed"]]
    print_table(f"{done}, written before {document['written_before'][:19]} UTC", ("what", "objects", "bytes"), rows)
    for key in document["keys"] if dry_run else ():
        say(key)
    for run_id in document["unended_runs"]:
        say(f"run {run_id} has not ended: what was written since its start is left alone", err=True)
