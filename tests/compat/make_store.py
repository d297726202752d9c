"""Make the store that later revisions must go on reading and writing: `python -m tests.compat.make_store FOLDER`.

It is made once by each revision of the format, kept beside this script, and never made again. Two cases with features, one
whose mask is empty, one that awaits its mask. What it holds is read back by plain pyarrow into `expected.json`.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import SimpleITK as sitk

from tests.support.archives import tiny_head, write_rows
from tests.support.commands import extract_json


def write_archive(folder: Path) -> Path:
    """Write four small heads and return their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for number in range(4):
        ct, mask = (image[12:52, 12:52, 2:10] for image in tiny_head(number, 6.0))
        row: dict[str, object] = {"center": "AB"[number % 2], "case_id": f"{number}", "image": f"ct{number}.nii.gz"}
        sitk.WriteImage(ct, str(folder / f"ct{number}.nii.gz"))
        if number < 3:
            sitk.WriteImage(mask * (number < 2), str(folder / f"mask{number}.nii.gz"))
            row["mask"] = f"mask{number}.nii.gz"
        rows.append({**row, "patient": f"p{number}", "etiology": "CVT" if number % 2 else "HP", "age": 40.5 + number})
    return write_rows(folder / "manifest.csv", rows)


def read_plainly(store: Path) -> dict[str, list[dict[str, object]]]:
    """Return every row of every table, by pyarrow alone: each append of this store left one file, none was removed."""
    tables = {}
    for folder in sorted((store / "tables").iterdir()):
        parts = [pq.ParquetFile(path).read() for path in sorted(folder.glob("*.parquet"))]
        rows = pa.concat_tables(parts).to_pylist() if parts else []
        tables[folder.name] = json.loads(json.dumps(sorted(rows, key=str), default=str))
    return tables


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as archive:
        manifest = write_archive(Path(archive))
        extract_json(manifest, folder / "store", code=3)
    text = json.dumps(read_plainly(folder / "store"), indent=0)
    (folder / "expected.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
