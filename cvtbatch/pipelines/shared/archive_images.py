"""Images that lie in an archive: fetched into scratch of their own while they are read, and known by their instances before.

Nothing of the archive stays, and nothing is fetched to learn that nothing changed.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from cvtbatch.engine.processes import open_scratch
from cvtbatch.errors import SOURCE_UNAVAILABLE, InputError, UnavailableError
from cvtbatch.ingest import archive_fingerprint, look_at_image
from cvtbatch.manifest import Case, in_archive, series_address
from cvtbatch.pacs.addresses import PLAIN_CONNECTION, Dicomweb, parse_address
from cvtbatch.pacs.archive import Archive, Series
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.source import Source, open_source

# Of a slice of CT, 512 x 512 of 16 bits; archives do not say how large a file is.
_INSTANCE_BYTES = 530_000
# Of many cases to look at, each would wait for an archive that is away.
_LOOK = Retries(attempts=2)


def look_at_source(case: Case) -> tuple[str, int]:
    """Return the identity of a case's image, and its size in bytes: of one in an archive by the list of its instances.

    One whose archive cannot be asked now is like none that was seen before: whoever reads it says why.

    Raises:
        InputError: "plain_connection".
        ResourceError: libraries are missing.
    """
    if not in_archive(case.image):
        return look_at_image(case)
    try:
        with _archive_of(case, _LOOK) as (archive, series):
            found = archive.instances(series)
    except (InputError, UnavailableError) as error:
        if error.kind == PLAIN_CONNECTION:
            raise
        return archive_fingerprint(case, ["unavailable"]), 0
    return archive_fingerprint(case, found), len(found) * _INSTANCE_BYTES


@contextmanager
def case_at_hand(case: Case) -> Iterator[Case]:
    """Yield a case whose image lies on this machine: the case itself, or with a folder that is gone after the block.

    Raises:
        UnavailableError: `source_unavailable`: not all of the series came; the message says why.
        ResourceError: libraries, or room for temporary files, are missing.
    """
    if not in_archive(case.image):
        yield case
        return
    with open_scratch() as scratch:
        yield replace(case, image=str(_fetch(case, scratch)))


def _fetch(case: Case, scratch: Path) -> Path:
    from cvtbatch.pipelines.shared.pull_pace import Pace
    from cvtbatch.pipelines.shared.pulled_files import PulledFiles, folder_of
    from cvtbatch.pipelines.shared.series_pull import pull_series

    retries = Retries()
    try:
        with _archive_of(case, retries) as (archive, series):
            outcome = pull_series(archive, series, PulledFiles(scratch), Pace(), retries)
        if outcome.failure is not None:
            raise outcome.failure
        if not outcome.listed:
            raise InputError("pacs_refused", "the archive has no instances of the series")
    except (InputError, UnavailableError) as error:
        told = f"the image cannot be had from its archive: {error.message}; the next run tries again"
        raise UnavailableError(SOURCE_UNAVAILABLE, told, f"{case.image} {error.private}".rstrip()) from None
    return scratch / folder_of(series)


@contextmanager
def _archive_of(case: Case, retries: Retries) -> Iterator[tuple[Archive, Series]]:
    address = series_address(case.image)
    server = None if address is None else parse_address(address.server)
    if address is None or not isinstance(server, Dicomweb):
        raise InputError("bad_pacs_address", "the image is no series of an archive by DICOMweb", case.image)
    with open_source(Source(server), retries) as connect, closing(connect()) as archive:
        yield archive, Series(address.study_uid, address.series_uid)
