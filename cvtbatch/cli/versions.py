"""Commands about versions: snapshots, specifications, and what is taken out of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import STANDING_FAILURES, centers_option, json_option, snapshot_option, store_option
from cvtbatch.cli.status_display import print_duplicates
from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted


@click.group(short_help="Freeze the rows of a store under a name.")
def snapshot() -> None:
    """Freeze the rows of a store under a name, and prove later that they are the same."""


@snapshot.command()
@click.argument("name")
@store_option
@centers_option
@click.option("--spec", "spec_ids", multiple=True, metavar="ID", help="Only this specification; repeatable.")
@click.option("--roi", "rois", multiple=True, help="Only ROIs of this name; repeatable.")
@json_option
def create(
    name: str, store_url: str, centers: Sequence[str], spec_ids: Sequence[str], rois: Sequence[str], as_json: bool
) -> None:
    """Freeze the current rows as NAME. A name that is taken by other content is an error.

    \b
    Examples:
      cvtbatch snapshot create paper-1 --store store
      cvtbatch snapshot create training --store store --center center-1
    """
    from cvtbatch.pipelines.stores import snapshots
    from cvtbatch.store import Selection

    document: dict[str, Any] = snapshots.create(
        store_url, name, Selection(tuple(centers), tuple(spec_ids), tuple(rois))
    )
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    if not document["created"]:
        say(f"{name} is there already, with this content")
    _print_snapshot(document["snapshot"])
    print_duplicates(document["duplicates"])


@snapshot.command("list")
@store_option
@json_option
def list_snapshots(store_url: str, as_json: bool) -> None:
    """List the snapshots of a store, oldest first.

    \b
    Example: cvtbatch snapshot list --store store
    """
    from cvtbatch.pipelines.stores import snapshots

    document: dict[str, Any] = snapshots.list_all(store_url)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    rows = [
        (
            entry["name"],
            entry["recorded_at"][:19],
            _rows(entry, "cases"),
            _rows(entry, "radiomics"),
            _rows(entry, "embeddings"),
            entry["content_digest"][:12],
            f"{entry['erased_cases']} erased" if entry["erased_cases"] else "",
        )
        for entry in document["snapshots"]
    ]
    print_table("Snapshots", ("name", "made (UTC)", "cases", "radiomics", "embeddings", "content", "changed"), rows)


@snapshot.command()
@click.argument("name")
@store_option
@json_option
def show(name: str, store_url: str, as_json: bool) -> None:
    """Show what NAME froze: versions, rows and digests by table, specifications.

    \b
    Example: cvtbatch snapshot show paper-1 --store store
    """
    from cvtbatch.pipelines.stores import snapshots

    document: dict[str, Any] = snapshots.show(store_url, name)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _print_snapshot(document["snapshot"])


@snapshot.command()
@click.argument("name")
@store_option
@click.option("--checksums", is_flag=True, help="Read every volume and mask too, not just look whether it is there.")
@json_option
@click.pass_context
def verify(ctx: click.Context, name: str, store_url: str, checksums: bool, as_json: bool) -> None:
    """Recompute what NAME froze, and say what differs; exit code 3 if anything does.

    \b
    Example: cvtbatch snapshot verify paper-1 --store store
    """
    from cvtbatch.pipelines.stores import snapshots

    document: dict[str, Any] = snapshots.verify(store_url, name, checksums)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    elif document["verified"]:
        erased = (
            f"; {counted(document['erased_cases'], 'case was', 'cases were')} erased from it"
            if document["erased_cases"]
            else ""
        )
        say(f"{name} is what was frozen: {document['content_digest']}{erased}")
    else:
        rows = [(row["table"], row["what"], row["recorded"], row["found"]) for row in document["discrepancies"]]
        print_table(f"{name} is not what was frozen", ("table", "what", "recorded", "found"), rows)
    ctx.exit(0 if document["verified"] else STANDING_FAILURES)


@click.group(short_help="Tell specifications apart: by settings and by values.")
def spec() -> None:
    """Tell specifications apart: by their settings, and by the values that they led to."""


@spec.command("list")
@store_option
@snapshot_option
@json_option
def list_specs(store_url: str, snapshot_name: str | None, as_json: bool) -> None:
    """List the specifications of a store.

    \b
    Example: cvtbatch spec list --store store
    """
    from cvtbatch.pipelines.stores import specs

    document: dict[str, Any] = specs.list_specs(store_url, snapshot_name)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    rows = [
        (entry["spec_id"], entry["kind"], entry["feature_set"], entry["parent_id"], entry["rows"])
        for entry in document["specs"]
    ]
    print_table("Specifications", ("id", "kind", "feature set", "builds on", "current rows"), rows)


@spec.command()
@click.argument("first")
@click.argument("second")
@store_option
@json_option
def diff(first: str, second: str, store_url: str, as_json: bool) -> None:
    """Show what tells FIRST and SECOND apart, setting by setting, those that they build on included.

    \b
    Example: cvtbatch spec diff rad-71a7e07d3cb0 rad-0f3c7b1a2d4e --store store
    """
    from cvtbatch.pipelines.stores import specs

    document: dict[str, Any] = specs.diff_specs(store_url, first, second)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _print_differences(document)


@spec.command()
@click.argument("first")
@click.argument("second")
@store_option
@snapshot_option
@json_option
def drift(first: str, second: str, store_url: str, snapshot_name: str | None, as_json: bool) -> None:
    """Compare the features that FIRST and SECOND gave the ROIs that they share.

    \b
    Example: cvtbatch spec drift rad-71a7e07d3cb0 rad-0f3c7b1a2d4e --store store
    """
    from cvtbatch.pipelines.stores import specs

    document: dict[str, Any] = specs.drift_of_specs(store_url, first, second, snapshot_name)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    _print_differences(document)
    only = (document["rois_only_first"], document["rois_only_second"], document["rois_with_other_input"])
    say("\n{} ROIs; {} only in the first, {} only in the second; {} of other input".format(document["rois"], *only))
    classes = [
        (row["feature_class"], row["features"], row["unchanged"], *map(_number, _spread(row)))
        for row in document["classes"]
    ]
    header = ("features", "unchanged", "median difference", "largest", "lowest rank correlation")
    print_table("By class, relative differences", ("class", *header), classes)
    worst = [
        (row["feature"], _number(row["median"]), _number(row["largest"]), _number(row["rank_correlation"]))
        for row in document["worst_features"]
    ]
    print_table("Worst features", ("feature", "median difference", "largest", "rank correlation"), worst)


@click.command(short_help="Erase a case.")
@click.argument("case_key")
@store_option
@click.option(
    "--from-snapshots",
    is_flag=True,
    help="Also from every snapshot and all history, and prove it. Nobody else may use the store meanwhile.",
)
@json_option
def forget(case_key: str, store_url: str, from_snapshots: bool, as_json: bool) -> None:
    """Erase the rows and volumes of the case CASE_KEY.

    Snapshots that hold it keep it, by name, unless --from-snapshots is given; those are then marked as changed. Exported files
    and the archive itself are not touched; an extraction that finds the case there brings it back.

    \b
    Example: cvtbatch forget center-1/case-0001 --store store --from-snapshots
    """
    from cvtbatch.pipelines.stores import snapshots

    document: dict[str, Any] = snapshots.forget(store_url, case_key, from_snapshots)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    print_table("Rows erased", ("table", "rows"), [(name, count) for name, count in document["rows"].items() if count])
    say(f"{document['volumes']} volumes and masks erased")
    if document["changed_snapshots"]:
        say(f"changed snapshots: {', '.join(document['changed_snapshots'])}")
    if document["kept_by"]:
        say(f"snapshots that still hold the case: {', '.join(document['kept_by'])} (--from-snapshots)")
    if from_snapshots:
        say(f"{counted(document['searched'], 'file')} searched: none tells of the case")


def _print_snapshot(entry: Mapping[str, Any]) -> None:
    say(f"snapshot {entry['name']}, made {entry['recorded_at'][:19]} UTC by {entry['made_by']}")
    say(f"content {entry['content_digest']}")
    for what, key in (("centres", "centers"), ("specifications", "restricted_to_specs"), ("ROIs", "rois")):
        if entry[key]:
            say(f"only {what} {', '.join(entry[key])}")
    if entry["erased_cases"]:
        say(f"changed: {counted(entry['erased_cases'], 'case was', 'cases were')} erased from it")
    tables = [(name, row["version"], row["rows"], row["digest"][:12]) for name, row in entry["tables"].items()]
    print_table("Tables", ("table", "version", "current rows", "digest"), [row for row in tables if row[3]])
    say(f"\nspecifications: {', '.join(entry['specs'])}")


def _print_differences(document: Mapping[str, Any]) -> None:
    rows = [
        (row["setting"], *(row[name] or "absent" for name in ("first", "second"))) for row in document["differences"]
    ]
    print_table("Settings", ("setting", document["first"], document["second"]), rows)


def _rows(entry: Mapping[str, Any], table: str) -> int:
    return int(entry["tables"].get(table, {"rows": 0})["rows"])


def _spread(row: Mapping[str, Any]) -> tuple[float | None, ...]:
    return row["median"], row["largest"], row["lowest_rank_correlation"]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
