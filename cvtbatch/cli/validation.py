"""Commands about what a model is worth at a centre."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import json_option, snapshot_option, store_option

if TYPE_CHECKING:
    from cvtbatch.pipelines.validate import ValidationReport


@click.command()
@store_option
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle: its folder or tar.")
@click.option("--center", required=True, metavar="NAME", help="The centre: one that the bundle was not trained on.")
@snapshot_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the report.")
@json_option
def validate(store_url: str, bundle: Path, center: str, snapshot_name: str | None, out: Path, as_json: bool) -> None:
    """Validate a bundle on what it has scored of a centre, and write a report: report.html, report.json, figures, tables.

    Without --snapshot, one is recorded for it. The page needs no network; cases beyond its gallery are on pages beside it.

    \b
    Example:
      cvtbatch validate --store store --bundle bundle --center C2 --out report
    """
    from cvtbatch.pipelines.validate import validate_center

    report = validate_center(store_url, bundle, center, snapshot_name, out, on_page=lambda *_: raise_if_interrupted())
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
        return
    print_validation(report)


def print_validation(report: "ValidationReport") -> None:
    """Print what a validation found, in a few lines, and where its page is."""
    from cvtbatch.validation.report.tables import decimal
    from cvtbatch.validation.values import NotComputable

    found = report.validation
    click.echo(
        f"Centre {report.center}: {len(found.cases)} cases, {found.known} with a known outcome, {found.events} of them CVT"
    )
    for model in found.models:
        if isinstance(model.auc, NotComputable):
            click.echo(f"{model.name}: AUC not computable: {model.auc.reason}")
        else:
            span = model.auc.interval
            shown = "" if isinstance(span, NotComputable) else f" ({decimal(span.low)} to {decimal(span.high)})"
            click.echo(f"{model.name}: AUC {decimal(model.auc.value)}{shown}, {model.n} cases")
    click.echo(found.power.verdict)
    click.echo(found.shift.reason if isinstance(found.shift, NotComputable) else found.shift.verdict)
    if found.provenance.not_for_inference:
        click.echo("Not for inference: the image network has random weights.")
    click.echo(f"Report: {report.page}")
