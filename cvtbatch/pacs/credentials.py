"""Who we are to an archive: out of the environment, a command or a netrc file, and never out of a command line.

In this order: CVTBATCH_PACS_TOKEN; CVTBATCH_PACS_TOKEN_COMMAND, a command whose output is a token, run again when the token is
refused; CVTBATCH_PACS_USER with CVTBATCH_PACS_PASSWORD; the host's entry in the file that NETRC names, or in ~/.netrc.
"""

import netrc
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch.errors import InputError

TOKEN, TOKEN_COMMAND = "CVTBATCH_PACS_TOKEN", "CVTBATCH_PACS_TOKEN_COMMAND"
USER, PASSWORD = "CVTBATCH_PACS_USER", "CVTBATCH_PACS_PASSWORD"
_VARIABLES = (TOKEN, TOKEN_COMMAND, USER, PASSWORD)
_COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Password:
    """A user with a password (RFC 7617); its text form does not show it."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token (RFC 6750); its text form does not show it.

    Attributes:
        command: that gives another one when this one is refused; empty for none.
    """

    value: str = field(repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)

    def renewed(self) -> "Token | None":
        """Return another token, or None where there is none to be had.

        Raises:
            InputError: "bad_pacs_credentials": the command fails.
        """
        return _run(self.command) if self.command else None


Credentials = Password | Token


def read_credentials(host: str, environment: Mapping[str, str] | None = None) -> Credentials | None:
    """Return the credentials for a host; None where there are none, and the archive is asked without.

    Args:
        environment: by default this process's.

    Raises:
        InputError: "bad_pacs_credentials": the environment says two things or half of one, the command fails, or the netrc file
            cannot be read.
    """
    environment = os.environ if environment is None else environment
    given = {name: environment[name] for name in _VARIABLES if environment.get(name)}
    match list(given):
        case []:
            return _netrc(host, environment)
        case [name] if name == TOKEN:
            return Token(given[TOKEN].strip())
        case [name] if name == TOKEN_COMMAND:
            return _run(tuple(_split(given[TOKEN_COMMAND])))
        case [name, other] if (name, other) == (USER, PASSWORD):
            return Password(given[USER], given[PASSWORD])
    raise InputError(
        "bad_pacs_credentials",
        f"the environment has {' and '.join(given)}: set {TOKEN}, or {TOKEN_COMMAND}, or {USER} with {PASSWORD}, and nothing else",
    )


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise InputError("bad_pacs_credentials", f"{TOKEN_COMMAND} is no command line: a quote is not closed") from None


def _run(command: tuple[str, ...]) -> Token:
    """Return the token that a command writes; neither its output nor its complaints are shown, since they may hold it."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError("bad_pacs_credentials", f"{TOKEN_COMMAND} gave no token in {_COMMAND_SECONDS} s") from None
    except OSError as error:
        raise InputError("bad_pacs_credentials", f"{TOKEN_COMMAND} cannot be run: {error.strerror}") from None
    words = ended.stdout.decode("ascii", "replace").split()
    if ended.returncode or len(words) != 1:
        told = (
            f"ended with code {ended.returncode}"
            if ended.returncode
            else f"wrote {len(words)} words in place of a token"
        )
        raise InputError("bad_pacs_credentials", f"{TOKEN_COMMAND} {told}: run it by itself to see why")
    return Token(words[0], command)


def _netrc(host: str, environment: Mapping[str, str]) -> Password | None:
    named = environment.get("NETRC")
    path = Path(named) if named else Path(environment.get("HOME", "/")) / ".netrc"
    try:
        found = netrc.netrc(path).authenticators(host)
    except FileNotFoundError as error:
        if not named:
            return None
        raise _unreadable(error, path) from None
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError) as error:
        raise _unreadable(error, path) from None
    return None if found is None or not found[2] else Password(found[0], found[2])


def _unreadable(error: Exception, path: Path) -> InputError:
    where = f", line {error.lineno}" if isinstance(error, netrc.NetrcParseError) else ""
    return InputError(
        "bad_pacs_credentials", f"the netrc file cannot be read ({type(error).__name__}{where})", str(path)
    )
