"""Commands about what a model is worth at a centre."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvtbatch.cli.display import progress_display, say
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import (
    STANDING_FAILURES,
    cluster_options,
    job_option,
    json_option,
    manifest_argument,
    plain_http_option,
    reader_option,
    set_option,
    snapshot_option,
    store_option,
    typed_command,
)
from cvtbatch.cli.values import Word
from cvtbatch.counts import counted

if TYPE_CHECKING:
    from cvtbatch.engine import ClusterConfig
    from cvtbatch.pipelines.centers.validate import ClassReport, ValidationReport
    from cvtbatch.validation.recalibration import Method


# What each stage counts.
_UNITS = {
    "check": "cases",
    "extract": "cases",
    "outline": "volumes",
    "region": "cases",
    "embed": "outlines",
    "score": "outlines",
    "validate": "pages",
}


@click.command(short_help="Report what a bundle is worth at a centre.")
@store_option
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle: its folder or tar.")
@click.option(
    "--center",
    "centers",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A centre that the bundle was not trained on; of several, each has a report of its own below --out.",
)
@reader_option
@snapshot_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the report.")
@click.option(
    "--study", type=click.Path(path_type=Path), help="What only its authors know, for the checklists: a YAML file."
)
@job_option
@set_option
@cluster_options(0)
@json_option
@click.pass_context
def validate(
    ctx: click.Context,
    store_url: str,
    bundle: Path,
    centers: Sequence[str],
    reader: str | None,
    snapshot_name: str | None,
    out: Path,
    study: Path | None,
    job: Path | None,
    overrides: Sequence[str],
    config: "ClusterConfig",
    as_json: bool,
) -> None:
    """Validate a bundle on what it has scored of a centre, and write a report: report.html, report.json, figures, tables.

    Without --snapshot, one is recorded for it. With --center once, the report lies in OUT; with several, in OUT/NAME of each: what
    a model is worth is asked of every centre by itself. The page needs no network; cases beyond its gallery are on pages beside
    it. Exit code 3 where a model has no AUC.
    docs/study.yaml is an example of --study. Of a job, cohort.reviewed counts: then cases alone are judged whose outline a review
    accepts.

    \b
    Examples:
      cvtbatch validate --store store --bundle bundle --center C2 --out report
      cvtbatch validate --store store --bundle bundle --center C2 --center C3 --out reports
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.pipelines.centers.study_file import read_study
    from cvtbatch.pipelines.centers.validate import validate_centers
    from cvtbatch.pipelines.shared.job import read_job

    reviewed = read_job("validate", job, overrides).cohort.reviewed
    told = read_study(study) if study else None
    with open_cluster(config) as cluster:
        reports = validate_centers(
            store_url,
            bundle,
            centers,
            snapshot_name,
            out,
            lambda *_: raise_if_interrupted(),
            cluster,
            told,
            reader=reader,
            reviewed=reviewed,
        )
    if as_json:
        documents = [report.to_document() for report in reports]
        whole = documents[0] if len(documents) == 1 else {"command": "validate", "centers": documents}
        click.echo(json.dumps(whole, indent=2))
    else:
        for report in reports:
            print_validation(report)
    ctx.exit(STANDING_FAILURES if any(report.not_computed() for report in reports) else 0)


@click.command(short_help="Write a bundle that is recalibrated on a centre.")
@store_option
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle: its folder or tar.")
@click.option(
    "--center",
    "centers",
    multiple=True,
    required=True,
    metavar="NAME",
    help="The one centre to recalibrate on, which is scored.",
)
@snapshot_option
@click.option(
    "--method",
    type=Word(["intercept", "intercept-slope"]),
    required=True,
    help="What is fitted: the intercept alone, or a slope too.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Bundle to write: a new folder, or FILE.tar."
)
@json_option
def recalibrate(
    store_url: str,
    bundle: Path,
    centers: Sequence[str],
    snapshot_name: str | None,
    method: "Method",
    out: Path,
    as_json: bool,
) -> None:
    """Write a bundle whose DLRN is recalibrated on a centre that the given one has scored; the given one stays as it is.

    Its thresholds are recalibrated too, so that every case keeps its class. The new bundle is to be judged on other cases: validate
    refuses the centre that it was recalibrated on. Without --snapshot, one is recorded for it.

    \b
    Example:
      cvtbatch recalibrate --store store --bundle bundle --center C2 --method intercept --out bundle-c2
    """
    from cvtbatch.pipelines.centers.recalibrate import recalibrate_center

    if len(centers) > 1:
        raise click.UsageError(
            f"--center: {len(centers)} are named; a bundle is recalibrated on one centre, for that centre"
        )
    [center] = centers
    report = recalibrate_center(store_url, bundle, center, snapshot_name, method, out)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
        return
    found = report.origin
    say(f"Bundle {report.out}, {report.digest[:12]}: {found.parent_digest[:12]} recalibrated on centre {center}")
    say(
        f"{counted(found.cases, 'case')} of {counted(found.patients, 'patient')}, {found.events} of them with "
        f"{report.outcome.event}"
    )
    for name, term in (("intercept", found.intercept), ("slope", found.slope)):
        if term is not None:
            say(f"{name}: {term.value:.3f} (95 % CI {term.low:.3f} to {term.high:.3f})")
    say(f"Read with care: {report.caution}")


@click.command("add-center", short_help="Check, extract, score and validate a new centre.")
@manifest_argument
@store_option
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle: its folder or tar.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the report.")
@reader_option
@job_option
@set_option
@cluster_options(default_workers=None)
@click.option("--retry-failed", is_flag=True, help="Try failed cases again although their sources have not changed.")
@plain_http_option
@json_option
@click.pass_context
def add_center(
    ctx: click.Context,
    manifest: Path,
    store_url: str,
    bundle: Path,
    out: Path,
    reader: str | None,
    job: Path | None,
    overrides: Sequence[str],
    config: "ClusterConfig",
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Check, extract, snapshot, score and validate the archive of a new centre, under the bundle's own specifications.

    What the report will lack, for what the manifest lacks, is said before the work; exit code 3 says that it has no AUC, for
    want of outcomes, of one of the two, or of epilepsy. What an earlier run has done is left alone. Weights come from the store,
    where the cohort was extracted into it, or by their name; else --set embedding.weights=FILE. Others than these are refused
    before any work.

    \b
    Examples:
      cvtbatch add-center center-2/manifest.csv --store store --bundle bundle --out report
      cvtbatch add-center center-2/manifest.csv --store store --bundle bundle --reader blast-ct --out report
    """
    from cvtbatch.engine import open_cluster
    from cvtbatch.manifest import read_manifest
    from cvtbatch.pipelines.centers import add_center as pipeline
    from cvtbatch.pipelines.extraction.settings import Options, own_gpus
    from cvtbatch.pipelines.shared.bundle_networks import names_weights
    from cvtbatch.pipelines.shared.job import read_job

    cases = read_manifest(manifest)
    settings = read_job("extract", job, overrides)
    given = names_weights(overrides)
    with (
        pipeline.planned(cases, bundle, settings, store_url, given, reader) as plan,
        progress_display("add-center", quiet=as_json) as show,
        open_cluster(config, own_gpus(plan.settings), show.tell) as cluster,
    ):
        show.tell_dashboard(cluster.dashboard)
        for lack in plan.lacks:
            show.tell(f"lacking: {lack.message}")
        for warning in plan.warnings:
            show.tell(f"warning: {warning.message}")

        def on_progress(stage: str, done: int, total: int, failed: int) -> None:
            show.enter(stage, _UNITS[stage])
            show(done, total, failed)
            raise_if_interrupted()

        options = Options(retry_failed, command=typed_command())
        report = pipeline.add_center(plan, store_url, out, cluster, options, on_progress, show.tell, show.tell)
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
    else:
        done = report.extraction
        kinds = Counter(problem.kind for problem in report.problems)
        told = f" ({', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))})" if kinds else ""
        say(f"check: {counted(report.checked, 'case')} read, {counted(len(report.problems), 'problem')}{told}")
        say(f"extract: {done.told}; {done.failed} failed")
        if done.report:
            say(f"report of the extraction: {done.report}")
        say(f"score: {report.scores.scored} scored, {report.scores.already_scored} already scored")
        say(f"snapshot: {report.snapshot}")
        print_validation(report.validation)
    ctx.exit(STANDING_FAILURES if report.extraction.failed or report.validation.not_computed() else 0)


def print_validation(report: "ValidationReport | ClassReport") -> None:
    """Print what a validation found, in a few lines, and where its page is."""
    from cvtbatch.pipelines.centers.validate import ClassReport
    from cvtbatch.validation.report.cohort_words import others_in_words, unrecorded_criteria
    from cvtbatch.validation.report.column_words import in_words
    from cvtbatch.validation.report.digits import span_text, value_text
    from cvtbatch.validation.values import NotComputable

    if isinstance(report, ClassReport):
        _print_classes(report)
        return
    found = report.validation
    say(
        f"Centre {report.center}: {counted(len(found.cases), 'case')}, {found.known} with a known outcome, "
        f"{found.events} of them with {found.outcome.event}"
    )
    if report.reading != report.fitted:
        say(f"Fitted on {report.fitted}, applied to {report.reading}")
    for reason, cases in report.left_out().items():
        say(f"left out: {cases}, {reason.replace('_', ' ')}")
    missing = report.not_computed()
    for model in found.models:
        if model.name in missing:
            say(f"{model.name}: AUC not computable: {missing[model.name]}")
        elif not isinstance(model.auc, NotComputable):
            span = span_text(model.auc)
            say(f"{model.name}: AUC {value_text(model.auc)}{f' ({span})' if span else ''}, {counted(model.n, 'case')}")
    if others := others_in_words(found):
        say(f"Not scored here: {others} (--reader NAME scores those of NAME, and no others)")
    if unrecorded := unrecorded_criteria(found):
        say(f"Eligibility: {unrecorded}; an empty value leaves nobody out")
    say(found.power.verdict)
    say(in_words(found.shift.verdict))
    if found.provenance.not_for_inference:
        say("Not for inference: the image network has random weights.")
    if count := found.provenance.unfit_outlines:
        say(f"Not for inference: {counted(count, 'outline is', 'outlines are')} marked so.")
    say(f"Report: {report.page}")


def _print_classes(report: "ClassReport") -> None:
    from cvtbatch.validation.report.digits import span_text, value_text
    from cvtbatch.validation.values import NotComputable

    found = report.validation
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    say(f"Centre {report.center}: {counted(len(found.cases), 'case')}, {found.known} of a known class: {counts}")
    if report.reading != report.fitted:
        say(f"Fitted on {report.fitted}, applied to {report.reading}")
    for reason, cases in report.left_out().items():
        say(f"left out: {cases}, {reason.replace('_', ' ')}")
    for model in found.models:
        if isinstance(model.macro, NotComputable):
            say(f"{model.name}: M not computable: {model.macro.reason}")
        else:
            span = span_text(model.macro)
            say(f"{model.name}: M {value_text(model.macro)}{f' ({span})' if span else ''}, {counted(model.n, 'case')}")
    if found.provenance.not_for_inference:
        say("Not for inference: the image network has random weights.")
    if count := found.provenance.unfit_outlines:
        say(f"Not for inference: {counted(count, 'outline is', 'outlines are')} marked so.")
    say(f"Report: {report.page}")
