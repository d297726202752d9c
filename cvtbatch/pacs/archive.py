"""What an archive is asked for, whichever way it is reached: its studies, their series, the instances of one, and their files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cvtbatch.errors import InputError

REFUSED = "pacs_refused"
Question = TypeVar("Question")
Take = Callable[[bytes], None]
"""Takes the file of an instance, of DICOM's Part 10, as it came."""


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """What narrows a search for studies; an archive may know less of it, and answer with more.

    Attributes:
        dates: YYYYMMDD, the first and the last day; either may be empty.
        modality, accession: empty for any.
    """

    dates: tuple[str, str] = ("", "")
    modality: str = ""
    accession: str = ""

    def keys(self) -> dict[str, str]:
        """Return what is asked for by its attribute's keyword, in the form of PS3.4 C.2.2.2."""
        first, last = self.dates
        dates = first if first == last else f"{first}-{last}"
        asked = {"StudyDate": dates, "ModalitiesInStudy": self.modality, "AccessionNumber": self.accession}
        return {name: value for name, value in asked.items() if value}


@dataclass(frozen=True, slots=True)
class Study:
    """A study, as the archive tells of it; a text that it does not tell is empty."""

    uid: str
    date: str
    accession: str
    description: str


@dataclass(frozen=True, slots=True)
class Series:
    """A series, as the archive tells of it; a text that it does not tell is empty.

    Attributes:
        instances: how many there are; None where the archive does not count.
    """

    study_uid: str
    uid: str
    modality: str = ""
    body_part: str = ""
    description: str = ""
    instances: int | None = None


def ask_for_each(wanted: Iterable[Question], ask: Callable[[Question], None]) -> None:
    """Ask for one thing after the other, whether or not some are refused.

    Raises:
        InputError: "pacs_refused": the first refusal, once all were asked for.
    """
    refusal = None
    for one in wanted:
        try:
            ask(one)
        except InputError as error:
            if error.kind != REFUSED:
                raise
            refusal = refusal or error
    if refusal is not None:
        raise refusal


class Archive(Protocol):
    """An archive that is asked by one thread.

    Questions are repeated where it is away or busy; fetching is not, since what came before it broke off need not come again.

    Every method raises:
        UnavailableError: it does not answer, or its answer broke off.
        InputError: "pacs_denied", "pacs_untrusted", "pacs_refused".
    """

    def studies(self, query: StudyQuery) -> Iterator[Study]:
        """Yield the studies that fit a query, and perhaps others."""
        ...

    def series(self, study_uid: str) -> Sequence[Series]:
        """Return the series of a study."""
        ...

    def instances(self, series: Series) -> Sequence[str]:
        """Return the SOP Instance UIDs of a series."""
        ...

    def fetch(self, series: Series, sop_uids: Sequence[str], take: Take, *, whole: bool) -> None:
        """Have the files of instances taken, one after the other; some may not come, and others than were asked for.

        Args:
            whole: they are all of the series.
        """
        ...

    def close(self) -> None:
        """Close its connections."""
        ...
