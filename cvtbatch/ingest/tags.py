"""Values of DICOM elements, or None where an element is absent, empty or no such value: pydicom raises many kinds on those."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pydicom
from pydicom.multival import MultiValue

from cvtbatch.errors import CvtbatchError

# TM and DT of PS3.5 6.2, of which the end may be left out; a zone after them is the same in all files of a series.
_TIME = re.compile(r"(\d{2}|\d{4}|\d{6}|\d{8}|\d{10}|\d{12}|\d{14})(\.\d+)?(?:[+-]\d{4})?")
_TIME_DIGITS, _DATETIME_DIGITS = 6, 14


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom, whose warnings and logs show the odd values that they are about: those may identify a patient."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = before


def _value(dataset: pydicom.Dataset, name: str) -> object:
    try:
        return dataset.get(name)
    except CvtbatchError:  # a large element is read only now
        raise
    except Exception:  # damaged elements raise whatever their conversion raises
        return None


def read_texts(dataset: pydicom.Dataset, name: str) -> tuple[str, ...]:
    """Return every non-empty value of a text element, without surrounding blanks."""
    value = _value(dataset, name)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    texts = (str(part).strip() for part in values if part is not None and not isinstance(part, bytes))
    return tuple(text for text in texts if text)


def read_text(dataset: pydicom.Dataset, name: str) -> str | None:
    """Return the first value of a text element."""
    texts = read_texts(dataset, name)
    return texts[0] if texts else None


def bare_uid(uid: str) -> str:
    """Return a UID without the blanks and NULs that pad it (PS3.5 6.2) or that an export left around it."""
    return uid.strip(" \0\t\r\n")


def read_numbers(dataset: pydicom.Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """Return exactly `count` finite numbers."""
    value = _value(dataset, name)
    try:
        numbers = tuple(float(part) for part in (value if isinstance(value, MultiValue | list) else [value]))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and bool(np.isfinite(numbers).all()) else None


def read_number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Return one finite number."""
    numbers = read_numbers(dataset, name, 1)
    return None if numbers is None else numbers[0]


def read_integer(dataset: pydicom.Dataset, name: str) -> int | None:
    """Return one whole number."""
    number = read_number(dataset, name)
    return None if number is None or number != int(number) else int(number)


def read_items(dataset: pydicom.Dataset, name: str) -> Sequence[pydicom.Dataset]:
    """Return the items of a sequence."""
    value = _value(dataset, name)
    return value if isinstance(value, pydicom.Sequence) else []


def read_time(dataset: pydicom.Dataset, name: str) -> float | None:
    """Return the number of a time or a date with a time, see `to_time`."""
    return to_time(read_text(dataset, name))


def to_time(text: str | None) -> float | None:
    """Return a time or a date with a time as a number, HHMMSS or YYYYMMDDHHMMSS, with its fraction: it grows as time does."""
    match = _TIME.fullmatch((text or "").replace(":", ""))  # ACR-NEMA had colons
    if match is None:
        return None
    digits, fraction = match.groups("")
    return float(digits.ljust(_TIME_DIGITS if len(digits) <= _TIME_DIGITS else _DATETIME_DIGITS, "0") + fraction)


def read_private_text(dataset: pydicom.Dataset, group: int, creator: str, element: int) -> str | None:
    """Return the first value of a text element in the block that a vendor has reserved in a private group."""
    try:
        value = dataset.private_block(group, creator)[element].value
        text = (value if isinstance(value, bytes) else str(value).encode()).decode("ascii").strip(" \0")
    except Exception:  # there is no such block or element, or it is damaged
        return None
    return text or None
