"""Commands that read a store."""

import json
from pathlib import Path

import click

from cvtbatch import contracts
from cvtbatch.cli.options import json_option, store_option
from cvtbatch.display import print_status


@click.command()
@store_option
@json_option
def status(store_url: str, as_json: bool) -> None:
    """Show cases by state, rows, failures by kind, specifications and runs of a store.

    \b
    Example: cvtbatch status --store store
    """
    from cvtbatch.pipelines.status import read_status

    document = read_status(store_url)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        print_status(document)


@click.command()
@click.argument("table", type=click.Choice(contracts.table_names()))
@store_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .parquet or .csv.")
def export(table: str, store_url: str, out: Path) -> None:
    """Write the current rows of TABLE to a file.

    \b
    Examples:
      cvtbatch export radiomics --store store --out radiomics.parquet
      cvtbatch export failures --store store --out failures.csv
    """
    from cvtbatch.pipelines.export import export_table

    click.echo(f"{export_table(store_url, table, out)} rows: {out}")


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
