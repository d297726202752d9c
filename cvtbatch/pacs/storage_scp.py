"""Where objects arrive that an archive sends (C-STORE, PS3.4 annex B): those that are waited for, and no others.

Who sets up the archive tries first whether we are there (C-ECHO, PS3.4 annex A).
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.pacs.archive import Take
from cvtbatch.pacs.dimse import SILENCE_SECONDS
from cvtbatch.pacs.tls import server_context

if TYPE_CHECKING:
    from pynetdicom.events import Event

# Status of PS3.4 B.2.3 and PS3.7 annex C.
_STORED, _NO_ROOM, _NOT_AUTHORIZED = 0x0000, 0xA700, 0x0124
_VERIFICATION = "1.2.840.10008.1.1"
_ASSOCIATIONS = 8
_READ_SECONDS = 20


class Delivery:
    """Objects that one caller waits for."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._refusal: Exception | None = None

    def store(self, event: "Event") -> int:
        """Have an object taken; return the status that the archive gets."""
        try:
            with self._lock:
                self._take(event.encoded_dataset())
        except Exception as error:  # pynetdicom would make a status of it, and nobody would hear
            self._refusal = error
            return _NO_ROOM
        return _STORED

    def raise_refusal(self) -> None:
        """Raise what kept an object from being taken, if anything did."""
        if self._refusal is not None:
            raise self._refusal


class Arrivals:
    """Who waits for which object; associations bring them in threads of their own."""

    def __init__(self) -> None:
        self._deliveries: dict[str, Delivery] = {}
        self._lock = threading.Lock()

    @contextmanager
    def expecting(self, sop_uids: Sequence[str], take: Take) -> Iterator[Delivery]:
        """Have objects taken while the block lasts."""
        delivery = Delivery(take)
        with self._lock:
            self._deliveries.update(dict.fromkeys(sop_uids, delivery))
        try:
            yield delivery
        finally:
            with self._lock:
                for uid in sop_uids:
                    del self._deliveries[uid]

    def on_store(self, event: "Event") -> int:
        """Handle pynetdicom's EVT_C_STORE."""
        delivery = self._deliveries.get(str(getattr(event.request, "AffectedSOPInstanceUID", "")))
        return _NOT_AUTHORIZED if delivery is None else delivery.store(event)


def _limit_reading(event: "Event") -> None:
    """Have a connection end on which what was begun does not go on: it would keep its place, and us from ending, for ever."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.settimeout(_READ_SECONDS)


@contextmanager
def storage_scp(ae_title: str, port: int, *, tls: bool = False) -> Iterator[Arrivals]:
    """Listen on a port of all addresses of this machine while the block lasts, for whoever calls us by our title.

    Args:
        tls: to those alone who show a certificate that is trusted here.

    Raises:
        InputError: "port_in_use": nothing can listen there; "bad_pacs_credentials": there is no certificate to listen with.
    """
    from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
    from pynetdicom.ae import ApplicationEntity

    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    entity = ApplicationEntity(ae_title)
    entity.require_called_aet = True
    entity.maximum_associations = _ASSOCIATIONS
    entity.network_timeout, entity.acse_timeout = SILENCE_SECONDS, _READ_SECONDS
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(_VERIFICATION)
    arrivals = Arrivals()
    ssl_context = server_context() if tls else None
    try:
        entity.start_server(
            ("", port),
            block=False,
            evt_handlers=[(evt.EVT_CONN_OPEN, _limit_reading), (evt.EVT_C_STORE, arrivals.on_store)],
            ssl_context=ssl_context,
        )
    except OSError as error:
        raise InputError("port_in_use", f"port {port} cannot be listened on: {why(error)}") from None
    try:
        yield arrivals
    finally:
        entity.shutdown()
