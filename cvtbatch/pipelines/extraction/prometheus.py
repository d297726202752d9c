"""A run for Prometheus while it goes on: a file for the node exporter's textfile collector, or an endpoint of its own.

The thread of the run describes it now and then, by values that do not change any more; another one hands out the last
description with the time of day. So a run that works long on one case is told from one that was killed: the latter's file
says no newer `cvtbatch_run_updated_timestamp_seconds`. No path, key or name of a case is in any of it.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cvtbatch
from cvtbatch.errors import InputError, ResourceError
from cvtbatch.pipelines.extraction.report import STATES, RunFigures

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LOOPBACK = "127.0.0.1"
ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})")
DESCRIBED_SECONDS = 1.0
WRITTEN_SECONDS = 5.0
RUN_STATES = ("running", "completed", "interrupted", "stopped")
# Upper bounds of the histograms of seconds.
BOUNDS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


class Collector(Protocol):
    """What tells Prometheus something, from another thread than that of the work."""

    def collect(self) -> "Iterator[Metric]":
        """Yield what is to be told now."""
        ...


class Metrics:
    """The last description of a run; a collector of prometheus_client.

    Args:
        asked_for: whether anybody is told; else nothing is described.
    """

    def __init__(self, *, asked_for: bool) -> None:
        self._asked_for = asked_for
        self._families: tuple[Metric, ...] = ()
        self._described = 0.0

    def follow(self, figures: Callable[[], RunFigures]) -> None:
        """Describe a run that goes on, unless it was described a moment ago."""
        if time.monotonic() - self._described >= DESCRIBED_SECONDS:
            self.show(figures, "running")

    def show(self, figures: Callable[[], RunFigures], state: str) -> None:
        """Describe a run as it stands.

        Args:
            figures: asked for only where anybody is told.
        """
        if not self._asked_for:
            return
        self._families = tuple(run_families(figures(), state))
        self._described = time.monotonic()

    def collect(self) -> "Iterator[Metric]":
        """Yield the last description, and when it is handed out."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        yield from self._families
        what = "When this text was made; a run that lives renews it every few seconds."
        yield GaugeMetricFamily("cvtbatch_run_updated_timestamp_seconds", what, time.time())


@contextmanager
def open_metrics(target: str | None) -> Iterator[Metrics]:
    """Hand out what is described meanwhile, to a file or an endpoint, or to nobody.

    Args:
        target: FILE.prom, replaced whole every few seconds and left at the end; or HOST:PORT or :PORT (of loopback), where
            it is served under /metrics until the end.

    Raises:
        InputError: the target is neither, or the file cannot be written.
        ResourceError: nothing can listen at that address.
    """
    metrics = Metrics(asked_for=target is not None)
    with published(target, metrics):
        yield metrics


@contextmanager
def published(target: str | None, collector: Collector) -> Iterator[None]:
    """Hand out meanwhile what a collector tells whenever it is asked; target and errors as for `open_metrics`."""
    if target is None:
        yield
    elif target.endswith(".prom"):
        with _written(collector, Path(target)):
            yield
    elif address := ADDRESS.fullmatch(target):
        with _served(collector, (address["host"] or LOOPBACK).strip("[]"), int(address["port"])):
            yield
    else:
        raise InputError(
            "bad_metrics_target",
            "--metrics is neither a file that ends in .prom (the node exporter reads no other) nor HOST:PORT",
            target,
        )


@contextmanager
def _written(collector: Collector, path: Path) -> Iterator[None]:
    from prometheus_client import CollectorRegistry, write_to_textfile

    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    over = threading.Event()

    def write() -> None:
        while not over.wait(WRITTEN_SECONDS):
            # What cannot be written now may be later; the run does not end over it.
            with suppress(OSError):
                write_to_textfile(str(path), registry)

    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise InputError(
            "unwritable_metrics", "the file of --metrics cannot be written: choose another one", str(error)
        ) from None
    writer = threading.Thread(target=write, name="metrics", daemon=True)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        with suppress(OSError):
            write_to_textfile(str(path), registry)


@contextmanager
def _served(collector: Collector, host: str, port: int) -> Iterator[None]:
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise ResourceError(
            "metrics_address", "nothing can listen at the address of --metrics: choose another port", str(error)
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_families(run: RunFigures, state: str) -> "Iterator[Metric]":
    """Yield what Prometheus is told of a run; `state` is one of `RUN_STATES`."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    info = {"run_id": run.run_id, "version": cvtbatch.__version__, "command": "extract"}
    yield InfoMetricFamily("cvtbatch_run", "The run.", info)
    yield _labelled(
        GaugeMetricFamily("cvtbatch_run_state", "1 for how the run stands.", labels=["state"]),
        ((name, float(name == state)) for name in RUN_STATES),
    )
    for name, what, value in (
        ("run_start_timestamp_seconds", "When the run began.", run.began_at),
        ("run_result_timestamp_seconds", "When the last result came back.", run.result_at),
        ("manifest_cases", "Cases of the manifest.", run.manifest_cases),
        ("tasks_in_flight", "Tasks that were handed out and did not come back yet.", run.in_flight),
        ("cases_per_second", "Cases that workers were done with, since the run began.", run.cases_per_second),
        ("workers", "Worker threads.", run.workers),
        ("worker_peak_bytes", "Largest resident memory of a worker during a task.", run.worker_peak_bytes),
    ):
        yield GaugeMetricFamily(f"cvtbatch_{name}", what, value)
    progress = run.progress
    for name, what, value in (
        (
            "stage_items",
            "What the stage at work has to do: cases, volumes to outline, or outlines to embed.",
            progress.total,
        ),
        ("stage_items_done", "What it is done with.", progress.done),
    ):
        family = GaugeMetricFamily(f"cvtbatch_{name}", what, labels=["stage"])
        yield _labelled(family, [(progress.stage, value)])
    for name, what, total in (
        ("cases_planned", "Cases that were compared with the store.", run.planned),
        ("cases_worked", "Cases that workers were done with.", run.worked),
        ("read_bytes", "Size of the source files that were read.", run.read_bytes),
        ("written_bytes", "Size of the volumes and masks that were written.", run.written_bytes),
        ("worker_cpu_seconds", "Time that tasks computed.", run.worker_cpu_s),
        ("commits", "Appends to tables.", run.commits),
    ):
        yield CounterMetricFamily(f"cvtbatch_{name}", what, total)
    yield _labelled(
        CounterMetricFamily("cvtbatch_cases", "Cases, by how they first stood in this run.", labels=["state"]),
        ((name, run.first_states.get(name, 0)) for name in STATES),
    )
    yield _labelled(
        GaugeMetricFamily("cvtbatch_case_states", "Cases, by how they stand.", labels=["state"]),
        ((name, run.states.get(name, 0)) for name in STATES),
    )
    yield _labelled(CounterMetricFamily("cvtbatch_rows", "Rows appended.", labels=["table"]), run.rows.items())
    failures = CounterMetricFamily("cvtbatch_failed_cases", "Cases by failure.", labels=["stage", "kind"])
    for (stage, kind), count in sorted(run.failures.items()):
        failures.add_metric([stage, kind], count)
    yield failures
    yield _stage_seconds(run)


def _labelled(family: "Metric", values: "Iterable[tuple[str, float]]") -> "Metric":
    for label, value in values:
        family.add_metric([label], value)  # type: ignore[attr-defined]
    return family


def _stage_seconds(run: RunFigures) -> "Metric":
    from prometheus_client.metrics_core import HistogramMetricFamily

    what = "Seconds of a case in a stage; of an outline in the stage embedding."
    family = HistogramMetricFamily("cvtbatch_stage_seconds", what, labels=["stage"])
    for stage, seconds in run.stages.items():
        buckets = [(f"{bound:g}", float(seconds.count_until(bound))) for bound in BOUNDS_S]
        family.add_metric([stage], [*buckets, ("+Inf", float(seconds.count))], seconds.total_s)
    return family
