"""The command about what two readers' outlines of the same cases have in common."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import print_table, say
from cvtbatch.cli.options import cluster_options, json_option, snapshot_option, spec_option, store_option

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.centers.agreement import AgreementReport


@click.command()
@store_option
@click.option(
    "--readers",
    required=True,
    metavar="FIRST,SECOND",
    help="Two readers; a method, e.g. blast-ct, may stand for its reader where there is one.",
)
@click.option("--center", "centers", multiple=True, metavar="NAME", help="Cases of this centre; repeatable.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle that scores both outlines: its folder or tar.")
@snapshot_option
@spec_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the tables.")
@cluster_options(0)
@json_option
def agreement(
    store_url: str,
    readers: str,
    centers: Sequence[str],
    bundle: Path | None,
    snapshot_name: str | None,
    spec_ids: Sequence[str],
    out: Path,
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Compare two readers' outlines of the same cases, people's or a method's: features, overlap, volume, scores and decisions.

    Writes features.csv (ICC by feature, which fit.selection.icc_table may name), classes.csv, cases.csv and agreement.json. Without
    --snapshot, one is recorded for it.

    \b
    Example:
      cvtbatch agreement --store store --readers A,blast-ct --bundle bundle --out agreement
    """
    if bundle is not None and spec_ids:
        raise click.UsageError("--spec: a bundle reads its own specifications")
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.centers.agreement import compare_readers

    with open_cluster(config) as cluster:
        names = [name.strip() for name in readers.split(",")]
        report = compare_readers(store_url, names, centers, bundle, snapshot_name, spec_ids, out, cluster)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
        return
    _print(report, out)


def _print(report: "AgreementReport", out: Path) -> None:
    from cvtbatch.validation.report.reader_tables import study_words

    study = report.study
    left_out = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.pairs.left_out.items() if count)
    say(f"{study.first} against {study.second}: {study.cases} cases" + (f"; left out: {left_out}" if left_out else ""))
    rows = [
        (row.feature_class, row.features, row.not_computable, *map(_shown, (row.median_icc, row.strong)))
        for row in study.classes
    ]
    print_table("ICC by class", ("class", "features", "without ICC", "median ICC", "share above 0.80"), rows)
    for what, found in study_words(study):
        say(f"{what}: {found}")
    used = len(set(report.weak) & set(report.in_use))
    told = f"; {used} of the {len(report.in_use)} that the bundle uses" if report.in_use else ""
    say(f"{len(report.weak)} of {len(study.features)} features have no ICC above 0.80{told}: features.csv")
    if any(report.not_for_inference):
        counts = " and ".join(map(str, report.not_for_inference))
        say(f"Not for inference: {counts} outlines of the first and the second reader are marked so.")
    say(f"Tables: {out}")


def _shown(value: object) -> str:
    from cvtbatch.validation.report.tables import decimal

    return decimal(value, 2) if isinstance(value, float) else ""
