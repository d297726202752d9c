"""The user's own log of a run: full paths and foreign texts, readable by that user alone, outside the store.

JSON, an object a line: `time` (UTC), `level`, `run_id`, `event`, and what it is about (`case_key`, `roi_key`, `stage`, `kind`,
`message`; `private` holds paths and foreign texts). jq reads it, and so do the usual collectors of logs.
"""

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Literal

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.own_folders import own_folder

Level = Literal["info", "warning", "error"]


def log_folder() -> Path:
    """Return where logs lie: `$XDG_STATE_HOME/cvtbatch`, by default `~/.local/state/cvtbatch`.

    Raises:
        InputError: "no_home".
    """
    return own_folder("XDG_STATE_HOME", ".local", "state") / "cvtbatch"


class RunLog:
    """Appends events to a file of mode 0600 that is created with the first of them.

    Args:
        run_id: names the file, `RUN_ID.jsonl` in `log_folder()`.
        path: another file.
        on_notice: told, once, where there can be no log (a user without a home, a read-only one).
    """

    def __init__(
        self, run_id: str, path: Path | None = None, on_notice: Callable[[str], None] = lambda _: None
    ) -> None:
        self._run_id, self._path, self._on_notice = run_id, path, on_notice
        self._broken = False

    def write(self, level: Level, event: str, **what: object) -> bool:
        """Append an event; what is None or empty is left out.

        Returns:
            whether it is in the log.
        """
        if self._broken:
            return False
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        # A file name need not be text: some archives were written by systems of another encoding.
        told = {
            name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
            for name, value in what.items()
            if value not in (None, "")
        }
        line = json.dumps({"time": now, "level": level, "run_id": self._run_id, "event": event, **told})
        try:
            path = self._file()
            if self._path is None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="ascii") as file:
                file.write(line + "\n")
        except (OSError, InputError) as error:
            self._broken = True
            reason = why(error) if isinstance(error, OSError) else str(error)
            self._on_notice(f"no log of this run is kept, texts stand here alone: {reason}; --log names another file")
            return False
        return True

    def read(self, run_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield what was written of a run, this one or an earlier one; nothing where its log is not here.

        An earlier one is looked for in this run's file, which several may share, and where logs lie by default.
        """
        with suppress(InputError):
            own = self._file()
            yield from _entries(own, run_id)
            # An id comes from a store, and may be anything.
            by_default = log_folder() / f"{PurePath(run_id).name}.jsonl"
            if by_default != own:
                yield from _entries(by_default, run_id)

    def _file(self) -> Path:
        return self._path or log_folder() / f"{self._run_id}.jsonl"


def _entries(file: Path, run_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield what a log has of a run, but for a line that was left half written; nothing where there is no such file."""
    with suppress(OSError, ValueError), file.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if run_id in line:
                with suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("run_id") == run_id:
                        yield entry
