"""`cvtbatch pull`: the series of an archive that are wanted, into a folder, as far as they are not there.

The archive is listed first, then series are fetched side by side, each by `series_pull`. A later run goes by what is in the folder
alone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.extras import require
from cvtbatch.pacs.addresses import Dimse
from cvtbatch.pacs.archive import REFUSED, Archive, Series
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.source import Connect, Source, open_source
from cvtbatch.pipelines.shared.pull_pace import Pace
from cvtbatch.pipelines.shared.pull_selection import Selection, find_studies
from cvtbatch.pipelines.shared.pulled_files import PulledFiles, folder_of, opened_folder, study_folder
from cvtbatch.pipelines.shared.series_pull import SeriesOutcome, pull_series

# How long a signal of the user's may wait.
_LOOK_SECONDS = 0.2
Show = Callable[[str, int, int, int], None]


@dataclass(slots=True)
class PullReport:
    """What was pulled, for people and as the JSON document of `cvtbatch pull --json`.

    Attributes:
        studies, series: that are wanted.
        instances: of these series, as the archive lists them; in a dry run as it counts them.
        there: instances that were there before.
        fetched: instances that came, of `size` bytes.
        grew: folders of series of which the archive has more by now; the next run takes it.
        failed: series of which instances are missing, and studies of which the archive does not tell the series.
        unknown_accessions: of the selection, without a study.
    """

    out: str
    dry_run: bool
    studies: int = 0
    series: int = 0
    instances: int = 0
    there: int = 0
    fetched: int = 0
    size: int = 0
    seconds: float = 0.0
    grew: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    unknown_accessions: tuple[str, ...] = ()

    def add(self, outcome: SeriesOutcome) -> None:
        """Add what became of a series."""
        self.instances += outcome.listed
        self.there += outcome.there
        self.fetched += outcome.fetched
        self.size += outcome.size
        if outcome.grew:
            self.grew.append(str(folder_of(outcome.series)))
        if outcome.failure is not None:
            self.fail(folder_of(outcome.series), outcome.failure)

    def fail(self, folder: PurePath, error: CvtbatchError) -> None:
        """Add a series, or a study, of which something is missing."""
        self.failed.append({"folder": str(folder), "kind": error.kind, "message": error.message})

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        names = ("out", "dry_run", "studies", "series", "instances", "there", "fetched")
        return {
            "command": "pull",
            **{name: getattr(self, name) for name in names},
            "bytes": self.size,
            "seconds": self.seconds,
            "grew": self.grew,
            "failed": self.failed,
            "unknown_accessions": len(self.unknown_accessions),
        }


def pull(
    source: Source,
    selection: Selection,
    out: Path,
    pace: Pace,
    connections: int,
    *,
    dry_run: bool = False,
    show: Show = lambda *_: None,
    on_failed: Callable[[str, str], None] = lambda *_: None,
) -> PullReport:
    """Fetch what is wanted of an archive and is not in a folder.

    Args:
        pace: of this pull, which ends with it.
        connections: series that are fetched at once.
        dry_run: list alone.
        show: told a stage ("list", "fetch"), how many studies or series of it are done, are known, and failed; may raise.
        on_failed: told the folder of a series or study and why some of it is missing, with what is private.

    Raises:
        InputError: the archive does not let us in, cannot be trusted, or is none; the folder cannot be written, or is in use.
        UnavailableError: the archive is away; what came is there, and the same call goes on.
        ResourceError: libraries are missing.
    """
    if isinstance(source.address, Dimse):
        require("DIMSE needs", "pynetdicom")
    started = time.monotonic()
    report = PullReport(str(out), dry_run)
    retries = Retries(sleep=pace.sleep)
    with ExitStack() as stack:
        connect = stack.enter_context(open_source(source, retries))
        files = None if dry_run else stack.enter_context(opened_folder(out))
        wanted = _list(connect, selection, report, show, on_failed)
        if files is None:
            report.instances = sum(series.instances or 0 for series in wanted)
        else:

            def on_look(done: int) -> None:
                show("fetch", done, len(wanted), len(report.failed))

            for outcome in fetch_series(connect, wanted, files, pace, retries, connections, on_look):
                report.add(outcome)
                if outcome.failure is not None:
                    on_failed(str(folder_of(outcome.series)), str(outcome.failure))
    report.seconds = time.monotonic() - started
    return report


def _list(
    connect: Connect, selection: Selection, report: PullReport, show: Show, on_failed: Callable[[str, str], None]
) -> Sequence[Series]:
    """Return the series that are wanted, and count studies."""
    wanted: dict[str, Series] = {}
    accessions = set[str]()
    with closing(connect()) as archive:
        for number, study in enumerate(find_studies(archive, selection), start=1):
            accessions.add(study.accession)
            try:
                found = [series for series in archive.series(study.uid) if selection.takes(study, series)]
            except InputError as error:
                if error.kind != REFUSED:
                    raise
                report.fail(study_folder(study.uid), error)
                on_failed(str(study_folder(study.uid)), str(error))
            else:
                wanted.update((series.uid, series) for series in found)
                report.studies += bool(found)
            show("list", number, number + 1, len(report.failed))
    report.series = len(wanted)
    report.unknown_accessions = tuple(one for one in selection.accessions or () if one not in accessions)
    return list(wanted.values())


class _Fetch:
    """Pulls one series after the other in each thread, over a connection of its own."""

    def __init__(self, connect: Connect, files: PulledFiles, pace: Pace, retries: Retries) -> None:
        self._connect, self._files, self._pace, self._retries = connect, files, pace, retries
        self._connections = threading.local()
        self._opened: list[Archive] = []

    def __call__(self, series: Series) -> SeriesOutcome:
        if not hasattr(self._connections, "archive"):
            self._connections.archive = self._connect()
            self._opened.append(self._connections.archive)
        return pull_series(self._connections.archive, series, self._files, self._pace, self._retries)

    def close(self) -> None:
        """Close all connections."""
        for archive in self._opened:
            archive.close()


def fetch_series(
    connect: Connect,
    wanted: Sequence[Series],
    files: PulledFiles,
    pace: Pace,
    retries: Retries,
    connections: int,
    on_look: Callable[[int], None] = lambda _: None,
) -> Iterator[SeriesOutcome]:
    """Fetch what is missing of series, some at once, and yield what becomes of each; of one that raises, what came is there.

    Args:
        pace: of these series, which ends with them.
        on_look: told several times a second how many are done; may raise.

    Raises:
        as `pull_series`.
    """
    fetch = _Fetch(connect, files, pace, retries)
    threads = ThreadPoolExecutor(connections, thread_name_prefix="cvtbatch-pull")
    ahead, left = set[Future[SeriesOutcome]](), iter(wanted)
    done = 0
    try:
        while True:
            ahead.update(threads.submit(fetch, series) for series in islice(left, 2 * connections - len(ahead)))
            if not ahead:
                return
            ended, ahead = wait(ahead, _LOOK_SECONDS, FIRST_COMPLETED)
            for future in ended:
                yield future.result()
            done += len(ended)
            on_look(done)
    finally:
        pace.stop()
        # A thread that waits for an answer of the network is left to itself: what it writes is whole or not there.
        threads.shutdown(wait=False, cancel_futures=True)
        fetch.close()
