"""What archives cost, and where the limits are: `python -m tests.benchmarks.cost_model --store URL [--run RUN_ID] [options]`.

Input is a finished run of `extract` (its row in `runs`, and the size of the store's tables), as large as one has time for; what
other benchmarks measure is given by options. Output are the tables of `deploy/SCALING.md`; `--write` puts them there. All of it
grows with the number of cases; what a run takes once (its start, loading and compiling in the workers) is in the mean of its
cases, and makes them dear.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.pipelines.extraction.task_cost import STAGES
from cvtbatch.store import FeatureStore

SIZES = (10_000, 100_000, 1_000_000)
CORES = (2, 16, 64, 256)
NIGHT_H = 12.0
GB, MB = 1e9, 1e6
# Of a row: its features in float64 and 2,048 float32, which hardly compress.
VALUE_BYTES = {"radiomics": len(contracts.feature_names()) * 8, "embeddings": 2048 * 4}
START, END = "<!-- cost_model -->", "<!-- end -->"
# Of how many cases a price is told.
PRICED_CASES = 100_000


@dataclass(frozen=True, slots=True)
class ListPrice:
    """A public list price of a machine on demand, without discounts, in USD an hour.

    Attributes:
        cores: virtual ones, as the cores here are.
    """

    machine: str
    usd_per_hour: float
    cores: int

    def of(self, core_hours: float) -> float:
        """Return USD of so many core-hours on machines that are kept busy."""
        return core_hours * self.usd_per_hour / self.cores


# Read on this day in the tables of the open project SkyPilot (github.com/skypilot-org/skypilot-catalog: catalogs/v8/aws at 00148f2,
# catalogs/v8/gcp at 006059e, catalogs/v6/azure at 098741e).
READ = "30 November 2026"
LIST_PRICES = (
    ListPrice("AWS c6i.4xlarge, us-east-1", 0.68, 16),
    ListPrice("Google n2-standard-16, us-central1", 0.77694, 16),
    ListPrice("Azure F16s v2, East US", 0.677, 16),
)


@dataclass(frozen=True, slots=True)
class Case:
    """What a case cost in a run, on the average.

    Attributes:
        core_s: time that a worker thread was held; cpu_s: that it computed.
        rows: by table; value_bytes: their features and embeddings.
        batch_bytes: what the files of a batch hold beside these, mostly what they say of their columns.
    """

    core_s: float
    cpu_s: float
    read_bytes: float
    written_bytes: float
    value_bytes: float
    batch_bytes: float
    rows: Mapping[str, float]
    worker_peak_bytes: float


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one driver does, and how it goes about it.

    Attributes:
        rows_per_s: full rows of features that it commits.
        tasks_per_s: that the scheduler hands out.
        batch_cases, batch_s: a batch has so many cases, and waits no longer than this.
        requests: for a case and for a batch, by method.
    """

    rows_per_s: float
    tasks_per_s: float
    batch_cases: int
    batch_s: float
    requests: Mapping[str, Mapping[str, float]]

    def cores(self, case: Case) -> dict[str, float]:
        """Return how many cores each part of the driver can keep at work; the smallest number binds."""
        return {
            "scheduler, a task a case": self.tasks_per_s * case.core_s,
            "coordinator, full rows": self.rows_per_s * case.core_s / max(case.rows.get("radiomics", 0.0), 1e-9),
        }


def case_of(run: Mapping[str, object], table_bytes: float) -> Case:
    """Return what a case of a run cost; raises SystemExit where the run says nothing of it."""
    worked = run["worked_cases"]
    if not worked:
        raise SystemExit(f"run {run['run_id']} has worked on no case, or is of an earlier version")
    number = {name: float(str(run[name])) for name in run if isinstance(run[name], int | float)}
    cases = number["worked_cases"]
    rows = {name: count / cases for name, count in json.loads(str(run["rows"])).items()}
    value_bytes = sum(rows.get(name, 0.0) * size for name, size in VALUE_BYTES.items())
    batches = max(1.0, number["commits"] / sum(count > 0 for count in rows.values()))
    return Case(
        core_s=number["core_hours_per_1000_cases"] * 3.6,
        cpu_s=number["cpu_hours_per_1000_cases"] * 3.6,
        read_bytes=number["read_bytes"] / cases,
        written_bytes=number["written_bytes"] / cases,
        value_bytes=value_bytes,
        batch_bytes=max(0.0, table_bytes - cases * value_bytes) / batches,
        rows=rows,
        worker_peak_bytes=number["worker_peak_bytes"],
    )


def lines_of(case: Case, ceilings: Ceilings, sizes: Sequence[int] = SIZES) -> list[tuple[str, list[str]]]:
    """Return the lines of the table: what, and how much of it by number of cases."""
    tables = sum(rows > 0 for rows in case.rows.values())
    hours = [cases * case.core_s / 3600 for cases in sizes]
    by_time = NIGHT_H * 3600 / ceilings.batch_s
    batches = [max(math.ceil(cases / ceilings.batch_cases), math.ceil(min(cases, by_time))) for cases in sizes]
    night = [math.ceil(core_hours / NIGHT_H) for core_hours in hours]
    rate = [cases / (NIGHT_H * 3600) for cases in sizes]
    asked = {
        method: [
            cases * ceilings.requests["case"].get(method, 0) + batch * ceilings.requests["batch"].get(method, 0)
            for cases, batch in zip(sizes, batches, strict=True)
        ]
        for method in sorted({*ceilings.requests["case"], *ceilings.requests["batch"]})
    }
    total = [sum(by) for by in zip(*asked.values(), strict=True)]
    return [
        ("core-hours", [_number(value) for value in hours]),
        ("of them computing", [_number(cases * case.cpu_s / 3600) for cases in sizes]),
        *((f"hours on {cores} cores", [_number(value / cores) for value in hours]) for cores in CORES),
        (f"cores for {NIGHT_H:g} hours", [_number(value) for value in night]),
        ("cases/s then", [_number(value) for value in rate]),
        ("sources read, GB", [_number(cases * case.read_bytes / GB) for cases in sizes]),
        ("volumes and masks, GB", [_number(cases * case.written_bytes / GB) for cases in sizes]),
        ("values in the tables, GB", [_number(cases * case.value_bytes / GB) for cases in sizes]),
        ("batches then, and files a table until compacted", [_number(b) for b in batches]),
        ("these files beside the values, GB", [_number(b * case.batch_bytes / GB) for b in batches]),
        ("appends to tables", [_number(b * tables) for b in batches]),
        *((f"object storage: {method}", [_number(value) for value in values]) for method, values in asked.items()),
        ("object storage: requests/s then", [_number(all_ / NIGHT_H / 3600) for all_ in total]),
    ]


def price_lines(kinds: Mapping[str, Case]) -> list[tuple[str, list[str]]]:
    """Return what PRICED_CASES cost by kind of run: core-seconds of a case, core-hours, and USD by price."""
    lines = []
    for name, case in kinds.items():
        hours = PRICED_CASES * case.core_s / 3600
        lines.append(
            (name, [_number(case.core_s), _number(hours), *(_number(price.of(hours)) for price in LIST_PRICES)])
        )
    return lines


def to_markdown(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join([name, *values]) + " |" for name, values in rows)])


def _number(value: float) -> str:
    """Return a number of three figures."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _table_bytes(store: FeatureStore, names: Sequence[str]) -> float:
    opened = [delta for name in names if (delta := store.table(name).log.newest()) is not None]
    return float(sum(sum(pa.table(delta.get_add_actions())["size_bytes"].to_pylist()) for delta in opened))


def _measured(url: str, run_id: str | None, *, shared: bool) -> tuple[Mapping[str, object], Case]:
    """Return the newest finished run of a store, or the one that is named, and what a case of it cost.

    Args:
        shared: others used the machine: a core is taken to be held for what it computed.
    """
    store = FeatureStore(url)
    runs = [
        run
        for run in store.runs().to_pylist()
        if run["state"] == "completed" and run_id in (None, run["run_id"]) and run["worked_cases"]
    ]
    if not runs:
        raise SystemExit(f"{url} has no such finished run")
    case = case_of(runs[0], _table_bytes(store, list(json.loads(runs[0]["rows"]))))
    return runs[0], replace(case, core_s=case.cpu_s) if shared else case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", required=True)
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME=STORE",
        help="a run of another kind, whose price stands beside; repeatable",
    )
    parser.add_argument("--name", default="features of given outlines", help="of the first run among prices")
    parser.add_argument("--run", help="the newest finished one by default; all rows of the store count as its own")
    parser.add_argument("--requests", type=Path, required=True, help="what benchmark_requests printed")
    parser.add_argument("--rows-per-second", type=float, required=True, help="full rows, of benchmark_scale")
    parser.add_argument("--tasks-per-second", type=float, required=True, help="of the scheduler")
    parser.add_argument("--batch-cases", type=int, default=100, help="the job's run.commit_cases")
    parser.add_argument("--batch-seconds", type=float, default=20.0, help="the job's run.commit_seconds")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help="replace what stands between the marks of this file"
    )
    parser.add_argument(
        "--shared-machine",
        action="store_true",
        help="count what workers computed, not how long they were held: others used the machine meanwhile",
    )
    arguments = parser.parse_args()
    run, case = _measured(arguments.store, arguments.run, shared=arguments.shared_machine)
    kinds = {arguments.name: case}
    for text in arguments.beside:
        name, _, url = text.partition("=")
        kinds[name] = _measured(url, None, shared=arguments.shared_machine)[1]
    requests = json.loads(arguments.requests.read_text())
    ceilings = Ceilings(
        arguments.rows_per_second, arguments.tasks_per_second, arguments.batch_cases, arguments.batch_seconds, requests
    )
    measured = json.loads(str(run["stages"]))
    stages = {name: measured[name] for name in STAGES if name in measured}
    a_case = [
        ("worker core, s", [_number(case.core_s)]),
        ("computing, s", [_number(case.cpu_s)]),
        *(
            (f"{name}, s: median, 95 %", [f"{stages[name]['p50_s']:.3g}, {stages[name]['p95_s']:.3g}"])
            for name in stages
        ),
        ("source files, MB", [_number(case.read_bytes / MB)]),
        ("volume and masks, MB", [_number(case.written_bytes / MB)]),
        ("values of its rows, kB", [_number(case.value_bytes / 1e3)]),
        ("files of a batch beside the values, kB", [_number(case.batch_bytes / 1e3)]),
        ("requests to object storage", [_number(sum(requests["case"].values()))]),
        ("largest worker of the run, MB", [_number(case.worker_peak_bytes / MB)]),
    ]
    limits = [(name, [_number(n), _number(n / case.core_s)]) for name, n in ceilings.cores(case).items()]
    text = "\n\n".join(
        [
            f"{run['worked_cases']} cases on {run['workers']}; a batch asks object storage "
            f"{_number(sum(requests['batch'].values()))} times; at most {_number(ceilings.rows_per_s)} full rows/s and "
            f"{_number(ceilings.tasks_per_s)} tasks/s."
            + (
                " Others used the machine: a core is taken to be held for what it computed, and medians are too long."
                if arguments.shared_machine
                else ""
            ),
            to_markdown(["a case", "measured"], a_case),
            to_markdown(["cases", *(f"{size:,}" for size in SIZES)], lines_of(case, ceilings)),
            f"What {PRICED_CASES:,} cases cost in USD, at list prices on demand as read on {READ}, on machines that are kept busy; "
            "storage, traffic and discounts are not in it. A core is a virtual one, here and there.",
            to_markdown(
                ["kind of run", "core-s a case", "core-hours", *(price.machine for price in LIST_PRICES)],
                price_lines(kinds),
            ),
            to_markdown(["limit of one driver", "cores that it keeps at work", "cases/s"], limits),
        ]
    )
    if arguments.write is None:
        print(text)
        return
    before, start, rest = arguments.write.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    arguments.write.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
