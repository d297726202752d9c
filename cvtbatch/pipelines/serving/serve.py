"""`cvtbatch serve`: polls an archive, and takes what is new in it through the pipelines that a person would call one by one.

The store remembers what became of each study once all of its batch is done. A batch that was broken off is done again: nothing is
fetched, extracted, scored or sent twice, since none of the pipelines does so.
"""

import datetime
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch.dicom_results.source_headers import quiet
from cvtbatch.errors import CvtbatchError, InputError, UnavailableError
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.source import open_source
from cvtbatch.pipelines.extraction.prometheus import published
from cvtbatch.pipelines.indexing.clinical_table import read_clinical_table
from cvtbatch.pipelines.serving.arrivals import Arrival, list_arrivals
from cvtbatch.pipelines.serving.batch_work import BatchWork, Told
from cvtbatch.pipelines.serving.clinical_watch import ClinicalTableError
from cvtbatch.pipelines.serving.figures import Figures, Round
from cvtbatch.pipelines.serving.memory import Became, Memory
from cvtbatch.pipelines.serving.outgoing import sort_out
from cvtbatch.pipelines.serving.round_plan import RoundPlan, batches, plan_round
from cvtbatch.pipelines.serving.serve_settings import ServeSettings
from cvtbatch.pipelines.serving.spool import open_spool
from cvtbatch.pipelines.shared.run_log import RunLog, log_folder
from cvtbatch.pipelines.shared.uid_key import UidKey, load_uid_key
from cvtbatch.run_id import make_run_id
from cvtbatch.spec import digest
from cvtbatch.store import FeatureStore, Location

# Of an archive that has answered before: it is asked again.
_PASSING = frozenset({"pacs_denied", "pacs_untrusted", "pacs_refused", "bad_pacs_credentials"})
# What no study's key is, and what is told when it is there again.
_ARCHIVE, _TABLE = "the archive", "the clinical table"
_BACK = {_ARCHIVE: "the archive answers again", _TABLE: "the clinical table can be used again"}
# The longest wait for an archive that is away, for a clinical table that is wrong, and for instances that cannot be had.
LONGEST_WAIT_S = 900.0


def default_log() -> Path:
    """Return where the log of all watches of this user lies."""
    return log_folder() / "serve.jsonl"


def default_spool(store_url: str) -> Path:
    """Return where the files of a batch lie, unless the user says so."""
    return log_folder() / "serve" / digest(Location.of(store_url).url)[:16]


@dataclass(slots=True)
class Waits:
    """For how long what failed is left alone: twice as long every time.

    Args:
        first_s: the first time.
    """

    first_s: float
    _counts: dict[str, int] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)

    def after(self, name: str) -> float:
        """Say that something failed again, and return for how many seconds it waits."""
        self._counts[name] = self._counts.get(name, 0) + 1
        wait_s = min(self.first_s * 2.0 ** (self._counts[name] - 1), max(LONGEST_WAIT_S, self.first_s))
        self._until[name] = time.monotonic() + wait_s
        return wait_s

    def forget(self, name: str) -> bool:
        """Say that something did not fail; return whether it had."""
        self._until.pop(name, None)
        return self._counts.pop(name, None) is not None

    def failed(self, name: str) -> bool:
        """Say whether something failed when it was last tried."""
        return name in self._counts

    def over(self, name: str) -> bool:
        """Say whether something need not wait."""
        return self._until.get(name, 0.0) <= time.monotonic()


def serve(
    settings: ServeSettings,
    spool_folder: Path,
    once: bool,
    say: Callable[[str], None],
    look: Callable[[], None] = lambda: None,
    on_round: Callable[[Round], None] = lambda _: None,
) -> None:
    """Watch an archive until KeyboardInterrupt; or poll it once, and do what is due.

    Args:
        spool_folder: where the files of a batch lie.
        say, look: see `Told`.
        on_round: told of every poll and its work.

    Raises:
        InputError: the store is watched already, or the spool is in use; of an archive that has never answered, why; pseudonyms
            cannot be given; the clinical table cannot be read, when the watch begins.
        ProblemsError: values of the clinical table are wrong, then.
        UnavailableError: an archive is away, or the clinical table cannot be used any more, of one poll alone.
        StorageError, ResourceError: the store or the workers gave out; what was committed stays.
    """
    if settings.index.clinical is not None:
        read_clinical_table(*settings.index.clinical)
    store = FeatureStore.open_for_writing(settings.store_url)
    uid_key = load_uid_key()
    run_id = make_run_id(datetime.datetime.now(datetime.UTC))
    figures = Figures()
    log = RunLog(run_id, settings.options.log, say)
    told = Told(say, look, log)
    with (
        quiet(),
        hold_store(store.location),
        open_spool(spool_folder) as spool,
        published(settings.metrics, figures),
    ):
        watch = Watch(
            settings, store, uid_key, BatchWork(settings, spool, figures, told), Memory(store, run_id, uid_key.key_id)
        )
        while True:
            wait_s = watch.round(on_round, once=once)
            if once:
                return
            _sleep(wait_s, look)


def _sleep(seconds: float, look: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left_s := end - time.monotonic()) > 0:
        look()
        time.sleep(min(left_s, 0.5))


class Watch:
    """What is watched, and how it stands."""

    def __init__(
        self, settings: ServeSettings, store: FeatureStore, uid_key: UidKey, work: BatchWork, memory: Memory
    ) -> None:
        self._settings, self._store, self._uid_key, self._work, self._memory = settings, store, uid_key, work, memory
        self._figures, self._told = work.figures, work.told
        self._retry_failed = settings.options.retry_failed
        self._waits = Waits(settings.every_s)

    def round(self, on_round: Callable[[Round], None], *, once: bool) -> float:
        """Poll, and do what is due until the next poll is; return for how many seconds to wait for that.

        Raises:
            as `serve`.
        """
        began = time.monotonic()
        found = Round()
        try:
            due = self._poll(found)
            for batch in batches(due, self._settings.most_series):
                self._carry_out(batch, found)
                if not once and time.monotonic() - began > self._settings.every_s:
                    break
        except (UnavailableError, InputError) as error:
            passes = isinstance(error, UnavailableError) or (error.kind in _PASSING and self._figures.polls)
            if once or not passes:
                raise
            return self._be_away(error)
        self._be_back(_ARCHIVE)
        found.seconds = round(time.monotonic() - began, 3)
        on_round(found)
        return max(0.0, self._settings.every_s - (time.monotonic() - began))

    def _poll(self, found: Round) -> Sequence[Arrival]:
        """Ask the archive what it has, remember what is new, and return what is due: what was begun comes first."""
        watched = self._settings.watched
        selection = watched.selected(datetime.date.today())
        arrivals = list[Arrival]()
        try:
            with open_source(watched.source, Retries()) as connect, closing(connect()) as archive:
                for arrival in list_arrivals(archive, selection, self._uid_key):
                    arrivals.append(arrival)
                    self._told.look()
        except CvtbatchError:
            self._figures.answers = False
            raise
        plan = self._plan(arrivals)
        self._memory.write([(arrival, Became("seen")) for arrival in (*plan.fresh, *plan.reopened)])
        due = [arrival for arrival in plan.due if self._waits.over(arrival.key)]
        due.sort(key=lambda arrival: not self._work.spool.has(arrival))
        found.studies, found.fresh, found.due, found.erased = len(arrivals), len(plan.fresh), len(due), len(plan.erased)
        self._figures.polled(found)
        # What a watch that was killed has left of studies that are done.
        self._work.spool.keep(due)
        return due

    def _plan(self, arrivals: Sequence[Arrival]) -> RoundPlan:
        known = self._memory.known()
        seen_before = [arrival for arrival in arrivals if arrival.key in known]
        held = [arrival for arrival in seen_before if known[arrival.key].state == "held"]
        grew = any(known[arrival.key].content != arrival.content for arrival in seen_before)
        stored = self._stored_cases() if held or grew else {}
        retry_failed, self._retry_failed = self._retry_failed, False
        return plan_round(arrivals, known, stored, self._released(held, stored), retry_failed=retry_failed)

    def _stored_cases(self) -> Mapping[str, Sequence[str]]:
        """Return the case_keys of every study that has a volume, by its volume hash."""
        found: dict[str, list[str]] = {}
        for row in self._store.at(None).rows("volumes", ["study_uid_hash", "case_key"]).to_pylist():
            found.setdefault(row["study_uid_hash"], []).append(row["case_key"])
        return found

    def _released(self, held: Sequence[Arrival], stored: Mapping[str, Sequence[str]]) -> set[str]:
        """Return the keys of studies whose outlines need not wait for a review any more."""
        results = self._settings.results
        if results is None or not results.sends or not held:
            return set()
        cases = {arrival.key: stored.get(arrival.volume_hash, ()) for arrival in held}
        every = [case for keys in cases.values() for case in keys]
        waiting = sort_out(self._store.at(None), every, send_unreviewed=results.send_unreviewed).waiting
        return {key for key, keys in cases.items() if keys and waiting.isdisjoint(keys)}

    def _carry_out(self, batch: Sequence[Arrival], found: Round) -> None:
        """Do all of a batch, and remember it."""
        became = self._work.carry_out(batch)
        self._be_back(_TABLE)
        self._memory.write([(arrival, became[arrival.key]) for arrival in batch])
        self._work.spool.keep(())
        self._figures.queue -= len(batch)
        for arrival in batch:
            one = became[arrival.key]
            found.add(one)
            self._figures.add(one)
            self._told.say(f"{arrival.name}: {one}")
            if one.state == "incomplete":
                self._waits.after(arrival.key)
            else:
                self._waits.forget(arrival.key)

    def _be_away(self, error: CvtbatchError) -> float:
        """Tell, once, that an archive is away, or a table wrong; return for how many seconds to wait."""
        what, event = _ARCHIVE, "archive_away"
        if isinstance(error, ClinicalTableError):
            what, event = _TABLE, "clinical_table_wrong"
            self._be_back(_ARCHIVE)
        first = not self._waits.failed(what)
        self._told.log.write("warning", event, kind=error.kind, message=error.message, private=error.private)
        wait_s = self._waits.after(what)
        if first:
            self._told.say(
                f"{error.message}; tried again until it works, after waits of up to {LONGEST_WAIT_S / 60:.0f} minutes"
            )
        return wait_s

    def _be_back(self, what: str) -> None:
        """Tell that the archive or the table, if it failed, does not any more."""
        if self._waits.forget(what):
            self._told.say(_BACK[what])


@contextmanager
def hold_store(location: Location) -> Iterator[None]:
    """Keep other watches of this machine, and of others that share its file system, off a store while the block lasts.

    A store on S3 has no lock: two watches there do everything twice, and the store keeps it once.

    Raises:
        InputError: "store_watched".
    """
    if location.scheme != "file":
        yield
        return
    descriptor = os.open(location.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            "store_watched", "another `cvtbatch serve` fills this store: end it, or name another store"
        ) from None
    except OSError:  # some network drives have no locks of folders
        return
