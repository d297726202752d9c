"""Commands about a bundle by itself."""

import json
from pathlib import Path

import click

from cvtbatch.cli.display import print_table, say
from cvtbatch.cli.options import json_option


@click.group()
def bundle() -> None:
    """Look at a bundle, without a store."""


@bundle.command()
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))
@json_option
def show(path: Path, as_json: bool) -> None:
    """Show what BUNDLE, a folder or a tar, is: cohort, columns that it needs, weights, thresholds, and what speaks against it.

    It is verified first, as wherever it is loaded.

    \b
    Example:
      cvtbatch bundle show bundle
    """
    from cvtbatch.dlrn.settings import Model
    from cvtbatch.dlrn.thresholds import THRESHOLDS
    from cvtbatch.pipelines.models.bundle_summary import summarise_bundle

    found = summarise_bundle(path)
    if as_json:
        click.echo(json.dumps(found.to_document(), indent=2))
        return
    cohort, weights = found.cohort, found.weights
    say(f"Bundle {found.digest}, format {found.format_version}")
    say(f"Intended use: {found.intended_use}")
    say(
        f"Trained on {cohort.cases} cases of {cohort.patients} patients, {cohort.positive} of them with CVT, "
        f"of {', '.join(cohort.training_centers)}"
    )
    for reason, cases in cohort.excluded.items():
        say(f"left out: {cases}, {reason}")
    if again := found.recalibrated:
        say(
            f"Recalibrated ({again.method}) on {again.cases} cases of {again.center}, {again.events} of them with CVT, "
            f"from bundle {again.parent_digest}"
        )
    say(f"Weights: {weights.name}, SHA-256 {weights.sha256 or 'not known'}")
    if weights.not_for_inference:
        say("Not for inference: the image network has random weights.")
    for name in ("volume", "radiomics", "embedding"):
        say(f"{name} specification: {found.specs.of_kind(name)}")
    rows = [(model.value, *(f"{found.thresholds[model][name]:.3f}" for name in THRESHOLDS)) for model in Model]
    print_table("Thresholds", ("model", *THRESHOLDS), rows)
    print_table(f"Columns that it needs: {len(found.columns)}", ("column",), [(name,) for name in found.columns])
    for mark in found.marks:
        say(f"read with care: {mark.mark} ({', '.join(mark.models)})")
    for remark in found.remarks:
        say(f"read with care: {remark.message}")
