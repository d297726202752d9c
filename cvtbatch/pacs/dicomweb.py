"""A session with a server of DICOMweb (PS3.18): certificates verified, credentials, time limits, and waits where it is busy.

The environment and netrc files that requests would read are not: they replace tokens and certificates that were given.
"""

import datetime
import logging
import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from cvtbatch import __version__
from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import Dicomweb
from cvtbatch.pacs.credentials import Credentials, Password, Token, read_credentials
from cvtbatch.pacs.retries import Retries, away, parse_retry_after
from cvtbatch.pacs.tls import client_context, tls_error

CONNECT_SECONDS, READ_SECONDS = 20, 120
_BUSY = frozenset({429, 502, 503, 504})
_DENIED = frozenset({401, 407})
_AWAY = "the archive does not answer, or the connection broke off"
_BROKEN_OFF = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


def open_session(address: Dicomweb, retries: Retries | None = None) -> requests.Session:
    """Return a session for requests to one server, to be closed by who opens it.

    A request returns an answer of the 2xx, 4xx and 5xx that mean the request itself, and raises otherwise. It is repeated until its
    head has come; a body that is streamed and cut is the caller's to notice.

    Raises:
        InputError: "bad_pacs_credentials", and of a request "pacs_denied", "pacs_untrusted", "pacs_refused".
        UnavailableError: of a request.
    """
    # Of what they log, URLs name studies and patients.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = f"cvtbatch/{__version__}"
    session.adapters.clear()
    session.mount(f"{address.url}/", _Adapter(read_credentials(address.host), retries or Retries()))
    return session


class _Adapter(HTTPAdapter):
    """Sends requests with credentials until the server answers, and tells errors as ours."""

    def __init__(self, credentials: Credentials | None, retries: Retries) -> None:
        self._credentials = credentials
        self._retries = retries
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=client_context())

    def send(self, request: requests.PreparedRequest, *_: object, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        response = self._retries.run(lambda: self._attempt(request, options))
        if response.status_code == 401 and isinstance(self._credentials, Token):
            renewed = self._credentials.renewed()
            if renewed is not None:
                response.close()
                self._credentials = renewed
                response = self._retries.run(lambda: self._attempt(request, options))
        if response.status_code in _DENIED or response.is_redirect:
            response.close()
            raise _denied(response, self._credentials)
        return response

    def _attempt(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        match self._credentials:
            case Password(user, password):
                requests.auth.HTTPBasicAuth(user.encode(), password.encode())(request)
            case Token(value):
                request.headers["Authorization"] = f"Bearer {value}"
        try:
            response = super().send(request, **options)
            if not options.get("stream"):
                _ = response.content
        except requests.exceptions.SSLError as error:
            cause = _cause(error)
            raise tls_error(cause if isinstance(cause, ssl.SSLError) else ssl.SSLError(str(cause))) from None
        except _BROKEN_OFF as error:
            raise away(_AWAY, str(_cause(error))) from None
        if response.status_code in _BUSY:
            wait_s = parse_retry_after(response.headers.get("Retry-After"), datetime.datetime.now(datetime.UTC))
            response.close()
            raise away(
                f"the archive is busy or away (HTTP {response.status_code})",
                f"it asks to wait {wait_s:.0f} s" if wait_s else "",
                wait_s,
            )
        return response


def _cause(error: requests.RequestException) -> object:
    """Return what the layers beneath say, without the URL that was asked for."""
    beneath = error.args[0] if error.args else error
    reason = getattr(beneath, "reason", beneath)
    cause = reason.args[0] if isinstance(reason, Exception) and reason.args else reason
    return cause if isinstance(cause, ssl.SSLError) else reason


def _denied(response: requests.Response, credentials: Credentials | None) -> InputError:
    status = response.status_code
    if status not in _DENIED:
        return InputError(
            "pacs_refused", f"the archive leads elsewhere (HTTP {status}), to a log-in page perhaps: check its address"
        )
    what = "sent no credentials" if credentials is None else "sent credentials that do not suffice"
    return InputError(
        "pacs_denied",
        f"the archive does not let us in (HTTP {status}): we {what}; see CVTBATCH_PACS_USER and CVTBATCH_PACS_PASSWORD, "
        "CVTBATCH_PACS_TOKEN, CVTBATCH_PACS_TOKEN_COMMAND, or the netrc file",
    )
