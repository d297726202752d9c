"""Commands that read a store."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from cvtbatch import contracts
from cvtbatch.cli.display import print_exported_case, print_flow, print_status, say, watch_display
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import json_option, snapshot_option, spec_option, store_option


@click.command()
@store_option
@click.option("--flow", is_flag=True, help="Show the inclusion flow too: screened, excluded and why, included.")
@click.option(
    "--watch",
    type=click.FloatRange(min=0.1),
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


@click.command()
@click.argument("table", type=click.Choice([*contracts.table_names(), "wide"]))
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .parquet or .csv.")
@snapshot_option
@click.option("--columns", metavar="NAMES", help="Only these columns, separated by commas.")
@spec_option
def export(
    table: str, store_url: str, out: Path, snapshot_name: str | None, columns: str | None, spec_ids: Sequence[str]
) -> None:
    """Write the current rows of TABLE to a file.

    "wide" is clinical values, radiomics and the largest slice's embedding, one row a primary ROI. Without --snapshot, cases,
    volumes, rois, outlines, reviews, radiomics, embeddings and wide are read from a snapshot that is recorded for it. In CSV, an
    apostrophe stands before texts that a spreadsheet takes for formulas; ids stay as they are.

    \b
    Examples:
      cvtbatch export radiomics --store store --out radiomics.parquet
      cvtbatch export wide --store store --snapshot paper-1 --out wide.csv
      cvtbatch export failures --store store --out failures.csv
    """
    from cvtbatch.pipelines.stores.export import export_table

    names = columns.split(",") if columns is not None else None
    exported = export_table(store_url, table, out, snapshot_name, names, spec_ids)
    if exported.formulas:
        say(
            f"warning: {exported.formulas} ids begin as formulas do, and are written as they are: import this file into a "
            "spreadsheet as text, or export .parquet",
            err=True,
        )
    say(f"{exported.rows} rows: {out}" + (f" (snapshot {exported.snapshot})" if exported.snapshot else ""))


@click.command()
@click.argument("key")
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG to write.")
def picture(key: str, store_url: str, out: Path) -> None:
    """Draw the largest slice of the ROI named by KEY (roi_key, or case_key of a case with one ROI), with its outline.

    \b
    Example: cvtbatch picture center-1/case-0001 --store store --out case.png
    """
    from cvtbatch.pipelines.stores.export import draw_roi

    say(f"slice {draw_roi(store_url, key, out)}: {out}")


@click.command("export-case")
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
