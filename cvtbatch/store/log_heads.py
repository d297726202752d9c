"""How far the log of every table is known to reach: what tells that the newest commits of a table are gone.

A log that lost its last entries is a shorter, faultless log. So whoever commits leaves an empty object behind,

    STORE/heads/TABLE/VERSION

after the commit: a log that ends before the largest version has lost something. Objects are only created, so that writers beside
each other need no order; a commit whose writer was killed before it left its object is one version more than is known, which is
no fault, and the next commit covers it. Smaller versions say nothing more and are removed by the writer that left them, or by the
next that opens the store. The folder sorts before `tables/`: what copies a store in order copies it first.
"""

import re
from collections import Counter

from cvtbatch.store.location import Location
from cvtbatch.store.objects import list_objects, put, remove_objects

FOLDER = "heads"
KEY = re.compile(rf"{FOLDER}/([A-Za-z0-9_-]+)/(\d{{20}})")
# How many versions that say nothing more a writer leaves until it removes them, in one request.
STALE_TOGETHER = 20


class Heads:
    """The largest recorded version of every table; read once, since a bound from below does not age."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._newest: Counter[str] | None = None
        self._left: dict[str, list[int]] = {}

    def newest(self, table: str) -> int:
        """Return the largest version of a table that was recorded; -1 for none.

        Raises:
            StorageError: the store cannot be listed.
        """
        return self._known().get(table, -1)

    def _known(self) -> Counter[str]:
        """Return the largest version of every table that has one; listed once."""
        if self._newest is None:
            self._newest = Counter()
            for table, version in self._listed():
                self._newest[table] = max(version, self._newest.get(table, -1))
        return self._newest

    def _listed(self) -> list[tuple[str, int]]:
        """Return every recorded version, by table."""
        keys = (KEY.fullmatch(entry.key) for entry in list_objects(self._location, f"{FOLDER}/"))
        return [(key[1], int(key[2])) for key in keys if key is not None]

    def record(self, table: str, version: int) -> None:
        """Record that a version of a table was committed.

        Raises:
            StorageError: the store cannot be written.
        """
        if version <= self.newest(table):
            return
        put(self._location, _key(table, version), b"")
        self._known()[table] = version
        left = self._left.setdefault(table, [])
        if len(left) >= STALE_TOGETHER:
            remove_objects(self._location, [_key(table, stale) for stale in left])
            left.clear()
        left.append(version)

    def remove_stale(self) -> None:
        """Remove what says nothing more.

        Raises:
            StorageError: the store cannot be written.
        """
        stale = [(table, version) for table, version in self._listed() if version < self.newest(table)]
        remove_objects(self._location, [_key(table, version) for table, version in stale])


def _key(table: str, version: int) -> str:
    return f"{FOLDER}/{table}/{version:020}"
