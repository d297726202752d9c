"""The command about one case by itself."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import job_option, json_option, plain_http_option, set_option
from cvtbatch.cli.values import WholeNumber, Word


@click.command(short_help="Print the card of one case, without a store.")
@click.argument("image", type=click.Path())
@click.argument("mask", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle: its folder or tar.")
@click.option(
    "--epilepsy", type=Word(["0", "1"]), help="Seizure at admission; without it there is no DLRN, if it is a term."
)
@click.option(
    "--clinical",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="Another clinical term of the bundle's nomogram, as a manifest has it, e.g. age=54; repeatable.",
)
@click.option(
    "--center", metavar="NAME", help="Whose case it is, for a bundle that makes centres alike (fit.harmonise)."
)
@click.option("--series-uid", metavar="UID", help="SeriesInstanceUID, where IMAGE holds several series.")
@click.option("--mask-label", type=WholeNumber(1, 4294967295), help="Value of the outline, where MASK holds several.")
@click.option("--segment", metavar="NAME", help="Name of the outline, where MASK holds several.")
@click.option("--allow-gaps", is_flag=True, help="Interpolate across missing slices.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the card as a page."
)
@job_option
@set_option
@plain_http_option
@json_option
def predict(
    image: str,
    mask: Path,
    bundle: Path,
    epilepsy: str | None,
    clinical: Sequence[str],
    center: str | None,
    series_uid: str | None,
    mask_label: int | None,
    segment: str | None,
    allow_gaps: bool,
    html: Path | None,
    job: Path | None,
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """Print the card of one case, IMAGE with its outline MASK, as a manifest names them; needs no store and writes to none.

    IMAGE may be a series of an archive, dicomweb+https://HOST/PATH/studies/UID/series/UID: it is fetched, read and removed.

    Scores are those that extract and score give. No number is given outside the training range: the card says what lies outside.
    For research use; not for the care of patients.

    \b
    Example:
      cvtbatch predict series/ outline.nrrd --bundle bundle --epilepsy 1 --html card.html
    """
    import cvtbatch
    from cvtbatch.dlrn.bundle import load_bundle
    from cvtbatch.engine import compilation_told
    from cvtbatch.pipelines.cases.case_inputs import read_inputs, resolve_recipe
    from cvtbatch.pipelines.cases.case_source import CaseSource
    from cvtbatch.pipelines.cases.predict import predict_case
    from cvtbatch.pipelines.shared.bundle_networks import names_weights
    from cvtbatch.pipelines.shared.job import read_job
    from cvtbatch.validation.report.card import card_lines, write_card

    if mask_label is not None and segment is not None:
        raise click.UsageError("give --mask-label or --segment, not both")
    values = dict(_column_and_value(text) for text in clinical)
    if epilepsy is not None:
        values["epilepsy"] = epilepsy
    given = names_weights(overrides)
    source = CaseSource(image, mask, series_uid, allow_gaps, mask_label, segment)
    source.require_files()
    loaded = load_bundle(bundle)
    recipe = resolve_recipe(loaded, read_job("extract", job, overrides), given)
    with compilation_told(lambda line: say(line, err=True)):
        found = predict_case(loaded, read_inputs(source, recipe), values, center)
    if html is not None:
        write_card(html, found.card, f"cvtbatch {cvtbatch.__version__}")
    if as_json:
        click.echo(json.dumps(found.to_document(), indent=2, allow_nan=False))
        return
    for line in card_lines(found.card):
        say(line)


def _column_and_value(text: str) -> tuple[str, str]:
    column, separator, value = text.partition("=")
    if not (separator and column and value):
        raise click.UsageError(f"--clinical {text!r} is not of the form COLUMN=VALUE, e.g. age=54")
    return column, value
