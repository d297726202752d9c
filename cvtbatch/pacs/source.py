"""An archive as a source: its address, and how we are reached by it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import Dicomweb, Dimse, check_ae_title
from cvtbatch.pacs.archive import Archive
from cvtbatch.pacs.dimse import AE_TITLE
from cvtbatch.pacs.retries import Retries

Connect = Callable[[], Archive]


@dataclass(frozen=True, slots=True)
class Source:
    """An archive that is read.

    Attributes:
        ae_title: ours, for DIMSE.
        move_port: of ours, to which the archive sends by C-MOVE, by TLS where its address says so; None for C-GET.

    Raises:
        InputError: "bad_pacs_address": a title that is none, or a port with an archive that sends to none.
    """

    address: Dicomweb | Dimse
    ae_title: str = AE_TITLE
    move_port: int | None = None

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        if self.move_port is not None and isinstance(self.address, Dicomweb):
            raise InputError("bad_pacs_address", "C-MOVE is for dimse://AET@HOST:PORT: leave --move-port out")


@contextmanager
def open_source(source: Source, retries: Retries) -> Iterator[Connect]:
    """Yield what connects to an archive, once for each thread that asks it; listen for what it sends while the block lasts.

    Args:
        retries: of questions.

    Raises:
        InputError: "port_in_use"; "bad_pacs_credentials".
    """
    address = source.address
    if isinstance(address, Dicomweb):
        from cvtbatch.pacs.dicomweb_archive import DicomwebArchive

        yield lambda: DicomwebArchive(address, retries)
        return
    from cvtbatch.pacs.dimse_archive import DimseArchive
    from cvtbatch.pacs.storage_scp import storage_scp

    if source.move_port is None:
        yield lambda: DimseArchive(address, retries, source.ae_title)
        return
    with storage_scp(source.ae_title, source.move_port, tls=address.tls) as arrivals:
        yield lambda: DimseArchive(address, retries, source.ae_title, arrivals)
