"""Commands about a bundle by itself."""

import json
from pathlib import Path

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import json_option
from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted


@click.group(short_help="Look at a bundle, without a store.")
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
    from cvtbatch import contracts
    from cvtbatch.dlrn.combat import FEWEST_CASES, NewCenters
    from cvtbatch.dlrn.settings import Model
    from cvtbatch.dlrn.thresholds import THRESHOLDS
    from cvtbatch.pipelines.models.bundle_summary import summarise_bundle

    found = summarise_bundle(path)
    if as_json:
        click.echo(json.dumps(found.to_document(), indent=2))
        return
    cohort, event = found.cohort, found.outcome.event
    say(f"Bundle {found.digest}, format {found.format_version}")
    for warning in found.warnings:
        say(f"Warning: {warning.message}.")
    say(f"Intended use: {found.intended_use}")
    classes = found.outcome.classes if found.outcome.is_several else ()
    told = f"told apart as {', '.join(classes)}" if classes else f"{cohort.positive} of them with {event}"
    say(
        f"Trained on {cohort.cases} cases of {cohort.patients} patients, {told}, of {', '.join(cohort.training_centers)}"
    )
    for reason, cases in cohort.excluded.items():
        say(f"left out: {cases}, {reason}")
    if again := found.recalibrated:
        say(
            f"Recalibrated ({again.method}) on {counted(again.cases, 'case')} of {again.center}, "
            f"{again.events} of them with {event}, from bundle {again.parent_digest}"
        )
    if outlines := found.outlines:
        whose = f"found by {outlines.method} under {outlines.outline_spec_id}" if outlines.method else "drawn by people"
        say(f"Outlines: of reader {outlines.reader}, reading {outlines.reading}, {whose}")
    if found.features != contracts.RADIOMICS:
        say(f"Features: of the feature set {found.features}, in place of the study's")
    for region, spec_id in found.regions.items():
        say(f"Region: {region} of the outlines, under {spec_id}")
    if alike := found.harmonisation:
        say(
            f"Centres: radiomics features of {', '.join(alike.centers)} on the scale of {alike.reference} ({alike.method}); "
            + (
                f"those of another one too, by {FEWEST_CASES} or more of its own cases"
                if alike.new_centers is NewCenters.OWN_CASES
                else "those of other centres as they are"
            )
        )
    for network in found.networks:
        say(f"Image network: {network}")
    for name in ("volume", "radiomics", "embedding"):
        say(f"{name} specification: {found.specs.of_kind(name)}")
    if classes:
        say("Thresholds: none; the class of the highest probability is the one that is told")
    else:
        rows = [(model.value, *(f"{found.thresholds[model][name]:.3f}" for name in THRESHOLDS)) for model in Model]
        print_table("Thresholds, of signatures on votes", ("model", *THRESHOLDS), rows)
    for model, votes in found.votes.items():
        if votes.intercept is None or votes.slope is None:
            say(f"votes of {model.value}: uncalibrated: {votes.reason}")
        else:
            say(
                f"votes of {model.value}: recalibrated on {votes.cases} out-of-fold ones, {votes.events} with {event}: "
                f"intercept {votes.intercept.value:.3f}, slope {votes.slope.value:.3f}"
            )
    if sets := found.prediction_sets:
        say(
            f"Prediction sets: by the models of {sets.folds} folds ({sets.method}), alpha {sets.alpha:g}: they hold at least "
            f"{100 * sets.bound:.1f} % of each class where cases are exchangeable with training's, which a new centre's are not"
        )
    left_out = [
        (center, model.value, f"{models[model].auc:.3f}" if model in models else "none: scores of one outcome")
        for center, models in found.leave_one_center_out.items()
        for model in Model
    ]
    if left_out:
        print_table("Each training centre, by models of the others", ("centre", "model", "AUC"), left_out)
    if not found.votes and not classes:
        say("votes are uncalibrated: a bundle of this format does not recalibrate them")
    if kept := found.kept:
        say(
            f"Kept of its cohort: quantiles of {len(kept.features)} features and of "
            f"{', '.join(kept.numbers) or 'no other numbers'}; counts of {', '.join(kept.levels) or 'no levels'}; "
            f"{'distances' if kept.embedding else 'nothing'} of embeddings"
        )
    print_table(f"Columns that it needs: {len(found.columns)}", ("column",), [(name,) for name in found.columns])
    for mark in found.marks:
        say(f"read with care: {mark.mark} ({', '.join(mark.models)})")
    for remark in found.remarks:
        say(f"read with care: {remark.message}")
