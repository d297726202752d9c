"""Commands about models: fitted on a snapshot, and applied to a store."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cvtbatch.cli.display import progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    centers_option,
    cluster_options,
    job_option,
    json_option,
    reader_option,
    set_option,
    snapshot_option,
    spec_option,
    store_option,
)
from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.dlrn.bundle import Bundle
    from cvtbatch.dlrn.settings import Model
    from cvtbatch.engine import ClusterConfig

T = TypeVar("T")


@click.command(short_help="Fit Rad, DL, DLR and DLRN; freeze them in a bundle.")
@store_option
@snapshot_option
@job_option
@set_option
@spec_option
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Bundle to write: a new folder, or FILE.tar."
)
@cluster_options(default_workers=0)
@json_option
def fit(
    store_url: str,
    snapshot_name: str | None,
    job: Path | None,
    overrides: Sequence[str],
    spec_ids: Sequence[str],
    out: Path,
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Fit Rad, DL, DLR and DLRN on a snapshot's training centres, and freeze them in a bundle.

    Without --snapshot, one is recorded for it.

    \b
    Example:
      cvtbatch fit --store store --snapshot paper-1 --set 'cohort.training_centers=[C1]' --out bundle --workers 2
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.models.fit import fit_bundle
    from cvtbatch.pipelines.shared.job import read_job

    settings = read_job("fit", job, overrides)
    with (
        progress_display("fit", quiet=as_json, unit="tasks") as show,
        open_cluster(config, on_notice=show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)

        def on_progress(done: int, total: int) -> None:
            show(done, total, 0)
            raise_if_interrupted()

        report = fit_bundle(settings, store_url, snapshot_name, spec_ids, out, cluster, on_progress)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        _print_fit(report.out, report.bundle)


@click.command(short_help="Score the outlines of a store with a bundle.")
@store_option
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle: its folder or tar.")
@snapshot_option
@centers_option
@reader_option
@click.option("--explain", is_flag=True, help="Fill the table explanations too: points and what contributes most.")
@job_option
@set_option
@cluster_options(default_workers=0)
@json_option
def score(
    store_url: str,
    bundle: Path,
    snapshot_name: str | None,
    centers: Sequence[str],
    reader: str | None,
    explain: bool,
    job: Path | None,
    overrides: Sequence[str],
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Score one reader's outlines of a store with a bundle; what it has scored before with the same inputs is left alone.

    Without --snapshot, one is recorded for it. The rows are in the table scores, each with whose outline it is of. Of a job,
    cohort.reviewed counts: then outlines alone are scored that a review accepts.

    \b
    Examples:
      cvtbatch score --store store --bundle bundle
      cvtbatch score --store store --bundle bundle --center C2 --explain
      cvtbatch score --store store --bundle bundle --reader blast-ct
      cvtbatch score --store store --bundle bundle --set cohort.reviewed=true
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.models.score import score_store
    from cvtbatch.pipelines.shared.job import read_job

    reviewed = read_job("score", job, overrides).cohort.reviewed
    with (
        progress_display("score", quiet=as_json, unit="outlines") as show,
        open_cluster(config, on_notice=show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)

        def on_progress(done: int, total: int) -> None:
            show(done, total, 0)
            raise_if_interrupted()

        report = score_store(
            store_url,
            bundle,
            snapshot_name,
            centers,
            cluster,
            reader=reader,
            explain=explain,
            reviewed=reviewed,
            on_progress=on_progress,
        )
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
        return
    counts = [("scored", report.scored), ("already scored", report.already_scored)]
    print_table(
        f"Run {report.run_id}: {counted(report.outlines, 'outline')} in {report.seconds:.1f} s",
        ("outlines", "count"),
        counts,
    )
    if report.left_out:
        print_table("Left out", ("reason", "outlines"), list(report.left_out.items()))
    if report.scored:
        print_table("Scores of this run", ("model", "outlines"), list(report.computed.items()))
    if report.flags:
        print_table("Flags of this run", ("flag", "outlines"), list(report.flags.items()))
    if report.reader != report.fitted_reader:
        say(f"fitted on {report.fitted_reader}, applied to {report.reader}")
    if report.others:
        told = "; ".join(f"{count} by {other}" for other, count in report.others.items())
        say(
            f"scored are the outlines by {report.reader}, reading {report.reading}; not scored, of others: {told} "
            "(--reader NAME scores those of NAME, and no others)"
        )
    for mark in report.marks:
        say(f"read with care: {mark}")


def _print_fit(out: str, bundle: "Bundle") -> None:
    from cvtbatch.dlrn.description import NEGATIVE_SIGNATURE, REGRESSION_IN_SAMPLE
    from cvtbatch.dlrn.settings import Model

    found = bundle.description
    cohort, metrics = found.cohort, found.metrics
    classes = bundle.class_fits()
    events = (
        ", ".join(f"{own.cases} {name}" for name, own in classes.items())
        or f"{cohort.positive} with {found.outcome.event}"
    )
    say(
        f"Bundle {out}, {bundle.digest[:12]}: {events} among {counted(cohort.cases, 'case')} of "
        f"{counted(cohort.patients, 'patient')}"
    )
    if cohort.excluded:
        print_table("Left out", ("reason", "cases"), list(cohort.excluded.items()))
    signatures = _in_order(found.signatures)
    steps = list(signatures[0][1].counts)
    print_table(
        "Columns left by each step",
        ("signature", *(step.replace("_", " ") for step in steps)),
        [(name, *(signature.counts[step] for step in steps)) for name, signature in signatures],
    )
    for name, signature in signatures:
        rows = [
            (column.feature, _shown(column.coefficient), _shown(column.importance), _shown(column.stability))
            for column in signature.selected
        ]
        print_table(f"Selected for {name}", ("feature", "LASSO coefficient", "importance", "outer folds"), rows)
    of_terms = [
        (f"DLRN, {name} against {found.outcome.classes[0]}", own.terms) for name, own in classes.items() if own.terms
    ]
    for title, terms in of_terms or [("DLRN", found.dlrn.terms)]:
        print_table(
            title,
            ("term", "coefficient", "odds ratio", "95 % low", "high", "P"),
            [
                (
                    term.name,
                    *map(
                        _shown,
                        (term.coefficient, term.odds_ratio, term.odds_ratio_low, term.odds_ratio_high, term.p_value),
                    ),
                )
                for term in terms
            ],
        )
    if found.clinical_candidates:
        print_table(
            "Clinical candidates",
            ("candidate", "test", "P", "entered", "outer folds", "why not"),
            [
                (
                    row.name,
                    row.test,
                    _shown(row.p_value),
                    "yes" if row.entered else "no",
                    _shown(row.stability),
                    row.reason,
                )
                for row in found.clinical_candidates
            ],
        )
    if any(term.name == "dlr" and (term.coefficient or 0) < 0 for term in found.dlrn.terms):
        say(f"read with care: {NEGATIVE_SIGNATURE}")
    for term in [term for own in classes.values() for term in own.terms] or found.dlrn.terms:
        if reason := term.lacks_interval():
            say(f"{term.name}: no interval of its odds ratio: {reason}")
    estimates = {
        "nested": metrics.nested.models if metrics.nested else None,
        **{f"without {center}": models for center, models in metrics.leave_one_center_out.items()},
        "out of fold": metrics.out_of_fold,
        "study protocol, in sample": metrics.study_protocol.in_sample if metrics.study_protocol else None,
    }
    aucs = [
        (label, name, *map(_shown, (estimate.auc, estimate.auc_low, estimate.auc_high)))
        for label, models in estimates.items()
        if models
        for name, estimate in _in_order(models)
    ]
    measure = "Hand and Till's M" if classes else "AUC"
    print_table(
        f"{measure} with 95 % bootstrap interval", ("estimate", "model", "M" if classes else "AUC", "low", "high"), aucs
    )
    if metrics.out_of_fold:
        say(f"out of fold, {Model.DLRN}: {REGRESSION_IN_SAMPLE}")
        if found.clinical_candidates:
            say(
                f"out of fold, {Model.DLRN}: its clinical terms were chosen on these cases too; nested, in every fold anew"
            )
    for name, votes in found.votes.items():
        if votes.reason:
            say(f"{name}: votes are uncalibrated: {votes.reason}")
    for entry in found.marks:
        say(f"{', '.join(entry.models)}: {entry.mark}")
    for remark in found.remarks:
        say(f"remark: {remark.message} ({counted(remark.cases, 'case')})")


def _in_order(models: "Mapping[Model, T]") -> list[tuple[str, T]]:
    """Return what there is by model, in the order in which the models build on each other."""
    from cvtbatch.dlrn.settings import Model

    return [(str(model), models[model]) for model in Model if model in models]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
