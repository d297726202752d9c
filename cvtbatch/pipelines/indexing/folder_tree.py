"""The folders of an archive as they were read: which lie below which, and what lies in each."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cvtbatch.pipelines.indexing.header_cache import HeaderCache
from cvtbatch.pipelines.indexing.scan import prefix_of

_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class PackedFiles:
    """Files of a folder, packed, and what their names begin with."""

    folder: str
    prefix: str
    packed: bytes


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What lies in a folder besides the readable DICOM files of a study.

    Attributes:
        path: below the root.
        rest: files that are no readable DICOM.
        notes: reason and path below the root of what was passed over unopened.
        unavailable: paths that the system could not give.
        series: how many CT slices of each SeriesInstanceUID, of all studies.
    """

    path: str
    is_archive: bool
    rest: tuple[PackedFiles, ...]
    notes: Sequence[tuple[str, str]]
    unavailable: Sequence[str]
    series: Mapping[str, int]


class FolderTree:
    """The folders of the run.

    Args:
        rest: numbers of the parts of a folder that are of no study.
        series: of each folder.
    """

    def __init__(
        self, root: Path, cache: HeaderCache, rest: Mapping[int, Sequence[int]], series: Mapping[int, Counter[str]]
    ) -> None:
        self._root, self._cache, self._rest, self._series = root, cache, rest, series
        found = sorted((path, number, archive) for number, path, archive in cache.folders())
        self._paths = [path for path, _, _ in found]
        self._numbers = [number for _, number, _ in found]
        self._archives = {number for _, number, archive in found if archive}
        self._places = {number: place for place, number in enumerate(self._numbers)}
        self.facts = lru_cache(maxsize=_REMEMBERED)(self._facts)

    def path(self, number: int) -> str:
        return self._paths[self._places[number]]

    def is_archive(self, number: int) -> bool:
        return number in self._archives

    def packed(self, number: int, parts: Iterable[int]) -> tuple[PackedFiles, ...]:
        """Return parts of a folder."""
        path = self.path(number)
        prefix = prefix_of(self._root, path, is_archive=self.is_archive(number))
        return tuple(PackedFiles(path, prefix, self._cache.packed(part)) for part in parts)

    def below(self, path: str) -> Iterator[int]:
        """Yield the numbers of a folder and of all below it, packed archives in it left out: nobody looks into those by it."""
        own = bisect_left(self._paths, path)
        if own < len(self._paths) and self._paths[own] == path:
            yield self._numbers[own]
        first, end = (bisect_left(self._paths, f"{path}{mark}") for mark in "/0") if path else (0, len(self._paths))
        for place in range(first, end):
            if self._paths[place] != path and self._numbers[place] not in self._archives:
                yield self._numbers[place]

    def _facts(self, number: int) -> FolderFacts:
        notes, unavailable = self._cache.notes_of(number)
        rest = self.packed(number, self._rest.get(number, ()))
        return FolderFacts(
            self.path(number), self.is_archive(number), rest, notes, unavailable, dict(self._series.get(number, {}))
        )
