"""Commands about the manifest by itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import json_option

if TYPE_CHECKING:
    from cvtbatch.pipelines.indexing.manifest_template import ManifestColumn

# What a terminal of 80 columns shows.
_WIDTH = 79


@click.group(short_help="Begin a manifest; say what its columns mean.")
def manifest() -> None:
    """Begin a manifest: the table of images and outlines that `check` and `extract` read."""


@manifest.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write it to this new file instead of stdout.")
@json_option
def template(out: Path | None, as_json: bool) -> None:
    """Print an empty manifest and, on stderr, what its columns mean.

    `cvtbatch index` makes one with rows from a folder of studies.

    \b
    Example:
      cvtbatch manifest template > manifest.csv
      cvtbatch manifest template --out manifest.csv
    """
    from cvtbatch.pipelines.indexing.manifest_template import manifest_columns, write_template

    columns = manifest_columns()
    if out is not None:
        write_template(out)
    if as_json:
        document = {"command": "manifest template", "columns": [column.to_document() for column in columns]}
        click.echo(json.dumps(document, indent=2))
        return
    if out is None:
        say(",".join(column.name for column in columns))
    told = click.HelpFormatter(width=_WIDTH)
    told.write_dl([(column.name, _in_words(column)) for column in columns])
    told.write_paragraph()
    told.write_text(
        "One row an image and outline. A column that is not required may be left out, and its cells may be empty; columns of your "
        "own begin with x_."
    )
    say(f"\n{told.getvalue()}", err=True)
    if out is not None:
        say(f"written: {out}", err=True)


def _in_words(column: "ManifestColumn") -> str:
    parts = [column.meaning]
    if column.required:
        parts.insert(0, "required")
    if column.holds:
        parts.append(column.holds)
    if column.default is not None:
        parts.append(f"empty: {column.default}")
    return "; ".join(parts)
