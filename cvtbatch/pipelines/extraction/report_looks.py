"""What a person should look at after a run: flags of what the store has of a manifest, and pictures of its unusual outlines."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Manifest
from cvtbatch.reporting.flag_words import MEANINGS
from cvtbatch.reporting.outlined_slice import OutlinedSlice, to_data_url
from cvtbatch.reporting.run_page import FlagCount, Thumbnail
from cvtbatch.store import IS_OUTLINE, REGION, FeatureStore, StoredArray, View

# By which rows are found and told to be of a manifest, what is looked at of all of them, and what is drawn of a few.
OF_MANIFEST = ("center", "case_id", "volume_spec_id")
OF_VOLUMES, OF_ROIS = ("case_key", "flags"), ("case_key", "flags", "volume_ml", "hu_p50")
DRAWN_VOLUMES = ("case_key", "path", "checksum", "spacing_mm", "direction")
DRAWN_ROIS = ("case_key", "roi_key", "path", "checksum", "source_volume_ml", "hu_p50", "largest_slice")
MOST_THUMBNAILS = 24
EXTREMES = 2
"""Outlines that are shown of each extreme."""
FEWEST = 5
"""Outlines among which there is an extreme."""
DRAWING_SECONDS = 15.0
"""After so long no further picture is begun: a store may be far away."""
EVERY_FOUND_OUTLINE = "auto"
PLACE = "place"
Row = Mapping[str, Any]


def look_at_outlines(
    store: FeatureStore, manifest: Manifest, volume_spec_id: str
) -> tuple[tuple[FlagCount, ...], tuple[Thumbnail, ...]]:
    """Return the flags of the images and outlines of a manifest, and pictures of some outlines: at most 24, in bounded time.

    Raises:
        StorageError, FormatError: the tables cannot be read.
    """
    view = store.view()
    # A row is looked at before what it stands on.
    view.pin("rois")
    volumes = _of_manifest(view, "volumes", OF_VOLUMES, manifest, volume_spec_id)
    rois = _of_manifest(view, "rois", (*OF_ROIS, REGION), manifest, volume_spec_id).filter(IS_OUTLINE)
    flags = (*_count_flags(volumes, "image"), *_count_flags(rois, "outline"))
    chosen = _unusual(volumes, rois)
    whole_rois = _rows_at(view, "rois", DRAWN_ROIS, rois[PLACE].take(pa.array(list(chosen), pa.int64())))
    whole_volumes = _rows_at(
        view,
        "volumes",
        DRAWN_VOLUMES,
        volumes.filter(pc.is_in(volumes["case_key"], value_set=whole_rois["case_key"]))[PLACE],
    )
    return flags, tuple(_draw(store, whole_volumes, whole_rois, list(chosen.values())))


def _of_manifest(view: View, name: str, columns: Sequence[str], manifest: Manifest, volume_spec_id: str) -> pa.Table:
    """Return some columns of the current rows of a manifest, and their places among all that are current, as `PLACE`."""
    schema = view.contract(name).arrow()
    kept, start = [pa.schema([*(schema.field(column) for column in columns), (PLACE, pa.int64())]).empty_table()], 0
    for batch in view.current(name, [*columns, *OF_MANIFEST]):
        there = manifest.find(zip(batch["center"].to_pylist(), batch["case_id"].to_pylist(), strict=True)) >= 0
        own = np.flatnonzero(there & np.asarray(pc.equal(batch["volume_spec_id"], volume_spec_id)))
        rows = pa.Table.from_batches([batch.select(list(columns)).take(pa.array(own))])
        kept.append(rows.append_column(PLACE, pa.array(own + start)))
        start += batch.num_rows
    return pa.concat_tables(kept)


def _rows_at(view: View, name: str, columns: Sequence[str], places: pa.ChunkedArray) -> pa.Table:
    """Return columns of the rows at some places among those that are current, in the order of the places."""
    wanted, start = np.asarray(places), 0
    found, parts = [], [pa.schema([view.contract(name).arrow().field(column) for column in columns]).empty_table()]
    for batch in view.current(name, columns) if len(wanted) else ():
        here = np.flatnonzero((wanted >= start) & (wanted < start + batch.num_rows))
        parts.append(pa.Table.from_batches([batch.take(pa.array(wanted[here] - start))]))
        found.append(here)
        start += batch.num_rows
    return pa.concat_tables(parts).take(np.argsort(np.concatenate([np.empty(0, np.int64), *found])))


def _count_flags(rows: pa.Table, of: Literal["image", "outline"]) -> list[FlagCount]:
    counts = pc.value_counts(pc.list_flatten(rows["flags"])).to_pylist()
    counts.sort(key=lambda entry: (-entry["counts"], entry["values"]))
    return [FlagCount(entry["values"], of, entry["counts"], MEANINGS.get(entry["values"], "")) for entry in counts]


def _unusual(volumes: pa.Table, rois: pa.Table) -> dict[int, list[str]]:
    """Return the rows of outlines to show, each with what is unusual about it.

    Extremes come first, then rare flags before frequent ones.
    """
    chosen: dict[int, list[str]] = {}
    if rois.num_rows >= FEWEST:
        for column, order, why in (
            ("volume_ml", "ascending", "among the smallest"),
            ("volume_ml", "descending", "among the largest"),
            ("hu_p50", "ascending", "among the lowest HU"),
            ("hu_p50", "descending", "among the highest HU"),
        ):
            places = pc.sort_indices(rois, [(column, order)]).slice(0, EXTREMES)
            for place in places.to_pylist():
                chosen.setdefault(place, []).append(why)
    for place, why in _flagged(volumes, rois):
        if place in chosen:
            chosen[place].append(why)
        elif len(chosen) < MOST_THUMBNAILS:
            chosen[place] = [why]
    return chosen


def _flagged(volumes: pa.Table, rois: pa.Table) -> Iterator[tuple[int, str]]:
    """Yield outlines that are flagged, or lie on flagged images: one of each flag, the rarest first, then a second one ..."""
    by_flag: dict[str, Sequence[int]] = {}
    for flag in [entry.name for entry in reversed(_count_flags(rois, "outline"))]:
        if flag != EVERY_FOUND_OUTLINE:
            by_flag[flag] = _places(_has_flag(rois, flag))
    for flag in [entry.name for entry in reversed(_count_flags(volumes, "image"))]:
        cases = volumes.filter(_has_flag(volumes, flag))["case_key"].slice(0, MOST_THUMBNAILS).combine_chunks()
        by_flag.setdefault(flag, _places(pc.is_in(rois["case_key"], value_set=cases)))
    for together in zip_longest(*by_flag.values()):
        yield from (
            (place, flag.replace("_", " ")) for flag, place in zip(by_flag, together, strict=True) if place is not None
        )


def _has_flag(rows: pa.Table, flag: str) -> pa.Array:
    """Say which rows have a flag."""
    lists = rows["flags"].combine_chunks()
    has = np.zeros(rows.num_rows, np.bool_)
    has[np.asarray(pc.list_parent_indices(lists).filter(pc.equal(pc.list_flatten(lists), flag)))] = True
    return pa.array(has)


def _places(chosen: pa.Array | pa.ChunkedArray) -> Sequence[int]:
    """Return the first places that are chosen."""
    places: list[int] = pc.indices_nonzero(chosen).slice(0, MOST_THUMBNAILS).to_pylist()
    return places


def _draw(store: FeatureStore, volumes: pa.Table, rois: pa.Table, whys: Sequence[list[str]]) -> Iterator[Thumbnail]:
    """Yield the pictures of outlines, each with what is unusual about it."""
    ends = time.monotonic() + DRAWING_SECONDS
    of_case = {row["case_key"]: row for row in volumes.to_pylist()}
    for roi, why in zip(rois.to_pylist(), whys, strict=True):
        if time.monotonic() > ends or roi["case_key"] not in of_case:
            continue
        picture = _picture(store, of_case[roi["case_key"]], roi)
        if picture is not None:
            yield Thumbnail(roi["roi_key"], tuple(why), roi["source_volume_ml"], roi["hu_p50"], picture)


def _picture(store: FeatureStore, volume: Row, roi: Row) -> str | None:
    """Return the largest slice of an outline as a data URL; None where its voxels cannot be read."""
    index = [int(roi["largest_slice"])]
    try:
        hu_yx, mask_yx = (
            store.read_slices(StoredArray(row["path"], row["checksum"]), index)[0] for row in (volume, roi)
        )
    except CvtbatchError:
        return None
    return to_data_url(OutlinedSlice.facing_up(hu_yx, mask_yx, volume["spacing_mm"], volume["direction"]))
