"""The command that compares models: what each variant adds, without leakage."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    cluster_options,
    json_option,
    set_option,
    snapshot_option,
    spec_option,
    store_option,
)
from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.models.compare_models import CompareReport
    from cvtbatch.validation.external_comparison import ExternalModel
    from cvtbatch.validation.values import Estimate, Interval


@click.command("compare-models", short_help="Compare variants of the DLRN, and what it must beat.")
@click.argument("job", type=click.Path(path_type=Path), required=False)
@store_option
@snapshot_option
@set_option
@spec_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the page and the tables.")
@cluster_options(default_workers=0)
@json_option
@click.pass_context
def compare_models(
    ctx: click.Context,
    job: Path | None,
    store_url: str,
    snapshot_name: str | None,
    overrides: Sequence[str],
    spec_ids: Sequence[str],
    out: Path,
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Compare variants of the DLRN, and simpler models that it must beat, in the same nested folds of one snapshot.

    JOB names the variants; without it: the signatures, epilepsy alone, volume alone, and both. Writes comparison.html,
    comparison.json, tables/ and figures/. Without --snapshot, one is recorded for it. Exit code 3 where a variant cannot be fitted.

    \b
    Examples:
      cvtbatch compare-models --store store --set 'cohort.training_centers=[C1]' --out comparison --workers 2
      cvtbatch compare-models variants.yaml --store store --snapshot paper-1 --out comparison
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.models.compare_models import compare_variants
    from cvtbatch.pipelines.shared.job import read_job

    settings = read_job("compare-models", job, overrides)
    with (
        progress_display("compare-models", quiet=as_json, unit="tasks") as show,
        open_cluster(config, on_notice=show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)

        def on_progress(done: int, total: int) -> None:
            show(done, total, 0)
            raise_if_interrupted()

        report = compare_variants(settings, store_url, snapshot_name, spec_ids, out, cluster, on_progress)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        _print(report)
    ctx.exit(STANDING_FAILURES if report.found.lacking or report.found.external_lacking else 0)


def _print(report: "CompareReport") -> None:
    from cvtbatch.validation.report.comparison_tables import verdict, whole_verdict

    found = report.found
    compared = found.comparison
    say(f"{compared.cases} cases, {found.counted}; {found.folds} folds, {counted(compared.repeats, 'repeat')}")
    rows = [
        (
            model.name,
            _shown(model.auc),
            _shown(model.auc_difference.estimate) if model.auc_difference else "",
            _span(model.auc_difference.simultaneous) if model.auc_difference else "",
            verdict(model) or "",
        )
        for model in compared.models
    ]
    measure = compared.measure
    less = f"less {compared.reference} (95 % CI)"
    header = ("variant", f"{measure} (95 % CI)", less, "all variants together", f"its {measure} is")
    print_table("Variants", header, rows)
    say(whole_verdict(compared))
    _print_external(report)
    for name, count in found.unscored.items():
        say(f"{name}: without a score of {counted(count, 'case')}; compared are those that every variant scores")
    for name, reason in found.lacking.items():
        say(f"{name} is not compared: {reason}")
    if found.not_for_inference:
        say(f"not for inference: the image network has the weights {found.not_for_inference}")
    for terms in found.licences:
        say(f"read with care: {terms}")
    for mark in found.marks:
        say(f"read with care: {mark}")
    say(f"Page: {report.page}")


def _print_external(report: "CompareReport") -> None:
    from cvtbatch.validation.report.comparison_tables import counted_cases

    for center in report.found.external:
        of_center = f"{counted(center.cases, 'case')}, {counted_cases(center.events, center.by_class, 'the event')}"
        say(f"{center.center}, on which no variant is fitted: {of_center}")
        compared = report.found.comparison
        last = "accuracy (95 % CI)" if center.by_class else "P (DeLong)"
        header = ("variant", f"{compared.measure} (95 % CI)", f"less {compared.reference} (95 % CI)", last)
        print_table("Variants", header, [_external_row(model) for model in center.models])
    for name, count in report.found.external_unscored.items():
        say(f"{name}: without a score of {counted(count, 'case')} of other centres")
    for name, reason in report.found.external_lacking.items():
        say(f"{name} is not compared at other centres: {reason}")


def _external_row(model: "ExternalModel") -> tuple[str, str, str, str]:
    """Return a variant's cells at a centre: AUC or M, or why there is none, the difference, and accuracy or P."""
    from cvtbatch.validation.values import NotComputable

    if isinstance(model.auc, NotComputable):
        return model.name, f"none: {model.auc.reason}", "", ""
    difference, less, last = model.auc_difference, "", ""
    if difference is not None and not isinstance(difference, NotComputable):
        less = _shown(difference.difference)
        last = "" if isinstance(difference.test, NotComputable) else f"{difference.test.p_value:.3g}"
    return model.name, _shown(model.auc), less, _shown(model.accuracy) if model.accuracy else last


def _shown(estimate: "Estimate") -> str:
    from cvtbatch.validation.values import Interval

    span = f" ({_span(estimate.interval)})" if isinstance(estimate.interval, Interval) else ""
    return f"{estimate.value:.3f}{span}"


def _span(interval: "Interval") -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"
