"""What there is to look at in a store: its cases, with where their voxels and outlines are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cvtbatch.manifest import require_centers
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.pipelines.shared.reviewed import Reviews, read_reviews
from cvtbatch.reviewing.cases import Item, Outline, ReviewCase
from cvtbatch.store import StoredArray, View

Row = Mapping[str, Any]
VOLUMES = [
    "case_key",
    "center",
    "volume_spec_id",
    "image_digest",
    "path",
    "checksum",
    "spacing_mm",
    "direction",
    "flags",
]
ROIS = [
    *("case_key", "volume_spec_id", "roi_key", "roi", "reader", "reading", "outline_spec_id", "input_digest", "path"),
    *("checksum", "source_volume_ml", "largest_slice", "box_start_zyx", "box_size_zyx", "flags"),
]
OUTLINES = ["case_key", "volume_spec_id", "outline_spec_id", "reader", "state", "rois", "agreement"]


@dataclass(frozen=True, slots=True)
class StoredMask:
    """Where the mask of an outline lies, and the slices that it begins and ends in and has its largest area in."""

    array: StoredArray
    roi: str
    first: int
    last: int
    largest: int


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case to look at, with its voxels.

    Attributes:
        masks: of its outlines, in order.
        spacing_xy_mm, direction: of the stored grid.
    """

    case: ReviewCase
    volume: StoredArray
    spacing_xy_mm: tuple[float, float]
    direction: tuple[float, ...]
    masks: tuple[StoredMask, ...]


def read_worklist(
    view: View, centers: Sequence[str] = (), readers: Sequence[str] = (), unreviewed: bool = False
) -> list[StoredCase]:
    """Return the cases of a store that can be looked at: those with a volume, of several of one case the newest.

    Args:
        centers: only these; all where none is named.
        readers: only outlines of these, of a method those of its newest reader; cases without any outline are there all the same.
        unreviewed: only outlines, and cases without one, of which the store has no verdict.

    Raises:
        InputError: there is no such centre or reader.
    """
    volumes = {
        row["case_key"]: row for row in view.rows("volumes", [*VOLUMES, "sequence"]).sort_by("sequence").to_pylist()
    }
    rois = _by_volume(view.outlines(ROIS))
    if centers:
        require_centers(centers, {*view.centers(), *(row["center"] for row in volumes.values())})
        volumes = {key: row for key, row in volumes.items() if row["center"] in centers}
    readings = read_readings(view, (), centers)
    wanted = {readings.find(name).reader for name in readers}
    found = _by_volume(view.rows("outlines", OUTLINES))
    reviews = read_reviews(view)
    cases = []
    for key, volume in volumes.items():
        of_volume = (key, volume["volume_spec_id"])
        own = [row for row in rois[of_volume] if not wanted or row["reader"] in wanted]
        if rois[of_volume] and not own:
            continue
        case = _stored_case(volume, own, found[of_volume], reviews, unreviewed)
        if case is not None:
            cases.append(case)
    return cases


def _by_volume(rows: pa.Table) -> Mapping[tuple[str, str], list[Row]]:
    """Return rows by case_key and volume_spec_id; none where there are none."""
    by_volume: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows.to_pylist():
        by_volume[row["case_key"], row["volume_spec_id"]].append(row)
    return by_volume


def _stored_case(
    volume: Row, rois: Sequence[Row], found: Sequence[Row], reviews: Reviews, unreviewed: bool
) -> StoredCase | None:
    """Return a case of some outlines; None where only what has no verdict is wanted and everything has one.

    Args:
        found: rows of `outlines`.
    """
    key, image = volume["case_key"], volume["image_digest"]
    agreements = {(row["outline_spec_id"], row["rois"][0]): row["agreement"] for row in found if row["rois"]}
    outlines, masks = [], []
    for row in sorted(rois, key=lambda row: (row["roi"], row["reader"], row["reading"])):
        given = reviews.get((key, row["roi_key"], row["input_digest"]))
        if unreviewed and given:
            continue
        item = Item(key, row["roi_key"], row["input_digest"], given)
        agreement = agreements.get((row["outline_spec_id"], row["roi"]))
        flags = tuple(row["flags"] or ())
        outlines.append(
            Outline(item, row["roi"], row["reader"], row["reading"], row["source_volume_ml"], flags, agreement)
        )
        masks.append(_stored_mask(row))
    given = None if rois else reviews.get((key, "", image))
    if unreviewed and (given or (rois and not outlines)):
        return None
    negative = tuple(sorted(row["reader"] for row in found if row["state"] == "no_hemorrhage"))
    x_mm, y_mm, _ = volume["spacing_mm"]
    return StoredCase(
        ReviewCase(key, image, tuple(volume["flags"] or ()), tuple(outlines), negative, given),
        StoredArray(volume["path"], volume["checksum"]),
        (x_mm, y_mm),
        tuple(volume["direction"]),
        tuple(masks),
    )


def _stored_mask(row: Row) -> StoredMask:
    first, size = row["box_start_zyx"][0], row["box_size_zyx"][0]
    array = StoredArray(row["path"], row["checksum"])
    return StoredMask(array, row["roi"], first, first + size - 1, row["largest_slice"])
