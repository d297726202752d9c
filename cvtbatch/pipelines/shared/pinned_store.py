"""A store as a command reads it: pinned to a snapshot, one that it is given or one that is recorded for it."""

from dataclasses import dataclass

from cvtbatch.errors import StorageError
from cvtbatch.store import FeatureStore, Location, Snapshot, View, automatic_snapshot, read_snapshot

# A store that can be read where none can be written.
UNWRITABLE = {"store_not_writable", "store_denied", "no_hard_links", "overwrites"}


@dataclass(frozen=True, slots=True)
class PinnedStore:
    """A store and the snapshot of it that is read.

    Attributes:
        view: the rows that the snapshot froze.
    """

    store: FeatureStore
    snapshot: Snapshot
    view: View

    @property
    def name(self) -> str:
        """Name of the snapshot."""
        return self.snapshot.name

    @property
    def content_digest(self) -> str:
        """Digest of the rows that the snapshot froze."""
        return self.snapshot.content_digest


def open_pinned(url: str, snapshot: str | None, purpose: str, *, for_writing: bool = False) -> PinnedStore:
    """Open an existing store at a snapshot.

    Args:
        snapshot: its name; by default an automatic one of the rows as they are now, which is recorded unless it is there.
        purpose: what the snapshot is recorded for, e.g. "fit".
        for_writing: rows are to be appended to the store; so they are where a snapshot is recorded.

    Raises:
        InputError: there is no such snapshot.
        StorageError, FormatError: as `FeatureStore`, or the store cannot be written where it has to be.
    """
    url = Location.of(url).url
    writes = for_writing or snapshot is None
    try:
        store = FeatureStore.open_for_writing(url, existing=True) if writes else FeatureStore(url)
    except StorageError as error:
        if for_writing or error.kind not in UNWRITABLE:
            raise
        advice = "; a snapshot that it has (cvtbatch snapshot list) can be read without: name it by --snapshot"
        raise StorageError(error.kind, error.message + advice, error.private) from None
    found = automatic_snapshot(store, purpose) if snapshot is None else read_snapshot(store, snapshot)
    return PinnedStore(store, found, found.view(store))
