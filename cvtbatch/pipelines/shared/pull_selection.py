"""Which studies and series of an archive are wanted.

An archive that does not know a filter answers as if it had not been asked: what narrows the search there is looked at again here.
"""

import datetime
import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.pacs.archive import Archive, Series, Study, StudyQuery

OUTLINES = frozenset({"SEG", "RTSTRUCT"})
"""Modalities of outlines."""
_DATES = re.compile(r"(\d{8})?(-)?(\d{8})?")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted; everything, where nothing is said.

    Attributes:
        modalities, body_parts: as DICOM writes them, one of which a series has.
        descriptions: patterns, one of which the description of series or study fits, in letters of either case.
        dates: YYYYMMDD, first and last day of the study; either may be empty.
        accessions: of studies; None for any.
    """

    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    dates: tuple[str, str] = ("", "")
    accessions: tuple[str, ...] | None = None

    def queries(self) -> Iterator[StudyQuery]:
        """Yield the searches whose results together hold all that is wanted."""
        for accession in self.accessions or ("",):
            for modality in self.modalities or ("",):
                yield StudyQuery(self.dates, modality, accession)

    def takes_study(self, study: Study) -> bool:
        """Say whether series of a study may be wanted; one without a date is not, where dates are named."""
        first, last = self.dates
        dated = bool(study.date) and first <= study.date <= (last or "99999999")
        known = self.accessions is None or study.accession in self.accessions
        return known and (dated or not (first or last))

    def takes(self, study: Study, series: Series) -> bool:
        """Say whether a series of such a study is wanted."""
        named = [series.description.casefold(), study.description.casefold()]
        described = any(fnmatch.fnmatchcase(one, form.casefold()) for form in self.descriptions for one in named)
        return (
            (not self.modalities or series.modality in self.modalities)
            and (not self.body_parts or series.body_part.upper() in {one.upper() for one in self.body_parts})
            and (not self.descriptions or described)
        )


def find_studies(archive: Archive, selection: Selection) -> Iterator[Study]:
    """Yield the studies of an archive of which series may be wanted, each once.

    Raises:
        InputError, UnavailableError: as `Archive`.
    """
    seen = set[str]()
    for query in selection.queries():
        for study in archive.studies(query):
            if study.uid not in seen and selection.takes_study(study):
                seen.add(study.uid)
                yield study


def images_and_outlines(
    selection: Selection, study: Study, found: Sequence[Series]
) -> tuple[list[Series], list[Series]]:
    """Return the series of a study that are wanted, and, where there are any, its outlines."""
    images = [series for series in found if selection.takes(study, series)]
    return images, [one for one in found if images and one.modality in OUTLINES and one not in images]


def parse_dates(text: str) -> tuple[str, str]:
    """Return the first and the last day of YYYYMMDD, YYYYMMDD-YYYYMMDD, YYYYMMDD- or -YYYYMMDD.

    Raises:
        InputError: "bad_selection".
    """
    found = _DATES.fullmatch(text)
    first, dash, last = found.groups(default="") if found else ("", "", "")
    if not dash:
        last = first
    try:
        for day in filter(None, (first, last)):
            datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise InputError("bad_selection", f"{text!r} has a day that there is not") from None
    if not (first or last) or (first and last and first > last):
        raise InputError(
            "bad_selection", f"{text!r} is no range of days: write 20240101-20241231, 20240101-, -20241231 or one day"
        )
    return first, last


def read_accessions(path: Path) -> tuple[str, ...]:
    """Return the accession numbers of a text file that has one a line.

    Raises:
        InputError: "bad_selection": it cannot be read, or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(
            "bad_selection", f"the file of accession numbers cannot be read: {why(error)}", str(path)
        ) from None
    except UnicodeDecodeError:
        raise InputError("bad_selection", "the file of accession numbers is no text in UTF-8", str(path)) from None
    found = tuple(dict.fromkeys(filter(None, (line.strip() for line in lines))))
    if not found:
        raise InputError("bad_selection", "the file of accession numbers has none; it has one a line", str(path))
    return found
