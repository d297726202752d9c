"""The secret under which DICOM UIDs are hashed before a row leaves a worker.

A UID leads to its patient in any archive that holds the series. Its HMAC-SHA256 does not, and is still equal for equal UIDs:
repeats are found by it, across sites too if they share the key. The key lies outside the store, in `CVTBATCH_UID_KEY` or in a
file of the user's own, and reaches workers inside their tasks.
"""

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.own_folders import own_folder

VARIABLE = "CVTBATCH_UID_KEY"
SHORTEST_KEY = 16
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class UidKey:
    """The key; its text form says nothing of it, since logs print tasks."""

    secret: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Short name of the key: only hashes under one key compare."""
        return self._digest("cvtbatch key id")[:12]

    def hash(self, uid: str) -> str:
        """Return the keyed hash of a UID, as hex."""
        return self._digest(uid)

    def _digest(self, text: str) -> str:
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()


def key_file() -> Path:
    """Return where the user's key lies: `$XDG_CONFIG_HOME/cvtbatch/uid-key`, by default `~/.config/cvtbatch/uid-key`.

    Raises:
        InputError: "no_home".
    """
    return own_folder("XDG_CONFIG_HOME", ".config") / "cvtbatch" / "uid-key"


def load_uid_key() -> UidKey:
    """Return the key of `CVTBATCH_UID_KEY`, or else of the user's file, which is made (mode 0600) where there is none.

    Raises:
        InputError: the key is too short, others can read its file, or there is no place for one.
    """
    text = os.environ.get(VARIABLE)
    if text is not None:
        return _checked(text, f"the variable {VARIABLE}")
    try:
        path = key_file()
    except InputError as error:
        raise _no_key(error) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InputError("uid_key_exposed", "other users can read the file of the UID key; chmod 600 it", str(path))
        return _checked(path.read_text(encoding="utf-8"), "the file of the UID key")
    except (OSError, UnicodeDecodeError) as error:
        raise _no_key(error) from None


def _no_key(error: Exception) -> InputError:
    return InputError(
        "no_uid_key",
        f"the key under which DICOM UIDs are hashed can be neither read nor kept; give one of {SHORTEST_KEY} characters or "
        f"more in {VARIABLE}, the same in every run and at every site whose hashes are to compare",
        str(error),
    )


def _make(path: Path) -> None:
    """Make a key where there is none; of two runs that do so at once, both use the one that came first."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _checked(text: str, where: str) -> UidKey:
    secret = text.strip()
    if len(secret) < SHORTEST_KEY:
        raise InputError(
            "weak_uid_key", f"{where} has {len(secret)} characters; a key has {SHORTEST_KEY} or more, chosen at random"
        )
    return UidKey(secret.encode())
