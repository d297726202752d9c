"""Whether an id looks like what identifies a patient: a medical record number, a birth date, a name. Pure.

The rules find what hospitals' exports put into id columns by mistake. They cannot prove that an id is a pseudonym.
"""

import datetime
import re

# Hospitals number patients with seven digits and more; studies number cases with fewer.
_LONG_NUMBER = re.compile(r"\d{7,}")
_GROUPED_NUMBER = re.compile(r"(?<!\d)(?:\d{3}-\d{2}-\d{4}|\d{3}[ -]\d{3}[ -]\d{4})(?!\d)")
# Year first; or the year last, and then of two digits only where day and month have two each: 2.1.10 may number a section.
_DATES = (
    re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<a>\d\d)(?P<b>\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)([-./])(?P<a>\d{1,2})\2(?P<b>\d{1,2})(?!\d)"),
    re.compile(r"(?<!\d)(?P<a>\d{1,2})([-./])(?P<b>\d{1,2})\2(?P<year>(?:19|20)\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<a>\d\d)([./])(?P<b>\d\d)\2(?P<year>\d\d)(?!\d)"),
)
_NAME = re.compile(r"\^|^[^\W\d_]{2,}, ?[^\W\d_]{2,}")
_EMAIL = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_DICOM_UID = re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}(?![\d.])")
# UUIDs and other hexadecimal hashes hold long numbers and dates by chance.
_HASH = re.compile(r"(?=[\da-f-]*[a-f])(?=[\da-f-]*\d)[\da-f]{4,}(?:[\da-f]|-(?=[\da-f]{4})){12,}", re.IGNORECASE)


def suspicions_of(value: str) -> tuple[str, ...]:
    """Return what an id looks like, by stable names; empty if nothing.

    `person_name` (DICOM's `DOE^JOHN`, or `Doe, John`), `email`, `dicom_uid`, `date`, `grouped_number` (national ids as
    123-45-6789), `long_number` (seven digits or more in a row that are no date).
    """
    rest = _HASH.sub("#", value)
    found = {
        "person_name": bool(_NAME.search(rest)),
        "email": bool(_EMAIL.search(rest)),
        "dicom_uid": bool(_DICOM_UID.search(rest)),
        "date": _has_date(rest),
        "grouped_number": bool(_GROUPED_NUMBER.search(rest)),
    }
    found["long_number"] = not (found["date"] or found["dicom_uid"]) and bool(_LONG_NUMBER.search(rest))
    return tuple(name for name, raised in found.items() if raised)


def _has_date(text: str) -> bool:
    """Say whether a day of the calendar stands in a text, day and month in either order."""
    found = (match.group("year", "a", "b") for pattern in _DATES for match in pattern.finditer(text))
    return any(_is_day(year, a, b) or _is_day(year, b, a) for year, a, b in found)


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        datetime.date(int(year) if len(year) == 4 else 2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True
