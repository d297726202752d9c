"""What people see of a store: how its cases, specifications and runs stand, once or again and again."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from cvtbatch.cli.display import megabytes, reasons_of, say
from cvtbatch.cli.tables import print_table, to_table
from cvtbatch.counts import counted

# Groups of cases that may be of one patient, and cases of each, that are named on the terminal.
SHOWN_DUPLICATES = 20


def print_status(document: Mapping[str, Any]) -> None:
    say(f"store {document['store']}, format {document['format_version']}")
    print_table(
        "Cases", ("state", "cases"), [(name.replace("_", " "), count) for name, count in document["cases"].items()]
    )
    print_table("Rows", ("table", "rows"), list(document["rows"].items()))
    if document["regions"]:
        rows = [
            (row["region"], row["spec_id"], row["derived"], reasons_of(row["empty"])) for row in document["regions"]
        ]
        print_table("Regions of outlines", ("region", "specification", "derived", "empty"), rows)
    if document["failures"]:
        print_table(
            "Live failures",
            ("stage", "kind", "cases"),
            [(row["stage"], row["kind"], row["cases"]) for row in document["failures"]],
        )
    if document["lacking_sets"]:
        print_table(
            "Feature sets that failed",
            ("feature set", "cases", "asked for by the newest run"),
            [(row["feature_set"], row["cases"], "yes" if row["asked_for"] else "") for row in document["lacking_sets"]],
        )
    specs = [
        (
            row["spec_id"],
            row["feature_set"],
            row["parent_id"],
            row["rows"],
            "yes" if row["current"] else "",
            "; ".join(_remarks(row)),
        )
        for row in document["specs"]
    ]
    print_table("Specifications", ("id", "feature set", "builds on", "rows", "newest run", ""), specs)
    header = [
        *("run", "state", "cases", "computed", "already done", "failed", "awaiting mask", "seconds"),
        *("cases/s", "core-hours / 1,000", "worker"),
    ]
    counts = ("cases", "computed", "already_done", "failed", "awaiting_mask", "seconds")
    runs = [
        (row["run_id"], _state(row), *(_run_count(row, name) for name in counts), *_run_cost(row))
        for row in document["runs"]
    ]
    print_table("Runs, newest first", header, runs)
    for row in document["runs"]:
        if row["committed"] is not None and not row["presumed_killed"]:
            last_at = row["committed"]["last_at"]
            wrote = f"its last commit was at {last_at}" if last_at else "it has committed nothing"
            say(f"run {row['run_id']} has no end, {wrote}; if it was killed, the command that began it continues it")
    print_duplicates(document["duplicates"])


def _remarks(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec["not_for_inference"]:
        yield "not for inference"
    if spec["largest_alone"]:
        yield f"{counted(spec['largest_alone'], 'outline')} by the largest slice alone"


def _run_count(run: Mapping[str, Any], name: str) -> object:
    """Return a number of a run; of one without an end what it committed, and nothing of what is told at the end alone."""
    if run["committed"] is None or name == "cases":
        return run[name]
    return run["committed"].get(name, "")


def _run_cost(run: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return a run's throughput, core-hours and memory as texts; empty where it worked on nothing, or is not at its end."""
    rate, hours, peak = run["cases_per_second"], run["core_hours_per_1000_cases"], run["worker_peak_bytes"]
    return (f"{rate:.3g}" if rate else "", f"{hours:.3g}" if hours else "", megabytes(peak) if peak else "")


@contextmanager
def watch_display(as_json: bool) -> "Iterator[Callable[[Mapping[str, Any]], None]]":
    """Show documents of `status --watch` one after the other: in place at a terminal, else a line each."""
    from rich.console import Console, ConsoleRenderable, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    if as_json:
        yield lambda document: click.echo(json.dumps(document))
    elif not console.is_terminal:
        yield lambda document: say(_watch_line(document))
    else:
        with Live(console=console, auto_refresh=False) as live:

            def show(document: Mapping[str, Any]) -> None:
                states = [(name.replace("_", " "), count) for name, count in document["cases"].items()]
                parts: list[ConsoleRenderable] = [Text(_watch_line(document)), to_table(("cases", "count"), states)]
                failures = [(row["stage"], row["kind"], row["cases"]) for row in document["failures"]]
                parts += [to_table(("stage", "kind", "cases"), failures)] if failures else []
                live.update(Group(*parts), refresh=True)

            yield show


def _watch_line(document: Mapping[str, Any]) -> str:
    cases, moment = document["cases"], document["watch"]
    rate = "" if moment["cases_per_second"] is None else f", {moment['cases_per_second']:.2g}/s"
    silent = "" if moment["silent_s"] is None else f"; last written {moment['silent_s']:.0f} s ago"
    runs = [
        f"run {run['run_id']} of {counted(run['cases'], 'case')}, {run['age_s']:.0f} s old" for run in moment["running"]
    ]
    return (
        f"{moment['time']} {cases['done']} done, {cases['failed']} failed, {cases['no_hemorrhage']} without a hemorrhage, "
        f"{cases['awaiting_mask']} awaiting mask, "
        f"{cases['incomplete']} incomplete{rate}{silent}; {', '.join(runs) or 'no run'}"
    )


def print_duplicates(duplicates: Mapping[str, Any]) -> None:
    """Print the first cases that may be of one patient, and how many more there are."""
    for group in duplicates["same_image"][:SHOWN_DUPLICATES]:
        where = ", across centres" if group["across_centers"] else ""
        say(f"the same image{where}: {_first(group['cases'])}")
    _say_more(duplicates["same_image"], "groups of the same image")
    for group in duplicates["same_patient_text"][:SHOWN_DUPLICATES]:
        say(f"perhaps the same patient, by the manifest's text alone: {_first(group['cases'])}")
    _say_more(duplicates["same_patient_text"], "groups of perhaps the same patient")


def _first(cases: Sequence[str]) -> str:
    """Return the first cases of a group in words, and how many more it has."""
    more = len(cases) - SHOWN_DUPLICATES
    return ", ".join(cases[:SHOWN_DUPLICATES]) + (f" and {more:,} more (--json lists all)" if more > 0 else "")


def _say_more(groups: Sequence[Mapping[str, Any]], what: str) -> None:
    if rest := groups[SHOWN_DUPLICATES:]:
        cases = sum(len(group["cases"]) for group in groups)
        say(f"and {len(rest):,} more {what}: {len(groups):,} of {cases:,} cases in all (--json lists them)")


def print_flow(flow: Mapping[str, Any]) -> None:
    """Print the inclusion flow, all centres beside each."""
    groups = [("all", flow), *((center["center"], center) for center in flow["centers"])]
    excluded = [{row["reason"]: row["cases"] for row in group["excluded"]} for _, group in groups]
    unknown = [{row["column"]: row["cases"] for row in group["unknown"]} for _, group in groups]
    rows = [
        ("screened", *(group["screened"] for _, group in groups)),
        *(
            (f"excluded: {name.replace('_', ' ')}", *(counts.get(name, 0) for counts in excluded))
            for name in excluded[0]
        ),
        ("included", *(group["included"] for _, group in groups)),
        *((f"  of them {name} unknown", *(counts.get(name, 0) for counts in unknown)) for name in unknown[0]),
    ]
    print_table("Inclusion flow", ("cases", *(name for name, _ in groups)), rows)


def _state(run: Mapping[str, Any]) -> str:
    if run["presumed_killed"]:
        return "ended without a word (killed?)"
    if run["committed"] is not None:
        return "at work, or killed"
    return f"{run['state']}: {run['reason']}" if run["reason"] else str(run["state"])
