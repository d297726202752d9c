"""Writes a report of one page: the page, its JSON document, tables as CSV and a figure as SVG and PNG."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.validation.report.drawing import Drawing, standalone
from cvtbatch.validation.report.tables import ReportTable
from cvtbatch.whole_files import written_whole


def write_files(
    folder: Path, name: str, document: dict[str, Any], tables: Iterable[ReportTable], drawing: Drawing | None, page: str
) -> Path:
    """Write what a report consists of into a folder, each file whole, and return its page.

    Args:
        name: of the page and the document, without their suffixes.

    Raises:
        InputError: "cannot_write".
    """
    files = {f"{name}.json": json.dumps(document, indent=1, allow_nan=False) + "\n"}
    files |= {f"tables/{table.name}.csv": table.to_csv() for table in tables}
    try:
        for part in (folder, folder / "figures", folder / "tables"):
            part.mkdir(parents=True, exist_ok=True)
        if drawing:
            files[f"figures/{drawing.name}.svg"] = standalone(drawing)
            (folder / "figures" / f"{drawing.name}.png").write_bytes(drawing.png)
        for path, text in {**files, f"{name}.html": page}.items():
            with written_whole(folder / path) as aside:
                aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("cannot_write", f"the {name} cannot be written: {why(error)}", str(folder)) from None
    return folder / f"{name}.html"
