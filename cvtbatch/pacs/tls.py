"""TLS with archives, of DICOMweb and of DIMSE alike: whom we trust, and the certificate that we show.

Certificates are trusted that this machine trusts, or those of the file that SSL_CERT_FILE names; of an archive also its name is
compared. Ours is shown to an archive that asks for one: CVTBATCH_PACS_CERTIFICATE names its file in PEM, CVTBATCH_PACS_KEY the file
of its key, where that is another. A key that needs a password is not used, since nobody is there to type it.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.pacs.retries import away

CERTIFICATE, KEY = "CVTBATCH_PACS_CERTIFICATE", "CVTBATCH_PACS_KEY"


class _Listening(ssl.SSLContext):
    """Lets handshakes happen where a connection is read first, which has a thread of its own, and not where all are accepted."""

    def wrap_socket(self, sock: socket.socket, *_: Any, **__: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


class _Closing(ssl.SSLSocket):
    """Closes itself where TLS fails, which pynetdicom leaves to whoever collects garbage."""

    def do_handshake(self, block: bool = False) -> None:
        with self._closing():
            super().do_handshake(block)

    def read(self, *arguments: Any) -> Any:
        # By TLS 1.3 it is after the handshake that one side tells the other whether it takes its certificate.
        with self._closing():
            return super().read(*arguments)

    def send(self, *arguments: Any) -> int:
        try:
            return super().send(*arguments)
        except (ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):
            # It may have told it just before it hung up.
            self.read(1)
            raise

    def failed(self, error: ssl.SSLError) -> None:
        """Is told why."""

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            self.failed(error)
            self.close()
            raise


def client_context() -> ssl.SSLContext:
    """Return what verifies an archive that we connect to, by its name too.

    Raises:
        InputError: "bad_pacs_credentials": our certificate or its key cannot be used.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = _Closing
    _load_own(context)
    return context


def server_context() -> ssl.SSLContext:
    """Return what lets archives in that show a certificate which is trusted.

    Raises:
        InputError: "bad_pacs_credentials": we have no certificate of our own, or it or its key cannot be used.
    """
    context = _Listening(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = _Closing
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if not _load_own(context):
        raise InputError(
            "bad_pacs_credentials", f"who is sent to by TLS needs a certificate: name the file of ours in {CERTIFICATE}"
        )
    return context


def _load_own(context: ssl.SSLContext) -> bool:
    """Say whether there is a certificate of our own, and have it shown."""
    certificate, key = os.environ.get(CERTIFICATE), os.environ.get(KEY)
    if not certificate:
        if key:
            raise InputError("bad_pacs_credentials", f"the environment has {KEY} without {CERTIFICATE}")
        return False
    try:
        context.load_cert_chain(certificate, key or None, password="")
    except OSError as error:  # as those of TLS are
        raise InputError(
            "bad_pacs_credentials",
            f"our certificate cannot be used ({error.strerror}): {CERTIFICATE} names its file in PEM, {KEY} that of its key, which "
            "has no password",
            str(error),
        ) from None
    return True


def recorded_errors(context: ssl.SSLContext) -> list[ssl.SSLError]:
    """Return where errors of a context's connections gather from now on, for a library that keeps them to itself."""
    errors: list[ssl.SSLError] = []

    class Recorded(_Closing):
        def failed(self, error: ssl.SSLError) -> None:
            errors.append(error)

    context.sslsocket_class = Recorded
    return errors


def tls_error(error: ssl.SSLError) -> CvtbatchError:
    """Return what a connection to an archive failed by."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return away("the archive does not answer, or the connection broke off", str(error))
    if "ALERT" in (error.reason or ""):
        return InputError(
            "pacs_denied",
            f"the archive breaks TLS off ({error.reason}): it wants a certificate of ours that it trusts, perhaps, whose file "
            f"{CERTIFICATE} names",
            str(error),
        )
    return InputError(
        "pacs_untrusted",
        "the archive's certificate is not trusted, or not its own, or no TLS connection comes about: have its authority "
        "among those of this machine, or in the file that SSL_CERT_FILE names",
        str(error),
    )
