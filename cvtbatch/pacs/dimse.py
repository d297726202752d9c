"""Associations with an application entity (PS3.7, PS3.8), in bounded time; no answer is taken for granted."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import Dimse
from cvtbatch.pacs.retries import away
from cvtbatch.pacs.tls import client_context, recorded_errors, tls_error

if TYPE_CHECKING:
    import pydicom
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

AE_TITLE = "CVTBATCH"
"""How we call ourselves, if the user says nothing else; archives know whom they talk to by it."""
CONNECT_SECONDS, ANSWER_SECONDS, SILENCE_SECONDS = 20, 120, 180
# Of an association that is rejected: by the service user, for good (PS3.8 9.3.4).
_PERMANENT, _BY_USER = 1, 1
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 3, 7
# Classes of status (PS3.7 annex C): warnings are successes; out of resources, a thing to be tried again.
_WARNING, _RESOURCES = 0xB, 0xA7


@contextmanager
def associate(
    address: Dimse,
    contexts: Sequence["PresentationContext"],
    ae_title: str = AE_TITLE,
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator["Association"]:
    """Open an association, and release it in the end; abort it where something went wrong.

    Args:
        contexts: what it is for; it may be that not all are accepted.
        ae_title: ours.
        roles: `pynetdicom.build_role`s, where we take the part of a server.
        handlers: of pynetdicom's events.

    Raises:
        InputError: "pacs_denied": it knows one of the two titles or our certificate not; "pacs_untrusted"; "pacs_refused";
            "bad_pacs_credentials".
        UnavailableError: it does not answer, or not now.
    """
    from pynetdicom.ae import ApplicationEntity

    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    entity = ApplicationEntity(ae_title)
    entity.connection_timeout = CONNECT_SECONDS
    entity.acse_timeout = entity.dimse_timeout = ANSWER_SECONDS
    entity.network_timeout = SILENCE_SECONDS
    tls = client_context() if address.tls else None
    tls_errors = [] if tls is None else recorded_errors(tls)
    association = entity.associate(
        address.host,
        address.port,
        list(contexts),
        address.ae_title,
        ext_neg=list(roles),
        evt_handlers=list(handlers),
        tls_args=None if tls is None else (tls, address.host),
    )
    if not association.is_established:
        if tls_errors:
            raise tls_error(tls_errors[0])
        raise _not_established(association, address, ae_title)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _not_established(association: "Association", address: Dimse, ae_title: str) -> Exception:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        source, reason = answer.result_source, answer.diagnostic
        if source == _BY_USER and reason in {_CALLING_UNKNOWN, _CALLED_UNKNOWN}:
            who = f"our AE title {ae_title!r}" if reason == _CALLING_UNKNOWN else "the AE title of the address"
            return InputError("pacs_denied", f"the archive does not know {who}", str(address))
        if answer.result == _PERMANENT:
            return InputError(
                "pacs_refused",
                f"the archive rejects the association for good (source {source}, reason {reason})",
                str(address),
            )
        return away(f"the archive rejects the association now (source {source}, reason {reason})", str(address))
    if association.rejected_contexts:
        return InputError(
            "pacs_refused", "the archive takes none of the objects, or does none of the services", str(address)
        )
    return away("the archive does not answer, or broke the association off", str(address))


def check_status(status: "pydicom.Dataset") -> None:
    """Let an answer pass that is a success, also with a warning, or is pending.

    Raises:
        UnavailableError: there was no answer, or the archive has no room now.
        InputError: "pacs_refused".
    """
    if "Status" not in status:
        raise away("the archive broke the association off, or gave no answer in time")
    code = int(status.Status)
    if code in {0x0000, 0xFF00, 0xFF01} or code >> 12 == _WARNING:
        return
    if code >> 8 == _RESOURCES:
        raise away(f"the archive is out of room or other resources (status {code:04X}H)")
    raise InputError("pacs_refused", f"the archive refuses what was asked or sent (status {code:04X}H)")
