"""Rows of PyRadiomics' command as it prints them: txt, csv or json.

Source: PyRadiomics 3.0.1, `scripts/__init__.py`, `_processOutput`.
"""

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO

from cvtbatch.pipelines.cases.pyradiomics_case import CaseRow

Format = Literal["txt", "csv", "json"]
PathFormat = Literal["absolute", "relative", "basename"]


def write_rows(
    rows: Sequence[CaseRow], file: TextIO, output: Format, paths: PathFormat, folder: Path, *, skip_nans: bool
) -> None:
    """Write the rows, of which there is one at least.

    Args:
        folder: to which relative paths are.
        skip_nans: leave out values that are NaN; in csv their cells are empty.
    """
    columns = _columns([row.cells for row in rows])
    shown = [_shown(row.cells, _path_formats(folder)[paths], skip_nans) for row in rows]
    match output:
        case "csv":
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(shown)
        case "json":
            json.dump(shown, file, indent=2)
        case "txt":
            for row, cells in zip(rows, shown, strict=True):
                file.writelines(f"Case-{row.number}_{name}: {value}\n" for name, value in cells.items())


def _columns(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the columns of the first row, and after them, sorted, what others have beyond it."""
    first, *others = rows
    return [*first, *sorted({name for row in others for name in row} - set(first))]


def _shown(cells: Mapping[str, object], show_path: Callable[[str], str], skip_nans: bool) -> dict[str, object]:
    kept = {
        name: value
        for name, value in cells.items()
        if not (skip_nans and isinstance(value, float) and math.isnan(value))
    }
    return kept | {name: show_path(str(cells[name])) for name in ("Image", "Mask")}


def _path_formats(folder: Path) -> Mapping[PathFormat, Callable[[str], str]]:
    return {
        "absolute": os.path.abspath,
        "relative": lambda path: os.path.relpath(path, folder),
        "basename": lambda path: Path(path).name,
    }
