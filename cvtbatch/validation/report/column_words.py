"""Names of columns in a reader's words; tables/ and report.json keep the columns' own names. Pure."""

import re
from collections.abc import Iterable, Mapping

from cvtbatch import contracts

SLICES, LARGEST_SLICE = "slices of the embedding", "largest slice"
_VARIABLES = {
    "cvt": "CVT",
    "confirmed_by": "etiology confirmed by",
    "onset_to_ct_h": "onset to CT",
    "volume_ml": "hematoma volume on the stored grid",
    "source_volume_ml": "hematoma volume",
    "ivh": "substantial intraventricular hemorrhage",
    "sah": "substantial subarachnoid hemorrhage",
    "traumatic": "traumatic hemorrhage",
    "quality": "image quality",
}
_IMAGE_COLUMN = re.compile(r"(?<![\w/-])dl_0*(\d+)(?![\w/-])")


def in_words(text: str) -> str:
    """Return a text that names columns, with "image pattern 39" for dl_039."""
    return _IMAGE_COLUMN.sub(r"image pattern \1", text)


def variable_in_words(name: str) -> str:
    """Return the name of a variable of the cohort, without its unit."""
    return _VARIABLES.get(name, name.removeprefix(contracts.pass_through_prefix()).replace("_", " "))


def image_pattern_notes(columns: Iterable[str], settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the note that says what image patterns are, if a column is one.

    Args:
        settings: of the provenance; SLICES is there where more than the largest slice is looked at.
    """
    first = next(filter(None, map(_IMAGE_COLUMN.fullmatch, columns)), None)
    if first is None:
        return ()
    return (
        f"Image pattern {first[1]} is the column {first[0]} of tables/ and report.json: principal component {first[1]} of the "
        f"image network's values of the hematoma's {settings.get(SLICES, LARGEST_SLICE)}. It has no name in anatomy.",
    )
