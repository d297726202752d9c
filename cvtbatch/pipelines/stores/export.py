"""Current rows of a table, and pictures of stored cases, as files for other programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.imaging import outline_picture
from cvtbatch.nearest import enumerated, nearest
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.plain_text import FORMULA_START
from cvtbatch.store import FeatureStore, StoredArray, View, check_columns, wide_columns, wide_rows
from cvtbatch.whole_files import written_whole

# What is read from a snapshot, be it one that is recorded for the purpose; the rest is history.
SNAPSHOT_TABLES = frozenset({"cases", "volumes", "rois", "outlines", "reviews", "radiomics", "embeddings", "wide"})


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: how many rows, and from which snapshot; none for the history of runs and failures.

    Attributes:
        formulas: ids in a CSV file that a spreadsheet may take for formulas.
    """

    rows: int
    snapshot: str | None
    formulas: int = 0


def export_table(
    url: str,
    name: str,
    out: Path,
    snapshot: str | None = None,
    columns: Sequence[str] | None = None,
    spec_ids: Sequence[str] = (),
) -> Exported:
    """Write the current rows of a table, sorted by key.

    Args:
        name: a table, or "wide": one row a primary ROI, see `FeatureStore.wide`.
        out: `.parquet` or `.csv`; in CSV, lists are JSON, and texts that a spreadsheet may take for a formula stand behind an
            apostrophe. Ids are written as they are: manifests have refused such ones since, and a changed one is another. Appears
            whole or not at all.
        snapshot: by default one that is recorded for this.
        columns: by default all.
        spec_ids: specifications to which the rows are restricted.

    Raises:
        InputError: the suffix is neither, the file cannot be written, there is no such snapshot, column or specification, or
            features of several specifications would mix.
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise InputError("unknown_format", f"--out {out}: the suffix is neither .parquet nor .csv")
    if snapshot is None and name not in SNAPSHOT_TABLES:
        view = FeatureStore(url).view()
    else:
        pinned = open_pinned(url, snapshot, f"export {name}")
        view, snapshot = pinned.view, pinned.name
    rows = _rows(view, name, columns, spec_ids)
    formulas = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as aside:
            if out.suffix == ".parquet":
                pq.write_table(rows, aside)
            else:
                rows, formulas = _without_formulas(_flat(rows), name)
                pa_csv.write_csv(rows, aside)
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {error.strerror or error}") from None
    return Exported(int(rows.num_rows), snapshot, formulas)


def _rows(view: View, name: str, columns: Sequence[str] | None, spec_ids: Sequence[str]) -> pa.Table:
    """Return the rows to export, sorted by key; all columns by default."""
    key = ["roi_key"] if name == "wide" else list(contracts.table(name).key)
    known = wide_columns() if name == "wide" else contracts.table(name).arrow().names
    wanted = check_columns(columns, known)
    read = list(dict.fromkeys([*wanted, *key]))
    if name == "wide":
        rows = wide_rows(view, read, None, spec_ids)
    elif name == "radiomics":
        rows = view.radiomics(read, None, spec_ids)
    elif name == "embeddings":
        rows = view.embeddings(read, None, spec_ids)
    else:
        rows = view.rows(name, read, spec_ids)
    return rows.sort_by([(column, "ascending") for column in key]).select(wanted)


def _flat(rows: pa.Table) -> pa.Table:
    """Return rows whose lists are JSON texts, for CSV."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            texts = [None if value is None else json.dumps(value) for value in rows[field.name].to_pylist()]
            rows = rows.set_column(index, field.name, pa.array(texts, pa.string()))
    return rows


def _without_formulas(rows: pa.Table, name: str) -> tuple[pa.Table, int]:
    """Return rows whose texts no spreadsheet takes for formulas, and how many ids, which stay as they are, it may take for one."""
    key = () if name == "wide" else contracts.table(name).key
    ids, formulas = {*contracts.id_columns(), *key, "case_key", "roi_key"}, 0
    for index, field in enumerate(rows.schema):
        if not pa.types.is_string(field.type):
            continue
        texts = rows[field.name]
        found = pc.fill_null(pc.match_substring_regex(texts, FORMULA_START), False)
        if field.name in ids:
            formulas += pc.sum(found).as_py() or 0
        elif pc.any(found).as_py():
            texts = pc.if_else(found, pc.binary_join_element_wise("'", texts, ""), texts)
            rows = rows.set_column(index, field.name, texts)
    return rows, formulas


def _not_one(key: str, found: Sequence[str], rois: pa.Table) -> str:
    """Say what to do where a key names no ROI, or several."""
    if found:
        return f"{key!r} names {len(found)} ROIs of the store: {enumerated(found)}; give the key of one"
    near = nearest(key, {*rois["roi_key"].to_pylist(), *rois["case_key"].to_pylist()}, 3)
    like = f"like it are {', '.join(near)}; " if near else ""
    return (
        f"the store has no ROI and no case {key!r}; {like}`cvtbatch export rois --store STORE --columns roi_key,case_key "
        f"--out rois.csv` lists all {rois.num_rows}"
    )


def draw_roi(url: str, key: str, out: Path) -> int:
    """Write a PNG of the largest slice of an ROI with its outline, and return the slice's index.

    Args:
        key: a roi_key, or the case_key of a case with one ROI; of several volume specifications the newest run's is drawn.

    Raises:
        InputError: the store has no such ROI, or several; the file cannot be written.
    """
    store = FeatureStore(url)
    rois = store.rois()
    found = rois.filter(pc.or_(pc.equal(rois["roi_key"], key), pc.equal(rois["case_key"], key))).to_pylist()
    if len({row["volume_spec_id"] for row in found}) > 1:
        newest = store.runs()["volume_spec_id"][0].as_py()
        found = [row for row in found if row["volume_spec_id"] == newest]
    if len(found) != 1:
        raise InputError("no_such_roi", _not_one(key, [row["roi_key"] for row in found], rois))
    roi = found[0]
    volumes = store.table("volumes").current()
    same = pc.and_(
        pc.equal(volumes["case_key"], roi["case_key"]), pc.equal(volumes["volume_spec_id"], roi["volume_spec_id"])
    )
    volume = volumes.filter(same).to_pylist()[0]
    hu_zyx = store.read_array(StoredArray(volume["path"], volume["checksum"]))
    mask_zyx = store.read_array(StoredArray(roi["path"], roi["checksum"]))
    index = int(roi["largest_slice"])
    picture = outline_picture(hu_zyx[index].astype(np.int16), mask_zyx[index].astype(np.uint8))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(picture, isVector=True), str(out))
    except (OSError, RuntimeError):
        raise InputError(
            "cannot_write",
            f"--out {out} cannot be written: a folder that may be written, and the suffix .png, are needed",
        ) from None
    return index
