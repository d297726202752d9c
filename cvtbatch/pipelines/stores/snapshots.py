"""Snapshots as documents: made, listed, shown, verified; and a case erased."""

from dataclasses import asdict

from cvtbatch.pipelines.stores.duplicates import OF_CASES, OF_VOLUMES, find_duplicates
from cvtbatch.store import (
    FeatureStore,
    Selection,
    create_snapshot,
    erase_case,
    read_snapshot,
    read_snapshots,
    verify_snapshot,
)

Document = dict[str, object]


def create(url: str, name: str, selection: Selection) -> Document:
    """Freeze rows under a name, and return the JSON document of `cvtbatch snapshot create --json`.

    Raises:
        InputError: as `create_snapshot`.
        StorageError, FormatError: as `FeatureStore.open_for_writing`.
    """
    store = FeatureStore.open_for_writing(url, existing=True)
    snapshot, created, view = create_snapshot(store, name, selection, "snapshot create")
    volumes, cases = view.condensed("volumes", OF_VOLUMES), view.condensed("cases", OF_CASES)
    return {
        "command": "snapshot create",
        "created": created,
        "snapshot": snapshot.to_document(),
        "duplicates": find_duplicates(view, volumes.keys, cases.keys),
    }


def list_all(url: str) -> Document:
    """Return the JSON document of `cvtbatch snapshot list --json`, oldest first."""
    found = [snapshot.to_document() for snapshot in read_snapshots(FeatureStore(url))]
    return {"command": "snapshot list", "snapshots": found}


def show(url: str, name: str) -> Document:
    """Return the JSON document of `cvtbatch snapshot show --json`.

    Raises:
        InputError: there is no such snapshot.
    """
    return {"command": "snapshot show", "snapshot": read_snapshot(FeatureStore(url), name).to_document()}


def verify(url: str, name: str, checksums: bool) -> Document:
    """Recompute a snapshot, and return the JSON document of `cvtbatch snapshot verify --json`.

    Args:
        checksums: read every volume and mask too.

    Raises:
        InputError: there is no such snapshot.
    """
    store = FeatureStore(url)
    snapshot = read_snapshot(store, name)
    discrepancies = verify_snapshot(store, snapshot, checksums)
    return {
        "command": "snapshot verify",
        "name": name,
        "content_digest": snapshot.content_digest,
        "erased_cases": snapshot.erased_cases,
        "checksums": checksums,
        "verified": not discrepancies,
        "discrepancies": [asdict(discrepancy) for discrepancy in discrepancies],
    }


def forget(url: str, case_key: str, from_snapshots: bool) -> Document:
    """Erase a case, and return the JSON document of `cvtbatch forget --json`; arguments and errors as for `erase_case`."""
    erasure = erase_case(FeatureStore.open_for_writing(url, existing=True), case_key, from_snapshots)
    return {"command": "forget", "from_snapshots": from_snapshots, **asdict(erasure)}
