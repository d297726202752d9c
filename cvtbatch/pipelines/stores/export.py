"""Current rows of a table, and pictures of stored cases, as files for other programs."""

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
from cvtbatch.contracts import TableContract
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.imaging import outline_picture
from cvtbatch.manifest import require_centers
from cvtbatch.manifest.files import refuse_manifest
from cvtbatch.nearest import enumerated, nearest
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.stores.csv_rows import EMBEDDING, with_embedding_columns, without_formulas, without_lists
from cvtbatch.store import (
    FeatureStore,
    StoredArray,
    View,
    check_columns,
    pair_rows,
    pair_schema,
    sort_rows,
    wide_columns,
    wide_rows,
)
from cvtbatch.whole_files import written_whole

CENTER = "center"
PAIRS = "pairs"
_PAIR_IDS = ("baseline_case_id", "followup_case_id", "baseline_roi_key", "followup_roi_key")
# What is read from a snapshot, be it one that is recorded for the purpose; the rest is history.
SNAPSHOT_TABLES = frozenset(
    {
        "cases",
        "volumes",
        "rois",
        "outlines",
        "regions",
        "reviews",
        "radiomics",
        "embeddings",
        "wide",
        PAIRS,
        *contracts.description_tables(),
    }
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: how many rows, and from which snapshot; none for the history of runs and failures.

    Attributes:
        left_out: of pairs, which studies of a patient are in none, and why; empty where all are in one.
        formulas: ids in a CSV file that a spreadsheet may take for formulas.
        embedding_columns: of a CSV file, those that hold embeddings, a number each.
    """

    out: Path
    rows: int
    snapshot: str | None
    formulas: int = 0
    embedding_columns: int = 0
    left_out: str = ""

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch export --json`."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"command": "export", **values, "out": str(self.out)}


def export_table(
    url: str,
    name: str,
    out: Path,
    snapshot: str | None = None,
    columns: Sequence[str] | None = None,
    spec_ids: Sequence[str] = (),
    centers: Sequence[str] = (),
    *,
    without_embedding: bool = False,
    deltas: str | None = None,
) -> Exported:
    """Write the current rows of a table, sorted by key.

    Args:
        name: a table, that of a feature set too; "wide": one row a primary ROI, see `FeatureStore.wide`; or "pairs", see
            `FeatureStore.pairs`.
        out: `.parquet` or `.csv`; in CSV, an embedding has a column a number, other lists are JSON, and texts that a spreadsheet
            may take for a formula stand behind an apostrophe. Ids are written as they are: manifests have refused such ones since,
            and a changed one is another. Appears whole or not at all.
        snapshot: by default one that is recorded for this.
        columns: by default all.
        spec_ids: specifications to which the rows are restricted.
        centers: to which the rows are restricted; all where none is named.
        without_embedding: leave the column of embeddings out.
        deltas: of pairs, the features of which differences are exported: "radiomics", or the name of a feature set.

    Raises:
        InputError: the suffix is neither, the file cannot be written or is a manifest, there is no such snapshot, feature set,
            column, centre or specification; the table has no centres; features of several specifications would mix; a patient's
            timepoints contradict each other.
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise InputError("unknown_format", f"--out {out}: the suffix is neither .parquet nor .csv")
    refuse_manifest(out)
    if name.startswith(contracts.SET_PREFIX):
        FeatureStore(url).feature_set(name.removeprefix(contracts.SET_PREFIX))
    if snapshot is None and name not in SNAPSHOT_TABLES and not name.startswith(contracts.SET_PREFIX):
        view = FeatureStore(url).view()
    else:
        pinned = open_pinned(url, snapshot, f"export {name}")
        view, snapshot = pinned.view, pinned.name
    of_deltas = None if deltas is None else FeatureStore(url).features_of(deltas)
    rows, left_out = _rows(view, name, columns, spec_ids, centers, of_deltas)
    if without_embedding and EMBEDDING in rows.column_names:
        rows = rows.drop_columns([EMBEDDING])
    formulas = length = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as aside:
            if out.suffix == ".parquet":
                pq.write_table(rows, aside)
            else:
                rows, length = with_embedding_columns(rows)
                rows, formulas = without_formulas(without_lists(rows), _ids(view, name))
                pa_csv.write_csv(rows, aside)
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {why(error)}") from None
    return Exported(out, int(rows.num_rows), snapshot, formulas, length, left_out)


def _ids(view: View, name: str) -> set[str]:
    """Return the columns that are ids, and are written as they are."""
    return {*contracts.id_columns(), *_key(view, name), *_PAIR_IDS, "case_key", "roi_key"}


def _key(view: View, name: str) -> list[str]:
    """Return the columns by which rows are sorted."""
    if name == PAIRS:
        return list(contracts.view(name).key)
    return ["roi_key"] if name == "wide" else list(view.contract(name).key)


def _known(view: View, name: str, deltas: TableContract | None) -> list[str]:
    """Return the columns that there are."""
    if name == PAIRS:
        return list(pair_schema(deltas).names)
    return wide_columns() if name == "wide" else list(view.contract(name).arrow().names)


def _rows(
    view: View,
    name: str,
    columns: Sequence[str] | None,
    spec_ids: Sequence[str],
    centers: Sequence[str],
    deltas: TableContract | None,
) -> tuple[pa.Table, str]:
    """Return the rows to export, sorted by key, all columns by default; and of pairs, which studies are left out."""
    key, left_out = _key(view, name), ""
    known = _known(view, name, deltas)
    wanted = check_columns(columns, known)
    if centers and CENTER not in known:
        raise InputError("no_centers", f"table {name} is not of centres: leave --center out")
    if centers:
        require_centers(centers, view.centers())
    read = list(dict.fromkeys([*wanted, *key, *([CENTER] if centers else [])]))
    if name == "wide":
        rows = wide_rows(view, read, None, spec_ids)
    elif name == PAIRS:
        pairs = pair_rows(view, read, None, spec_ids, deltas)
        rows, left_out = pairs.rows, pairs.told()
    elif view.contract(name).features:
        rows = view.features(name, read, None, spec_ids)
    elif name == "embeddings":
        rows = view.embeddings(read, None, spec_ids)
    elif name in contracts.description_tables():
        rows = view.described(name, read, None, spec_ids)
    else:
        rows = view.rows(name, read, spec_ids)
    if centers:
        rows = rows.filter(pc.is_in(rows[CENTER], value_set=pa.array(list(centers), pa.string())))
    return sort_rows(rows, key).select(wanted), left_out


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
        key: a roi_key, or the case_key of a case with one outline; of several volume specifications the newest run's is drawn.

    Raises:
        InputError: the store has no such ROI, or several; the file cannot be written.
    """
    store = FeatureStore(url)
    rois = store.rois()
    # A case is drawn with its outline; a region of that has a roi_key of its own.
    of_case = pc.and_(pc.equal(rois["case_key"], key), pc.is_null(rois["region"]))
    found = rois.filter(pc.or_(pc.equal(rois["roi_key"], key), of_case)).to_pylist()
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
