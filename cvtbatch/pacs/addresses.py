"""Addresses of archives: `dicomweb+https://HOST[:PORT]/PATH`, `dimse+tls://AET@HOST:PORT`, `dimse://AET@HOST:PORT`.

None holds a password.
"""

import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from cvtbatch.errors import InputError

FORMS = "dicomweb+https://HOST/PATH, dimse+tls://AET@HOST:PORT or dimse://AET@HOST:PORT"
PLAIN_HTTP = "CVTBATCH_PACS_PLAIN_HTTP"
"""Set to 1 in the environment of whoever connects, dicomweb+http:// may lead beyond this machine."""
PLAIN_CONNECTION = "plain_connection"
DIMSE, DIMSE_TLS = "dimse", "dimse+tls"
# AE of PS3.5 6.2: no backslash, no control character, not blank alone.
_AE_TITLE = re.compile(r"(?! +$)[\x20-\x5b\x5d-\x7e]{1,16}")


@dataclass(frozen=True, slots=True)
class Dicomweb:
    """A server of DICOMweb.

    Attributes:
        url: below which `studies` lies, without a slash at its end.
    """

    url: str

    @property
    def host(self) -> str:
        """The name of the machine, under which credentials are kept."""
        return str(urlsplit(self.url).hostname)

    def __str__(self) -> str:
        return f"dicomweb+{self.url}"


@dataclass(frozen=True, slots=True)
class Dimse:
    """An application entity, by its title.

    Attributes:
        tls: whether what is sent is encrypted, and certificates are verified.
    """

    ae_title: str
    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        scheme = DIMSE_TLS if self.tls else DIMSE
        return f"{scheme}://{self.ae_title}@{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_address(text: str) -> Dicomweb | Dimse:
    """Return an address that may be connected to.

    Raises:
        InputError: "bad_pacs_address": it is none; "plain_connection": what is sent could be read on its way.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _bad("its host or port is none", text) from None
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _bad("it holds blanks (write %20 for one in an AE title)", text)
    if parts.password is not None or (parts.username is not None and parts.scheme not in {DIMSE, DIMSE_TLS}):
        raise _bad("it holds a user or a password: those are taken from the environment or a netrc file")
    if not parts.hostname:
        raise _bad("it names no host", text)
    if parts.query or parts.fragment:
        raise _bad("nothing may follow the path", text)
    if parts.scheme in {DIMSE, DIMSE_TLS}:
        return _dimse(parts, port, text)
    if parts.scheme not in {"dicomweb+https", "dicomweb+http"}:
        raise _bad("its beginning is not known", text)
    allowed = os.environ.get(PLAIN_HTTP) == "1" or is_this_machine(parts.hostname)
    if parts.scheme == "dicomweb+http" and not allowed:
        raise InputError(
            PLAIN_CONNECTION,
            "dicomweb+http:// to another machine is not encrypted, and patients could be read on the way: use dicomweb+https://, "
            "or allow it by --plain-http where the network itself is trusted",
            text,
        )
    return Dicomweb(f"{parts.scheme.removeprefix('dicomweb+')}://{parts.netloc}{parts.path.rstrip('/')}")


@contextmanager
def plain_http_allowed() -> Iterator[None]:
    """Let dicomweb+http:// lead beyond this machine while the block lasts, for processes too that are started in it."""
    before = os.environ.get(PLAIN_HTTP)
    os.environ[PLAIN_HTTP] = "1"
    try:
        yield
    finally:
        os.environ.pop(PLAIN_HTTP)
        if before is not None:
            os.environ[PLAIN_HTTP] = before


def _dimse(parts: SplitResult, port: int | None, text: str) -> Dimse:
    title = unquote(parts.username or "")
    if not _AE_TITLE.fullmatch(title) or not parts.hostname or not port or parts.path.strip("/"):
        raise _bad(f"{parts.scheme}:// has an AE title of 1 to 16 characters, a host and a port", text)
    return Dimse(title.strip(), parts.hostname, port, parts.scheme == DIMSE_TLS)


def check_ae_title(title: str) -> str:
    """Return a title of our own as it goes over the line.

    Raises:
        InputError: "bad_pacs_address": PS3.5 knows no such title.
    """
    if not _AE_TITLE.fullmatch(title):
        raise _bad(f"an AE title has 1 to 16 printable characters of ASCII without a backslash, and {title!r} is none")
    return title.strip()


def is_this_machine(host: str) -> bool:
    """Say whether a host is the loopback of this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad(why: str, text: str = "") -> InputError:
    return InputError("bad_pacs_address", f"the address of an archive is {FORMS}; {why}", text)
