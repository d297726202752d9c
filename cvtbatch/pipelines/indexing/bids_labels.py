"""Names of a label map's labels by BIDS: a `_dseg.tsv` with the columns `index` and `name`.

https://bids-specification.readthedocs.io/en/stable/derivatives/imaging.html#common-image-derived-labels; by the principle of
inheritance it may lie higher up in the data set, and then its name says no more than the map's.
"""

import csv
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.pipelines.indexing.file_names import stem_of

_SUFFIX = "dseg"
_TOP = "dataset_description.json"
_REMEMBERED = 1024


def find_label(label_map: Path, wanted: str) -> int | None:
    """Return the label that has a name in a map; None where no table of BIDS says what the map's labels are.

    Capitals count only where two names differ in nothing else.

    Raises:
        InputError: "no_such_segment" or "unreadable_file", the table does not have the name once, or is none.
    """
    table = next(_tables_of(label_map), None)
    if table is None:
        return None
    labels = _read(table)
    found = [label for name, label in labels if name == wanted]
    found = found or [label for name, label in labels if name.casefold() == wanted.casefold()]
    if len(found) != 1:
        listed = ", ".join(repr(name) for name, _ in labels) or "no label"
        raise InputError("no_such_segment", f"{table.name} does not name one label {wanted!r}; it has {listed}")
    return found[0]


def _tables_of(label_map: Path) -> Iterator[Path]:
    """Yield the tables that may say what a map's labels are: the nearest first, and the more exact name before others."""
    words = {*stem_of(label_map.name).split("_")}
    if _SUFFIX not in words:
        return
    folders = label_map.parents
    top = next((place for place, folder in enumerate(folders) if _is_top(folder)), 0)
    for folder in folders[: top + 1]:
        yield from (table for table in _tables_in(folder) if {*table.stem.split("_")} <= words)


@lru_cache(_REMEMBERED)
def _is_top(folder: Path) -> bool:
    return (folder / _TOP).exists()


@lru_cache(_REMEMBERED)
def _tables_in(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}.tsv"), key=lambda path: (-len(path.name), path.name))


def _read(table: Path) -> list[tuple[str, int]]:
    """Return the names of a table with their labels, the background left out.

    Raises:
        InputError: "unreadable_file".
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = [(row["name"].strip(), int(row["index"])) for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise InputError(
            "unreadable_file", f"{table.name} says by columns index and name what the labels are, and cannot be read so"
        ) from None
    return [(name, label) for name, label in rows if label > 0]
