"""The participants.tsv of a BIDS data set, whose words are not the manifest's. Pure.

Format: https://bids-specification.readthedocs.io/en/stable/modality-agnostic-files/data-summary-files.html#participants-file
"""

from dataclasses import replace

from cvtbatch.pipelines.indexing.hospital_table import HospitalTable

FILE = "participants.tsv"
_MISSING = "n/a"
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "", "other": ""}
# Of those who would be known by their age.
_OLDEST = "89+"


def in_our_words(table: HospitalTable) -> HospitalTable:
    """Return the table with the manifest's words for sexes, and empty cells where a value is missing, or an age is "89+"."""
    rows = tuple(tuple(_cell(name, cell) for name, cell in zip(table.header, row, strict=True)) for row in table.rows)
    return replace(table, rows=rows)


def _cell(name: str, text: str) -> str:
    if text.casefold() == _MISSING or (name == "age" and text == _OLDEST):
        return ""
    return _SEXES.get(text.casefold(), text) if name == "sex" else text
