"""The rule of a cluster's connections: beyond loopback nothing without TLS, and nobody without a certificate.

Tasks carry the key that UIDs are hashed with, and whoever reaches a scheduler can run code on its workers.
"""

import datetime
import ipaddress
import re
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.extras import require

if TYPE_CHECKING:
    from distributed import Security

# The files of a folder that `cvtbatch certs` made; a node needs all but the authority's key.
CA, CA_KEY, NODE, NODE_KEY = "ca.pem", "ca-key.pem", "node.pem", "node-key.pem"
DEFAULT_PORT = 8786
# Of one attempt to reach a peer.
ATTEMPT_SECONDS = 5
_ADDRESS = re.compile(r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[0-9a-fA-F:.%]+\]|[^\[\]:/]+)(?::(?P<port>\d+))?/?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a scheduler is: scheme tcp or tls, host without brackets, port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(text: str, certs: Path | None) -> Address:
    """Return an address that may be connected to.

    Args:
        text: e.g. tls://10.0.0.5:8786; without a scheme, tls with certificates and tcp without.

    Raises:
        InputError: it is no address, leads beyond loopback without TLS, or needs certificates that are not given.
    """
    found = _ADDRESS.fullmatch(text)
    if not found or (found["scheme"] or "tcp") not in {"tcp", "tls"}:
        raise InputError(
            "bad_address", f"{text!r} is no address of a scheduler: tls://HOST:PORT, or tcp://127.0.0.1:PORT"
        )
    scheme = found["scheme"] or ("tcp" if certs is None else "tls")
    address = Address(scheme, found["host"].strip("[]"), int(found["port"] or DEFAULT_PORT))
    if scheme == "tls" and certs is None:
        raise InputError(
            "no_certificates", f"{address} needs certificates: --certs, or certs in a cluster file (--cluster)"
        )
    if scheme == "tcp" and certs is not None:
        raise InputError("plain_connection", f"{address} is not encrypted, and certificates are given: use tls://")
    if scheme == "tcp" and not is_loopback(address.host):
        raise InputError(
            "plain_connection",
            f"{address} lies beyond this machine and is not encrypted, but tasks carry secrets: start the scheduler with "
            "certificates (cvtbatch certs, cvtbatch scheduler --certs), and name it by tls:// in a cluster file (--cluster)",
        )
    return address


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine's loopback and nothing else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def check_certificates(certs: Path) -> datetime.datetime:
    """Return until when a node's certificate is valid.

    Raises:
        InputError: a file is missing or no certificate, the key is another's, or the authority did not sign it, or it expired.
        ResourceError: this installation is one without the extra `cluster`.
    """
    require("certificates need", "cryptography")
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    try:
        ca = x509.load_pem_x509_certificate((certs / CA).read_bytes())
        node = x509.load_pem_x509_certificate((certs / NODE).read_bytes())
        key = serialization.load_pem_private_key((certs / NODE_KEY).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "bad_certificates",
            f"certificates need a folder with {CA}, {NODE} and {NODE_KEY}, as cvtbatch certs makes it",
            f"{certs}: {error}",
        ) from None
    if key.public_key() != node.public_key():
        raise InputError("bad_certificates", f"{NODE_KEY} is not the key of {NODE}", str(certs))
    try:
        node.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError):
        raise InputError("foreign_certificate", f"{NODE} was not signed by the authority in {CA}", str(certs)) from None
    now = datetime.datetime.now(datetime.UTC)
    for name, certificate in ((CA, ca), (NODE, node)):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise InputError(
                "certificate_expired",
                f"{name} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}, which is not now: make new ones with cvtbatch certs",
                str(certs),
            )
    return min(ca.not_valid_after_utc, node.not_valid_after_utc)


def security_of(certs: Path | None) -> "Security | None":
    """Return how Dask encrypts: every role shows the node's certificate and demands one.

    Raises:
        InputError: the certificates cannot be used, see `check_certificates`.
    """
    if certs is None:
        return None
    from distributed import Security

    check_certificates(certs)
    node = {
        f"tls_{role}_{part}": str(certs / name)
        for role in ("client", "scheduler", "worker")
        for part, name in (("cert", NODE), ("key", NODE_KEY))
    }
    return Security(tls_ca_file=str(certs / CA), require_encryption=True, **node)


def reach(address: Address, certs: Path | None, wait_s: float) -> str:
    """Wait until a scheduler accepts connections, and let TLS say why where it accepts none of ours.

    Dask itself would try again and again, and give no reason.

    Returns:
        the address of this machine that leads there, in brackets where it is an IPv6 address.

    Raises:
        InputError: one side's certificate is not accepted by the other, or one side speaks no TLS.
        ResourceError: nothing answers in time.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            with socket.create_connection((address.host, address.port), timeout=ATTEMPT_SECONDS) as plain:
                own = str(plain.getsockname()[0])
                if certs is not None:
                    _shake_hands(plain, certs)
                return f"[{own}]" if ":" in own else own
        except ssl.SSLCertVerificationError as error:
            raise InputError(
                "foreign_certificate", f"the certificate that {address} shows is refused: {error.verify_message}"
            ) from None
        except ssl.SSLError as error:
            reason = (error.reason or "no reason given").lower().replace("_", " ")
            raise InputError("tls_refused", f"{address} and this side agree on no TLS connection: {reason}") from None
        except OSError as error:
            if time.monotonic() > end:
                raise ResourceError(
                    "no_scheduler",
                    f"no scheduler answers at {address} within {wait_s:g} s: start it, or use --workers",
                    str(error),
                ) from None
            time.sleep(min(1.0, wait_s / 10))


def _shake_hands(plain: socket.socket, certs: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(certs / CA))
    context.check_hostname = False
    # As Dask does: its authorities need not follow every rule of the web's.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_cert_chain(certs / NODE, certs / NODE_KEY)
    with context.wrap_socket(plain) as encrypted:
        # A server that refuses our certificate says so here; one that accepts it begins Dask's own greeting.
        encrypted.recv(1)
