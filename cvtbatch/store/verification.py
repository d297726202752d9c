"""Snapshots compared with what was recorded of them: rows, digests, specifications, volumes and masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cvtbatch.errors import CvtbatchError
from cvtbatch.spec import Spec
from cvtbatch.store.content import content_digest
from cvtbatch.store.measuring import measure
from cvtbatch.store.opened import OpenedStore
from cvtbatch.store.reading import View
from cvtbatch.store.snapshots import Snapshot
from cvtbatch.store.stored_array import StoredArray


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """In what a snapshot is not what was recorded; `table` is empty for the whole."""

    table: str
    what: str
    recorded: str
    found: str


def verify_snapshot(store: OpenedStore, snapshot: Snapshot, checksums: bool = False) -> list[Discrepancy]:
    """Return in what a snapshot differs from what was recorded; empty if in nothing.

    Args:
        checksums: read every volume and mask too, not just look whether its objects are there.
    """
    view = snapshot.view(store)
    found: list[Discrepancy] = []
    measured: dict[str, tuple[int, str]] = {}
    for name, frozen in snapshot.tables.items():
        try:
            now = measure(view, {name: frozen.pin})[0][name]
        except CvtbatchError as error:
            found.append(Discrepancy(name, "readable", "yes", error.message))
            continue
        measured[name] = (now.rows, now.digest)
        if now.rows != frozen.rows:
            found.append(Discrepancy(name, "rows", str(frozen.rows), str(now.rows)))
        if now.digest != frozen.digest:
            found.append(Discrepancy(name, "digest", frozen.digest, now.digest))
    digest = content_digest(measured)
    if digest != snapshot.content_digest and not found:
        found.append(Discrepancy("", "content digest", snapshot.content_digest, digest))
    if not any(problem.what == "readable" for problem in found):
        found += _check_specs(view.specs(), snapshot.named_specs)
        found += _check_objects(store, view, checksums)
    return found


def _check_specs(specs: Mapping[str, Spec], named: Sequence[str]) -> list[Discrepancy]:
    """Return the specifications that are gone, or whose settings no longer have the digest that is their id."""
    found = []
    for spec_id in named:
        now = specs[spec_id].spec_id if spec_id in specs else "absent"
        if now != spec_id:
            found.append(Discrepancy("specs", "settings", spec_id, now))
    return found


def _check_objects(store: OpenedStore, view: View, checksums: bool) -> list[Discrepancy]:
    """Return the volumes and masks that are gone or damaged."""
    from cvtbatch.store.volumes import array_problems

    arrays = [
        (name, StoredArray(row["path"], row["checksum"]))
        for name in ("volumes", "rois")
        for row in view.rows(name, ["path", "checksum"]).to_pylist()
    ]
    problems = array_problems(store.location, [array for _, array in arrays], checksums)
    return [
        Discrepancy(name, "object", array.path, problems[array.path])
        for name, array in arrays
        if array.path in problems
    ]
