"""Ids as hospitals write them: which differences between two of them are none. Pure."""

import re
import unicodedata

from cvtbatch.counts import counted

_RUNS = re.compile(r"\d+|[^\W\d_]+|.", re.DOTALL)


def normalised(text: str) -> str:
    """Return an id without what DICOM pads texts with (blanks, NUL; PS3.5, section 6.2), in one Unicode form (NFC).

    Bytes of a file name that are no text become escapes, so that what is returned can be written anywhere.
    """
    readable = text.replace("\0", " ").encode("utf-8", "backslashreplace").decode()
    return unicodedata.normalize("NFC", readable.strip())


def shape(text: str) -> str:
    """Return what an id looks like, without what it says: `0047101_Muster` is `7 digits '_' 6 letters`."""
    runs = _RUNS.findall(text)
    return " ".join(map(_shape_of_run, runs)) or "empty"


def _shape_of_run(run: str) -> str:
    if not run[0].isalnum():
        return repr(run)
    what = "digit" if run[0].isdigit() else "letter"
    return counted(len(run), what)


def without_zeros(number: str) -> str | None:
    """Return a number without leading zeros, as a spreadsheet keeps it; None where the id is no number."""
    return (number.lstrip("0") or "0") if number.isascii() and number.isdigit() else None
