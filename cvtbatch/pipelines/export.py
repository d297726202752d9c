"""Current rows of a table, and pictures of stored cases, as files for other programs."""

import json
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
from cvtbatch.store import FeatureStore, StoredArray


def export_table(url: str, name: str, out: Path) -> int:
    """Write the current rows of a table, sorted by key, and return how many.

    Args:
        out: `.parquet` or `.csv`; in CSV, lists are JSON. Appears whole or not at all.

    Raises:
        InputError: the suffix is neither, or the file cannot be written.
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise InputError("unknown_format", f"--out {out}: the suffix is neither .parquet nor .csv")
    rows = FeatureStore(url).current(name)
    rows = rows.sort_by([(column, "ascending") for column in contracts.table(name).key])
    aside = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".parquet":
            pq.write_table(rows, aside)
        else:
            pa_csv.write_csv(_flat(rows), aside)
        aside.replace(out)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError("cannot_write", f"--out {out} cannot be written: {error.strerror or error}") from None
    return int(rows.num_rows)


def _flat(rows: pa.Table) -> pa.Table:
    for index, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            texts = [None if value is None else json.dumps(value) for value in rows[field.name].to_pylist()]
            rows = rows.set_column(index, field.name, pa.array(texts, pa.string()))
    return rows


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
        names = ", ".join(sorted({row["roi_key"] for row in found})) or "none"
        raise InputError("no_such_roi", f"{key!r} names {len(found)} stored ROIs ({names}); give the key of one")
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
