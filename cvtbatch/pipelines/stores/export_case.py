"""A case as files that 3D Slicer opens: its image, and every outline as a segment, to be corrected and to come back as a reader's.

The store keeps no source, so that the image is read again, and so is what a person drew. An outline that was found, or whose file
the manifest names no more, is laid on the slices from its stored mask.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from cvtbatch.documents import to_document
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.geometry import AIR_HU, Grid
from cvtbatch.imaging.placement import mask_volume_ml
from cvtbatch.ingest.nrrd import write_nrrd
from cvtbatch.ingest.slicer_writing import NamedMask, write_segmentation
from cvtbatch.ingest.written_grids import lay_on, series_grid, with_margin
from cvtbatch.manifest import Case, key_of, read_manifest
from cvtbatch.nearest import nearest
from cvtbatch.pipelines.stores.correction_rows import correction_rows
from cvtbatch.pipelines.stores.source_outlines import (
    ROI_COLUMNS,
    VOLUME_COLUMNS,
    Row,
    read_outlines,
    read_stored_image,
    stored_grid_of,
    stored_mask,
)
from cvtbatch.store import FeatureStore, StoredArray, View
from cvtbatch.whole_files import written_whole

IMAGE, SEGMENTATION = "image.nrrd", "outlines.seg.nrrd"
Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Outline:
    """An outline on the written grid.

    Attributes:
        taken_from: its file, or the stored mask.
        volume_ml: there.
    """

    row: Row
    voxels_zyx: npt.NDArray[np.uint8]
    taken_from: Literal["file", "store"]
    volume_ml: float

    @property
    def segment(self) -> str:
        """Its name in the file."""
        return key_of(self.row["roi"], self.row["reader"], self.row["reading"])

    def to_document(self, grid: Grid) -> Document:
        names = ("roi_key", "roi", "reader", "reading", "outline_spec_id")
        return {
            **{name: self.row[name] for name in names},
            "segment": self.segment,
            "taken_from": self.taken_from,
            "volume_ml": self.volume_ml,
            "written_volume_ml": mask_volume_ml(self.voxels_zyx, grid),
        }


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is written: an image and its outlines on one grid, the series' own or the stored one."""

    kind: Literal["series", "stored"]
    grid: Grid
    image_zyx: npt.NDArray[np.generic]
    outlines: tuple[_Outline, ...]


def export_case(url: str, manifest_path: Path, key: str, out: Path, corrector: str) -> Document:
    """Write a case into a new folder, whole or not at all, and return the JSON document of `cvtbatch export-case --json`.

    Args:
        key: a case_key.
        out: gets `image.nrrd`, and `outlines.seg.nrrd` where the case has an outline.
        corrector: the reader under whose name corrected outlines come back.

    Raises:
        InputError: `out` is not empty or cannot be written; store or manifest have no such case; a file cannot be read or placed.
        FormatError: `source_changed` if a file is not what was stored; a stored array is missing or damaged.
    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError("folder_not_empty", f"--out {out} is not empty; name a new folder")
    store = FeatureStore(url)
    view = store.at(None)
    volume = _volume(view, key)
    manifest = read_manifest(manifest_path)
    case = manifest.case(volume["center"], volume["case_id"])
    if case is None:
        raise InputError(
            "no_such_case",
            f"manifest {manifest_path} has no case {key!r}; give the one from which the store was extracted",
        )
    rows = _outlines(view, volume)
    scene = _scene(store, case, volume, rows)
    _write(scene, out)
    stored = {row["roi_key"] for row in rows}
    segments = [(outline.row["roi"], outline.segment) for outline in scene.outlines]
    to_paste = correction_rows(manifest, case, segments, out / SEGMENTATION, corrector)
    return {
        "command": "export-case",
        "case_key": case.case_key,
        "folder": str(out),
        "image": IMAGE,
        "segmentation": SEGMENTATION if rows else None,
        "grid": scene.kind,
        "size_xyz": list(scene.grid.size_xyz),
        "spacing_mm": list(scene.grid.spacing_mm),
        "sheared": scene.grid.is_sheared,
        "outlines": [outline.to_document(scene.grid) for outline in scene.outlines],
        "not_stored": [roi.roi_key for roi in case.masked_rois() if roi.roi_key not in stored],
        "manifest": to_document(to_paste),
    }


def _volume(view: View, key: str) -> Row:
    """Return the case's volume; of several specifications the one last written."""
    volumes = view.rows("volumes", VOLUME_COLUMNS)
    found = volumes.filter(pc.equal(volumes["case_key"], key)).to_pylist()
    if not found:
        near = nearest(key, volumes["case_key"].to_pylist(), 3)
        like = f"near it are {', '.join(near)}; " if near else ""
        raise InputError(
            "no_such_case",
            f"the store has no volume of a case {key!r}; {like}`cvtbatch export volumes --store STORE --columns case_key "
            f"--out volumes.csv` lists all {volumes.num_rows}",
        )
    newest: Row = max(found, key=lambda row: int(row["sequence"]))
    return newest


def _outlines(view: View, volume: Row) -> list[Row]:
    """Return the current outlines on a volume."""
    rois = view.outlines(ROI_COLUMNS)
    same = (pc.equal(rois[name], volume[name]) for name in ("case_key", "volume_spec_id"))
    found: list[Row] = rois.filter(pc.and_(*same)).sort_by("roi_key").to_pylist()
    return found


def _scene(store: FeatureStore, case: Case, volume: Row, rows: list[Row]) -> _Scene:
    source = read_stored_image(case, volume)
    grid = series_grid(source.stack)
    if grid is None:
        return _stored_scene(store, volume, stored_grid_of(volume), rows)
    outlines = tuple(
        _Outline(one.row, lay_on(one.voxels_zyx, one.place, grid), one.taken_from, one.volume_ml)
        for one in read_outlines(store, case, volume, source, rows)
    )
    return _Scene("series", grid, source.hu_zyx, outlines)


def _stored_scene(store: FeatureStore, volume: Row, stored_grid: Grid, rows: list[Row]) -> _Scene:
    grid, columns = with_margin(stored_grid)
    margin = ((0, 0), (0, 0), (columns, 0))
    image = store.read_array(StoredArray(volume["path"], volume["checksum"]))
    outlines = tuple(_Outline(row, np.pad(stored_mask(store, row), margin), "store", row["volume_ml"]) for row in rows)
    return _Scene("stored", grid, np.pad(image, margin, constant_values=AIR_HU), outlines)


def _write(scene: _Scene, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out, folder=True) as aside:
            aside.mkdir()
            write_nrrd(aside / IMAGE, scene.image_zyx, scene.grid, {})
            if scene.outlines:
                named = [NamedMask(outline.segment, outline.voxels_zyx) for outline in scene.outlines]
                write_segmentation(aside / SEGMENTATION, named, scene.grid)
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {why(error)}") from None
