"""The command about what outlines of the same cases have in common: two readers', or one's and perturbed ones."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import SHOWN_FAILURES, progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    centers_option,
    cluster_options,
    json_option,
    snapshot_option,
    spec_option,
    store_option,
)
from cvtbatch.cli.tables import print_table
from cvtbatch.cli.values import WholeNumber
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.centers.agreement import AgreementReport
    from cvtbatch.pipelines.centers.comparison import Comparison
    from cvtbatch.pipelines.centers.perturbation_study import PerturbationStudy
    from cvtbatch.validation.readers import FeatureAgreement

# Features that are named on the terminal, the least agreed on first; the tables have all.
SHOWN_FEATURES = 10


@click.command(short_help="Compare two readers' outlines, or one's perturbed.")
@store_option
@click.option(
    "--readers",
    required=True,
    metavar="FIRST[,SECOND]",
    help="Two readers; one with --perturbations. A method, e.g. blast-ct, stands for its newest reader.",
)
@click.option(
    "--perturbations",
    type=WholeNumber(2),
    metavar="N",
    help="Perturb the first reader's outlines by rule, N times each, and say which features survive.",
)
@centers_option
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle that scores both outlines: its folder or tar.")
@snapshot_option
@spec_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the tables.")
@cluster_options(0)
@json_option
@click.pass_context
def agreement(
    ctx: click.Context,
    store_url: str,
    readers: str,
    perturbations: int | None,
    centers: Sequence[str],
    bundle: Path | None,
    snapshot_name: str | None,
    spec_ids: Sequence[str],
    out: Path,
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Compare two readers' outlines of the same cases, people's or a method's: features, overlap, volume, scores and decisions.

    Writes features.csv (ICC by feature, which fit.selection.icc_table may name), classes.csv, cases.csv and agreement.json; with
    --perturbations, perturbed_features.csv and perturbed_classes.csv, of the first reader's outlines grown, shifted and roughened.
    Without --snapshot, one is recorded for it. Exit code 3 where an outline cannot be perturbed.

    \b
    Examples:
      cvtbatch agreement --store store --readers A,blast-ct --bundle bundle --out agreement
      cvtbatch agreement --store store --readers A --perturbations 20 --workers 4 --out stability
    """
    if bundle is not None and spec_ids:
        raise click.UsageError("--spec: a bundle reads its own specifications")
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.centers.agreement import Question, study_agreement

    names = tuple(name.strip() for name in readers.split(","))
    question = Question(names, perturbations or 0, tuple(centers), bundle, snapshot_name, tuple(spec_ids))
    with (
        progress_display("perturb", quiet=as_json, unit="outlines") as show,
        open_cluster(config, on_notice=show.tell) as cluster,
    ):

        def on_progress(done: int, total: int, failed: int) -> None:
            show(done, total, failed)
            raise_if_interrupted()

        report = study_agreement(store_url, question, out, cluster, on_progress)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        _print(report, out)
    ctx.exit(STANDING_FAILURES if report.perturbations is not None and report.perturbations.failed else 0)


def _print(report: "AgreementReport", out: Path) -> None:
    if report.comparison is not None:
        _print_comparison(report.comparison)
        _print_features(report.comparison.study.features, report.in_use, "features.csv")
    if report.perturbations is not None:
        _print_perturbations(report.perturbations)
        _print_features(report.perturbations.features, report.in_use, "perturbed_features.csv")
    say(f"Tables: {out}")


def _print_comparison(found: "Comparison") -> None:
    from cvtbatch.validation.report.reader_tables import study_words

    study = found.study
    left_out = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in found.pairs.left_out.items() if count)
    say(
        f"{study.first} against {study.second}: {counted(study.cases, 'case')}"
        + (f"; left out: {left_out}" if left_out else "")
    )
    for what, told in study_words(study):
        say(f"{what}: {told}")
    if any(found.not_for_inference):
        counts = " and ".join(map(str, found.not_for_inference))
        say(f"Not for inference: {counts} outlines of the first and the second reader are marked so.")


def _print_perturbations(study: "PerturbationStudy") -> None:
    from statistics import median

    left_out = f"; left out: {study.several_outlines} with several outlines" if study.several_outlines else ""
    say(
        f"{study.reading}, perturbed {counted(study.perturbations, 'time')}: {counted(len(study.cases), 'case')}{left_out}"
    )
    say(f"Dice with the outline itself: median {_shown(median(study.dice))}")
    for failure in study.failed[:SHOWN_FAILURES]:
        private = f" [{failure.private.strip().splitlines()[-1]}]" if failure.private.strip() else ""
        say(f"{failure.roi_key}: {failure.kind}: {failure.message}{private}", err=True)
    if len(study.failed) > SHOWN_FAILURES:
        say(f"and {counted(len(study.failed) - SHOWN_FAILURES, 'more outline')} failed (--json lists all)", err=True)


def _print_features(features: "Sequence[FeatureAgreement]", in_use: Iterable[str], table: str) -> None:
    from cvtbatch.validation.readers import by_class, weakest_first

    rows = [
        (row.feature_class, row.features, row.not_computable, *map(_shown, (row.median_icc, row.strong)))
        for row in by_class(features)
    ]
    print_table("ICC by class", ("class", "features", "without ICC", "median ICC", "share above 0.80"), rows)
    weak, used = weakest_first(features), set(in_use)
    told = f"; {len(used & {row.feature for row in weak})} of the {len(used)} that the bundle uses" if used else ""
    named = ", ".join(row.feature for row in weak[:SHOWN_FEATURES])
    more = f", the weakest {named}" if weak else ""
    say(f"{len(weak)} of {len(features)} features have no ICC above 0.80{told}{more}: {table}")


def _shown(value: object) -> str:
    from cvtbatch.validation.report.digits import decimal

    return decimal(value, 2) if isinstance(value, float) else ""
