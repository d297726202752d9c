"""The user's own log of a run: full paths and foreign texts, readable by that user alone, outside the store."""

import os
from pathlib import Path


def log_folder() -> Path:
    """Return where logs lie: `$XDG_STATE_HOME/cvtbatch`, by default `~/.local/state/cvtbatch`."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "cvtbatch"


class UserLog:
    """Appends lines to a file of mode 0600 that is created with the first of them."""

    def __init__(self, run_id: str) -> None:
        self.path = log_folder() / f"{run_id}.log"

    def write(self, text: str) -> None:
        """Append a text and a line end."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n")
