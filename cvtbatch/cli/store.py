"""Commands that read a store."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from cvtbatch.cli.display import print_exported_case, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    centers_option,
    json_option,
    plain_http_option,
    snapshot_option,
    spec_option,
    store_option,
)
from cvtbatch.cli.status_display import print_flow, print_status, watch_display
from cvtbatch.cli.values import Number, TableName
from cvtbatch.counts import counted


@click.command(short_help="Show cases, rows, failures and runs of a store.")
@store_option
@click.option("--flow", is_flag=True, help="Show the inclusion flow too: screened, excluded and why, included.")
@click.option(
    "--watch",
    type=Number(0.1),
    is_flag=False,
    flag_value=5.0,
    metavar="[SECONDS]",
    help="Look again and again, every 5 seconds unless told otherwise, until Ctrl-C; with --json a document a line.",
)
@json_option
def status(store_url: str, flow: bool, watch: float | None, as_json: bool) -> None:
    """Show cases by state, rows, failures by kind, specifications and runs of a store.

    \b
    Examples:
      cvtbatch status --store store
      cvtbatch status --store store --flow
      cvtbatch status --store store --watch
    """
    if watch is not None:
        if flow:
            raise click.UsageError("give --flow or --watch, not both")
        _watch(store_url, watch, as_json)
        return
    from cvtbatch.pipelines.stores.status import read_status

    document: dict[str, Any] = read_status(store_url, flow=flow)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    print_status(document)
    if flow:
        print_flow(document["flow"])


def _watch(store_url: str, seconds: float, as_json: bool) -> None:
    from cvtbatch.pipelines.stores.watch import watch_status

    with suppress(KeyboardInterrupt), watch_display(as_json) as show:
        for document in watch_status(store_url, seconds):
            show(document)
            raise_if_interrupted()


@click.command(short_help="Write a table of a store as .csv or .parquet.")
@click.argument("table", metavar="TABLE", type=TableName())
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .parquet or .csv.")
@snapshot_option
@click.option("--columns", metavar="NAMES", help="Only these columns, separated by commas.")
@click.option("--without-embedding", is_flag=True, help="Leave the embeddings out.")
@click.option(
    "--deltas",
    metavar="FEATURES",
    help="With pairs: differences of these features too, radiomics or a feature set of your own.",
)
@spec_option
@centers_option
@json_option
def export(
    table: str,
    store_url: str,
    out: Path,
    snapshot_name: str | None,
    columns: str | None,
    without_embedding: bool,
    deltas: str | None,
    spec_ids: Sequence[str],
    centers: Sequence[str],
    as_json: bool,
) -> None:
    """Write the current rows of TABLE to a file.

    TABLE is cases, volumes, rois, outlines, reviews, radiomics, embeddings, scores, explanations, failures, runs, snapshots,
    specs, features_NAME of a feature set (--params of extract), wide or pairs. "wide" is clinical values, radiomics and the
    largest slice's embedding, one row a primary ROI; "pairs" is how hematomas grew, one row a later study of a patient and
    outline. Without --snapshot, all but history (explanations, failures, runs, scores, snapshots, specs) is read from a
    snapshot that is recorded for it. In CSV, an embedding has a column a number (emb_0000 and on), and an apostrophe stands
    before texts that a spreadsheet takes for formulas; ids stay as they are.

    \b
    Examples:
      cvtbatch export radiomics --store store --out radiomics.parquet
      cvtbatch export features_params --store store --out features.csv
      cvtbatch export wide --store store --snapshot paper-1 --out wide.csv
      cvtbatch export wide --store store --center C2 --without-embedding --out c2.csv
      cvtbatch export pairs --store store --deltas radiomics --out growth.csv
      cvtbatch export failures --store store --out failures.csv
    """
    if deltas is not None and table != "pairs":
        raise click.UsageError("--deltas is of pairs alone: cvtbatch export pairs --deltas ...")
    from cvtbatch.pipelines.stores.export import export_table

    names = columns.split(",") if columns is not None else None
    exported = export_table(
        store_url,
        table,
        out,
        snapshot_name,
        names,
        spec_ids,
        centers,
        without_embedding=without_embedding,
        deltas=deltas,
    )
    if exported.left_out:
        say(f"warning: studies left out: {exported.left_out}", err=True)
    if exported.formulas:
        say(
            f"warning: {exported.formulas} ids begin as formulas do, and are written as they are: import this file into a "
            "spreadsheet as text, or export .parquet",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(exported.to_document(), indent=2))
        return
    if count := exported.embedding_columns:
        last = f" to emb_{count - 1:04d}" if count > 1 else ""
        say(f"embeddings in {counted(count, 'column')}, emb_0000{last}; --without-embedding leaves them out")
    say(f"{counted(exported.rows, 'row')}: {out}" + (f" (snapshot {exported.snapshot})" if exported.snapshot else ""))


@click.command(short_help="Draw the largest slice of a hematoma with its outline.")
@click.argument("key")
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG to write.")
@json_option
def picture(key: str, store_url: str, out: Path, as_json: bool) -> None:
    """Draw the largest slice of the ROI named by KEY (roi_key, or case_key of a case with one ROI), with its outline.

    \b
    Example: cvtbatch picture center-1/case-0001 --store store --out case.png
    """
    from cvtbatch.pipelines.stores.export import draw_roi

    index = draw_roi(store_url, key, out)
    if as_json:
        click.echo(json.dumps({"command": "picture", "key": key, "slice": index, "out": str(out)}, indent=2))
    else:
        say(f"slice {index}: {out}")


@click.command("export-case", short_help="Write a case's image and outlines for 3D Slicer.")
@click.argument("key")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    required=True,
    help="The manifest from which the store was extracted.",
)
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder for the files.")
@click.option(
    "--corrector",
    default="corrected",
    show_default=True,
    metavar="NAME",
    help="Reader under whose name corrected outlines come back.",
)
@plain_http_option
@json_option
def export_case(key: str, manifest: Path, store_url: str, out: Path, corrector: str, as_json: bool) -> None:
    """Write the image and the outlines of the case named by KEY (case_key) as files that 3D Slicer opens.

    image.nrrd and outlines.seg.nrrd lie on the series' own slices, or where these are unevenly spaced on the stored grid. What was
    corrected and saved comes back by the printed rows of the manifest, as another reader's. How to: docs/how-to/correcting.md.

    \b
    Example: cvtbatch export-case center-1/case-0001 --manifest archive/manifest.csv --store store --out case
    """
    from cvtbatch.pipelines.stores.export_case import export_case as write_case

    document: dict[str, Any] = write_case(store_url, manifest, key, out, corrector)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        print_exported_case(document)
