"""The user's own log of a run: full paths and foreign texts, readable by that user alone, outside the store."""

import os
from pathlib import Path


def log_folder() -> Path:
    """Return where logs lie: `$XDG_STATE_HOME/cvtbatch`, by default `~/.local/state/cvtbatch`.

    Raises:
        RuntimeError: this user has no home.
    """
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "cvtbatch"


class UserLog:
    """Appends lines to a file of mode 0600 that is created with the first of them."""

    def __init__(self, run_id: str) -> None:
        self._name = f"{run_id}.log"
        self._broken = False

    def write(self, text: str) -> str:
        """Append a text and a line end.

        Returns:
            what to tell the user, once, where there can be no log (a user without a home, a read-only one); else empty.
        """
        if self._broken:
            return ""
        try:
            path = log_folder() / self._name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(text.rstrip("\n") + "\n")
        except (OSError, RuntimeError) as error:
            self._broken = True
            return f"no log of this run is kept, texts stand here alone: {error}; XDG_STATE_HOME names another folder"
        return ""
