"""The user's own report of a run, outside the store: a page and its tables of failures, readable by that user alone.

`run-report.html` and `failures.csv` hold paths and x_ columns, `failures-without-paths.csv` neither. What failed is read from the
store once the run has ended, with the manifest's rows and with what the logs of this run and of earlier ones say of it, so that
failures which stand since an earlier run are among them.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

import cvtbatch
from cvtbatch import contracts
from cvtbatch.counts import counted
from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.file_errors import why
from cvtbatch.manifest import Manifest
from cvtbatch.pipelines.extraction.report import ExtractReport
from cvtbatch.pipelines.extraction.report import State as CaseState
from cvtbatch.pipelines.extraction.report_failures import failed_items
from cvtbatch.pipelines.shared.run_log import RunLog, log_folder
from cvtbatch.plain_text import FOR_PEOPLE
from cvtbatch.reporting.failures import FailureGroup, group_failures, write_table
from cvtbatch.reporting.run_page import CaseCounts, FlagCount, RunPage, Thumbnail, Waiting, render_run_page
from cvtbatch.store import FeatureStore
from cvtbatch.whole_files import written_whole

PAGE, TABLE, WITHOUT_PATHS = "run-report.html", "failures.csv", "failures-without-paths.csv"
WAITING_SHOWN = 20
WAITING_SOUGHT = 100_000
"""Cases among which those are looked for that wait for an outline."""
MOST_WHEN_INTERRUPTED = 5_000
"""Cases that may have failed in a run that was interrupted: it has seconds to end, and writes of no more."""
StateOf = Callable[[int], CaseState | None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: its state, and the kind of the error that stopped it."""

    state: Literal["completed", "interrupted", "stopped"]
    reason: str


def require_folder(chosen: Path | None) -> None:
    """Make the folder that was chosen for a report, before any work.

    Raises:
        InputError: it cannot be made or written.
    """
    if chosen is None:
        return
    try:
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError("cannot_write", f"--report {chosen} cannot be made: {why(error)}") from None
    if not os.access(chosen, os.W_OK | os.X_OK):
        raise InputError("cannot_write", f"--report {chosen} cannot be written: take a folder of your own")


@dataclass(frozen=True, slots=True)
class RunReporter:
    """Writes page and tables of a run.

    Attributes:
        log: of the run, where the texts are that the store may not have.
        folder: None for one beside the log, named by the run.
        command: as it was typed; empty where nobody typed.
        on_notice: told what prevents the report, which is no failure of the run.
    """

    manifest: Manifest
    run_id: str
    log: RunLog
    folder: Path | None
    command: str
    on_notice: Callable[[str], None]

    def write(self, store: FeatureStore, report: ExtractReport, ending: Ending, state_of: StateOf) -> str | None:
        """Write the files, and return where the page is; None where they could not be written.

        Args:
            state_of: how a case stands, by its row.
        """
        if ending.state == "interrupted" and report.failed > MOST_WHEN_INTERRUPTED:
            self.on_notice(
                f"no report of this run is written: {counted(report.failed, 'failure')} would take longer than an end may"
            )
            return None
        try:
            folder = self.folder or log_folder() / self.run_id
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            page = self._page(store, report, ending, state_of, folder)
            with _private_file(folder / PAGE, "utf-8") as file:
                file.write(render_run_page(page))
        except (OSError, RuntimeError, CvtbatchError) as error:
            self.on_notice(f"no report of this run is written: {error}; --report names another folder")
            return None
        return str(folder / PAGE)

    def _page(
        self, store: FeatureStore, report: ExtractReport, ending: Ending, state_of: StateOf, folder: Path
    ) -> RunPage:
        """Return what the page shows, the tables of failures being written on the way.

        A run that was interrupted has seconds to end: flags and pictures are left out then, as after an error.
        """
        groups = self._write_failures(store, report, state_of, folder)
        flags: tuple[FlagCount, ...] = ()
        thumbnails: tuple[Thumbnail, ...] = ()
        if ending.state == "completed":
            # With the libraries that draw.
            from cvtbatch.pipelines.extraction.report_looks import look_at_outlines

            flags, thumbnails = look_at_outlines(store, self.manifest, report.volume_spec_id)
        return RunPage(
            state=ending.state,
            reason=ending.reason.replace("_", " "),
            counts=CaseCounts(
                len(self.manifest),
                report.computed,
                report.continued,
                report.already_done,
                report.no_hemorrhage,
                report.awaiting_mask,
                report.failed,
            ),
            facts=tuple(_facts(report)),
            groups=groups,
            waiting=self._waiting(report.awaiting_mask, state_of),
            flags=flags,
            thumbnails=thumbnails,
            looked=ending.state == "completed",
            command=self.command,
            folder=str(Path.cwd()),
            origin=f"Run {self.run_id} into {report.store}, ended {time.strftime('%Y-%m-%d %H:%M %Z')}, "
            f"cvtbatch {cvtbatch.__version__}",
        )

    def _write_failures(
        self, store: FeatureStore, report: ExtractReport, state_of: StateOf, folder: Path
    ) -> list[FailureGroup]:
        own_columns = [name for name in self.manifest.columns if name.startswith(contracts.pass_through_prefix())]
        with (
            _private_file(folder / TABLE, FOR_PEOPLE) as table,
            _private_file(folder / WITHOUT_PATHS, FOR_PEOPLE) as without_paths,
        ):
            items = failed_items(store.view(), self.manifest, report, state_of, self.log)
            return group_failures(write_table(write_table(items, without_paths, None), table, own_columns))

    def _waiting(self, count: int, state_of: StateOf) -> tuple[Waiting, ...]:
        """Return the first cases that wait for an outline."""
        sought = islice(self.manifest, WAITING_SOUGHT if count else 0)
        found = (case for case in sought if state_of(case.manifest_row) == "awaiting_mask")
        return tuple(
            Waiting(case.manifest_row, case.center, case.case_id) for case in islice(found, min(count, WAITING_SHOWN))
        )


@contextmanager
def _private_file(path: Path, encoding: str) -> Iterator[TextIO]:
    """Hold a text file of mode 0600 that appears whole or not at all."""
    with written_whole(path) as aside:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding=encoding, newline="") as file:
            yield file


def _facts(report: ExtractReport) -> Iterator[tuple[str, str]]:
    """Yield how long the run took and what it cost."""
    cost = report.cost
    yield "time", _duration(report.seconds)
    if report.regions:
        yield "regions of outlines", "; ".join(f"{name} {summary}" for name, summary in report.regions.items())
    if not cost.worked_cases:
        return
    yield "cases worked on", f"{cost.worked_cases:,}, {cost.cases_per_second:.3g} a second"
    hours = cost.core_hours_per_1000_cases
    if hours is not None:
        workers = counted(cost.workers_most, "worker")
        yield "core-hours", f"{hours * cost.worked_cases / 1000:.3g} with {workers}"
        yield "core-hours for 1,000 cases", f"{hours:.3g}"
    yield "largest memory of a worker", _megabytes(cost.worker_peak_bytes)
    yield "memory of the driver", _megabytes(cost.driver_peak_bytes)
    yield "read, written", f"{_megabytes(cost.read_bytes)}, {_megabytes(cost.written_bytes)}"
    yield "seconds of a case (median)", ", ".join(f"{stage.stage} {stage.p50_s:.2g}" for stage in cost.stages)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
