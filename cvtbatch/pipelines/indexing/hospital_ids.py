"""Ids as hospitals write them: which differences between two of them are none. Pure."""

import unicodedata


def normalised(text: str) -> str:
    """Return an id without what DICOM pads texts with (blanks, NUL; PS3.5, section 6.2), in one Unicode form (NFC).

    Bytes of a file name that are no text become escapes, so that what is returned can be written anywhere.
    """
    readable = text.replace("\0", " ").encode("utf-8", "backslashreplace").decode()
    return unicodedata.normalize("NFC", readable.strip())


def without_zeros(number: str) -> str | None:
    """Return a number without leading zeros, as a spreadsheet keeps it; None where the id is no number."""
    return (number.lstrip("0") or "0") if number.isascii() and number.isdigit() else None
