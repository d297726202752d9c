"""Images that a manifest names in an archive, by DICOMweb, in the place of a path. Pure."""

import re
from typing import NamedTuple

SERIES_FORM = "dicomweb+https://HOST/PATH/studies/UID/series/UID"
_BEGIN = "dicomweb+"
_UID = r"[0-9]+(?:\.[0-9]+)*"
_SERIES = re.compile(rf"(dicomweb\+https?://[^/?#]+(?:/[^?#]*)?)/studies/({_UID})/series/({_UID})")


class SeriesAddress(NamedTuple):
    """A series of an archive.

    Attributes:
        server: the archive's address.
    """

    server: str
    study_uid: str
    series_uid: str


def in_archive(image: str) -> bool:
    """Say whether an image is named by its address in an archive, and not by a path."""
    return image.startswith(_BEGIN)


def series_address(image: str) -> SeriesAddress | None:
    """Return what an address names; None if it is none of a series."""
    found = _SERIES.fullmatch(image)
    return SeriesAddress(*found.groups()) if found else None
