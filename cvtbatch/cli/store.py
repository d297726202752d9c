"""Commands that read a store."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cvtbatch import contracts
from cvtbatch.cli.options import json_option, snapshot_option, spec_option, store_option
from cvtbatch.display import print_flow, print_status


@click.command()
@store_option
@click.option("--flow", is_flag=True, help="Show the inclusion flow too: screened, excluded and why, included.")
@json_option
def status(store_url: str, flow: bool, as_json: bool) -> None:
    """Show cases by state, rows, failures by kind, specifications and runs of a store.

    \b
    Examples:
      cvtbatch status --store store
      cvtbatch status --store store --flow
    """
    from cvtbatch.pipelines.status import read_status

    document: dict[str, Any] = read_status(store_url, flow=flow)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    print_status(document)
    if flow:
        print_flow(document["flow"])


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
    volumes, rois, radiomics, embeddings and wide are read from a snapshot that is recorded for it.

    \b
    Examples:
      cvtbatch export radiomics --store store --out radiomics.parquet
      cvtbatch export wide --store store --snapshot paper-1 --out wide.csv
      cvtbatch export failures --store store --out failures.csv
    """
    from cvtbatch.pipelines.export import export_table

    names = columns.split(",") if columns is not None else None
    exported = export_table(store_url, table, out, snapshot_name, names, spec_ids)
    click.echo(f"{exported.rows} rows: {out}" + (f" (snapshot {exported.snapshot})" if exported.snapshot else ""))


@click.command()
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
