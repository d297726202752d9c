"""One series out of an archive: what is not there is fetched, each instance looked at before it is kept."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cvtbatch.counts import counted
from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.pacs.archive import REFUSED, Archive, Series
from cvtbatch.pacs.instances import DAMAGED_INSTANCE, read_instance
from cvtbatch.pacs.retries import Retries, away
from cvtbatch.pipelines.shared.pull_pace import Pace
from cvtbatch.pipelines.shared.pulled_files import PulledFiles

Answer = TypeVar("Answer")
# Of one series alone; every other error would be the next one's too.
_OF_A_SERIES = frozenset({REFUSED, DAMAGED_INSTANCE})


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """What became of a series.

    Attributes:
        listed: instances that the archive has of it.
        there: of these, those that were there before.
        fetched: those that came now, of `size` bytes.
        grew: the archive has more of them now than when they were listed.
        failure: why some are missing; None where none are.
    """

    series: Series
    listed: int = 0
    there: int = 0
    fetched: int = 0
    size: int = 0
    grew: bool = False
    failure: InputError | UnavailableError | None = None


def pull_series(archive: Archive, series: Series, files: PulledFiles, pace: Pace, retries: Retries) -> SeriesOutcome:
    """Fetch what is missing of a series.

    Args:
        retries: of fetching; each attempt asks for what is missing still.

    Raises:
        InputError: what is no fault of this series: credentials, a folder that cannot be written.
        UnavailableError: the archive is away.
        StoppedError: the pull was stopped.
    """
    pace.begin()
    listed: Sequence[str] = ()
    pull = _SeriesPull(archive, series, files, pace)
    failure: InputError | UnavailableError | None
    try:
        listed = archive.instances(series)
        pull.expect(listed)
        pull.fetch(retries)
        failure = _short(series, listed)
    except (InputError, UnavailableError) as error:
        if isinstance(error, InputError) and error.kind not in _OF_A_SERIES:
            raise
        # Where it is away this raises: there is no use in asking for the next series.
        _unless_refused(lambda: archive.series(series.study_uid))
        failure = error
    grew = bool(pull.fetched) and not set(_unless_refused(lambda: archive.instances(series))) <= set(listed)
    return SeriesOutcome(series, len(listed), pull.there, pull.fetched, pull.size, grew, failure)


def _unless_refused(ask: Callable[[], Sequence[Answer]]) -> Sequence[Answer]:
    """Return an answer, or nothing where the archive refuses one: a study may be gone meanwhile."""
    try:
        return ask()
    except InputError as error:
        if error.kind != REFUSED:
            raise
        return ()


def _short(series: Series, listed: Sequence[str]) -> InputError | None:
    """Return what is wrong where an archive lists fewer instances than it counts."""
    if series.instances is None or len(listed) >= series.instances:
        return None
    return InputError(
        REFUSED, f"the archive lists {counted(len(listed), 'instance')} of the series, and counts {series.instances}"
    )


class _SeriesPull:
    """What is known of the instances of a series while they come.

    Attributes:
        there, fetched, size: see `SeriesOutcome`.
    """

    def __init__(self, archive: Archive, series: Series, files: PulledFiles, pace: Pace) -> None:
        self._archive, self._series, self._files, self._pace = archive, series, files, pace
        self._missing: dict[str, None] = {}
        self._whole = False
        self._damage: InputError | None = None
        self.there = self.fetched = self.size = 0

    def expect(self, listed: Sequence[str]) -> None:
        """Look at what is there of the instances that the archive lists."""
        self._missing = {uid: None for uid in listed if not self._files.has(self._series, uid)}
        self.there = len(listed) - len(self._missing)
        self._whole = not self.there

    def fetch(self, retries: Retries) -> None:
        """Fetch what is missing.

        Raises:
            InputError, UnavailableError: not all of it came.
        """
        if self._missing:
            try:
                retries.run(self._attempt)
            except UnavailableError:
                if self._damage is not None:
                    raise self._damage from None
                raise

    def _attempt(self) -> None:
        """Ask for what is missing: at once where that is the whole series and this was not tried yet."""
        whole, self._whole, self._damage = self._whole, False, None
        try:
            self._archive.fetch(self._series, tuple(self._missing), self._take, whole=whole)
        except InputError as error:
            # One instance that it cannot give may keep it from giving the others.
            if not whole or error.kind != REFUSED:
                raise
        if self._missing:
            raise away(f"{len(self._missing):,} of {counted(self._count, 'instance')} did not come")

    @property
    def _count(self) -> int:
        return self.there + self.fetched + len(self._missing)

    def _take(self, content: bytes) -> None:
        self._pace.spend(len(content))
        try:
            instance = read_instance(io.BytesIO(content))
        except InputError as error:
            self._damage = error
            return
        if instance.series_uid == self._series.uid and instance.sop_uid in self._missing:
            self._files.write(self._series, instance.sop_uid, content)
            del self._missing[instance.sop_uid]
            self.fetched += 1
            self.size += len(content)
