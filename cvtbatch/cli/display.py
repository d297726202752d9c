"""What people see: a live progress bar, and tables of plans, reports and states."""

import csv
import io
import json
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted
from cvtbatch.plain_text import visible

if TYPE_CHECKING:
    from cvtbatch.pipelines.extraction.case_plan import CasePlan
    from cvtbatch.pipelines.extraction.report import ExtractReport, OutlineSummary
    from cvtbatch.pipelines.extraction.run_cost import CostSummary
    from cvtbatch.pipelines.models.finetune import FinetuneReport

# Without a terminal, progress is a line whenever this much time has passed.
PLAIN_LINE_SECONDS = 10.0
# Failures that are named on the terminal; the rest are in the log of the run.
SHOWN_FAILURES = 20


def say(text: str, *, err: bool = False) -> None:
    """Print a text, with an escape for every character that does not show: ids, names and paths may hold anything."""
    click.echo(visible(text), err=err)


class ProgressDisplay:
    """Shows progress on stderr: a bar at a terminal, else plain lines. Lines told in between stay above it."""

    def __init__(self, verb: str, quiet: bool, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self.bar = None
        self.verb, self.unit, self.quiet = verb, unit, quiet
        self.started = self.spoken = time.monotonic()
        if self.console.is_terminal and not quiet:
            rate = TextColumn("{task.fields[rate]:.1f}/s, {task.fields[failed]} failed, left")
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                rate,
                TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task(verb, total=None, failed=0, rate=0.0)
            self.bar.start()

    def enter(self, verb: str, unit: str) -> None:
        """Begin anew with another stage of the work, unless it is the one that is shown."""
        if verb != self.verb:
            self.verb, self.unit = verb, unit
            self.started = self.spoken = time.monotonic()
            if self.bar is not None:
                self.task = self.bar.add_task(verb, total=None, failed=0, rate=0.0)

    def __call__(self, done: int, total: int, failed: int) -> None:
        now = time.monotonic()
        rate = done / max(now - self.started, 1e-9)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, failed=failed, rate=rate)
        elif not self.quiet and done and (done == total or now - self.spoken >= PLAIN_LINE_SECONDS):
            if done == total and self.spoken == float("inf"):
                return
            left = (total - done) / max(rate, 1e-9)
            self.tell(f"{done}/{total} {self.unit}, {failed} failed, {rate:.1f}/s, {left:.0f} s left")
            self.spoken = float("inf") if done == total else now

    def tell(self, text: str) -> None:
        """Print a line."""
        self.console.print(visible(text))

    def step(self, text: str) -> None:
        """Print what is begun before there is any progress to show."""
        if not self.quiet:
            self.tell(text)

    def tell_dashboard(self, link: str | None) -> None:
        """Say where Dask's dashboard is; a terminal alone has somebody who would open it."""
        if link and self.console.is_terminal and not self.quiet:
            self.tell(f"Dask's dashboard: {link}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.stop()


@contextmanager
def progress_display(verb: str, quiet: bool, unit: str = "cases") -> "Iterator[ProgressDisplay]":
    show = ProgressDisplay(verb, quiet, unit)
    try:
        yield show
    finally:
        show.close()


def print_case_plan(plan: "CasePlan") -> None:
    does = "compute" if plan.task or plan.goes_on else "leave"
    say(f"{does:8} {plan.case.case_key}: {', '.join(plan.reasons)}")


def print_plan(report: "ExtractReport", as_json: bool) -> None:
    """Print what a dry run came to, after the plan of each case."""
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
        return
    print_table(
        f"Plan for {counted(report.cases, 'case')}",
        ("reason", "cases"),
        [(row["reason"], row["cases"]) for row in report.plan],
    )


def print_report(report: "ExtractReport", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2))
        return
    counts = [
        (name.replace("_", " "), getattr(report, name))
        for name in ("computed", "already_done", "failed", "no_hemorrhage", "awaiting_mask")
        if name != "no_hemorrhage" or report.outlines.method != "none"
    ]
    print_table(
        f"Run {report.run_id}: {counted(report.cases, 'case')} in {report.seconds:.1f} s",
        ("cases", "count"),
        counts,
    )
    print_table("Why", ("reason", "cases"), [(row["reason"], row["cases"]) for row in report.plan])
    if any(report.rows.values()):
        print_table("Rows appended", ("table", "rows"), [(name, count) for name, count in report.rows.items() if count])
    if report.cost.worked_cases:
        print_cost(report.cost)
    if report.outlines.volumes:
        say(f"\n{_outlined(report.outlines)}")
    if report.regions:
        regions = [(name, found.derived, reasons_of(found.empty)) for name, found in report.regions.items()]
        print_table("Regions of outlines, of this run", ("region", "derived", "empty"), regions)
    if untrained := {embedded.weights: None for embedded in report.embeddings if embedded.not_for_inference}:
        say(f"\nEmbeddings of untrained weights ({', '.join(untrained)}): not for inference")
    for embedded in report.embeddings:
        if embedded.non_commercial:
            say(f"\nWeights {embedded.weights} of {embedded.backbone}: {embedded.licence}")
    if report.failures:
        print_table(
            "Failures",
            ("stage", "kind", "cases"),
            [(row["stage"], row["kind"], row["cases"]) for row in report.failures],
        )
    if report.lacking_sets:
        print_table("Feature sets that failed", ("feature set", "cases"), list(report.lacking_sets.items()))
        say(
            f"Of the {counted(report.failed, 'failed case')} {report.lacking_sets_alone:,} lack feature sets alone; "
            "all else of them is stored."
        )
    if report.audit.rois:
        worst = [(name, f"{size:.2g}") for name, size in sorted(report.audit.largest_deviation.items())]
        print_table(
            f"Audit of {counted(report.audit.rois, 'ROI')} against stock PyRadiomics (1 is the contract's limit)",
            ("class", "largest deviation"),
            worst,
        )
    if report.clinical_updated:
        say(
            "clinical values corrected without extraction where no other reason is given: "
            f"{counted(report.clinical_updated, 'case')}"
        )
    say(f"\n{report.told}")
    if report.report:
        say(f"Report: {report.report}")


def reasons_of(empty: Mapping[str, int]) -> str:
    """Say how many regions are empty, and why."""
    return ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in empty.items())


def _outlined(outlines: "OutlineSummary") -> str:
    mark = ": not for inference" if outlines.not_for_inference else ""
    return (
        f"Outlined by {outlines.reader}{mark}: {counted(outlines.rois, 'outline')} in {counted(outlines.volumes, 'volume')}, "
        f"{outlines.without_hemorrhage} without a hemorrhage"
    )


def print_finetuning(report: "FinetuneReport", out: Path) -> None:
    best = report.curve[report.best_epoch]
    rows = [
        ("snapshot", report.snapshot),
        ("outlines", len(report.cohort.rois)),
        ("patients", report.patients),
        ("epochs", len(report.curve) - 1),
        ("epoch that is kept", report.best_epoch),
        ("loss of held-out patients before", f"{report.curve[0].holdout_loss:.4f}"),
        ("loss of held-out patients in that epoch", f"{best.holdout_loss:.4f}"),
        ("cohort", report.cohort.digest()[:12]),
        ("weights", report.weights.sha256[:12]),
        ("learning curve", str(report.picture)),
    ]
    print_table(str(out), ("what", "value"), rows)
    if report.cohort.left_out:
        print_table(
            "Cases of the training centres that were left out", ("reason", "cases"), [*report.cohort.left_out.items()]
        )
    if report.weights.not_for_inference:
        say("\nIt started from untrained weights: not for inference")


def print_cost(cost: "CostSummary") -> None:
    """Print what a run cost: a line, and seconds by stage."""
    per_thousand = [
        f"{hours:.3g} {name}"
        for hours, name in (
            (cost.core_hours_per_1000_cases, "core-hours"),
            (cost.cpu_hours_per_1000_cases, "CPU-hours"),
        )
        if hours is not None
    ]
    rows = [
        (stage.stage, stage.count, *(f"{s:.3g}" for s in (stage.p50_s, stage.p95_s, stage.seconds)))
        for stage in cost.stages
    ]
    print_table("Seconds in workers", ("stage", "count", "median", "95 %", "all"), rows)
    say(
        f"\n{cost.cases_per_second:.3g} cases/s, 1,000 cases: {', '.join(per_thousand)}; "
        f"memory: worker {megabytes(cost.worker_peak_bytes)}, driver {megabytes(cost.driver_peak_bytes)}; "
        f"read {megabytes(cost.read_bytes)}, written {megabytes(cost.written_bytes)}"
    )


def megabytes(size: int) -> str:
    """Return a size in words."""
    return f"{size / 1e6:,.0f} MB"


def print_exported_case(document: Mapping[str, Any]) -> None:
    """Print what was written of a case, and the manifest rows by which corrections come back."""
    series = document["grid"] == "series"
    where = "the series' own slices" if series else "the stored grid, since the slices are unevenly spaced"
    size, spacing = (" x ".join(f"{value:.4g}" for value in document[name]) for name in ("size_xyz", "spacing_mm"))
    files = [name for name in (document["image"], document["segmentation"]) if name is not None]
    say(f"{document['folder']}: {' and '.join(files)} on {where}: {size} voxels of {spacing} mm")
    if document["not_stored"]:
        say(f"not among them, since the store has them not: {', '.join(document['not_stored'])}; extract first")
    if not document["outlines"]:
        say("The store has no outline of this case: the image alone was written.")
        return
    source = {"file": "its file", "store": "stored mask"}
    outlines = [
        (row["segment"], source[row["taken_from"]], round(row["volume_ml"], 2), round(row["written_volume_ml"], 2))
        for row in document["outlines"]
    ]
    print_table("Segments", ("segment", "taken from", "ml there", "ml as written"), outlines)
    manifest = document["manifest"]
    corrector = manifest["rows"][0]["reader"]
    say(
        f"A row that is pasted is an outline of its own, by {corrector}: a bundle scores the outlines of the reader that it was "
        f"fitted on, and with --reader {shlex.quote(corrector)} the corrected ones alone. To have a correction scored in the "
        "place of an outline of the manifest, put its mask and segment into that outline's row instead."
    )
    say("Once corrected and saved, paste into the manifest, of each ROI the row whose segment you corrected:")
    if manifest["new_columns"]:
        say(f"(columns to add first, in every row of it: {', '.join(manifest['new_columns'])})")
    say(_csv_line(manifest["columns"]))
    for row in manifest["rows"]:
        say(_csv_line([row.get(name, "") for name in manifest["columns"]]))


def _csv_line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
