"""Ids of runs: when one started, and six digits that tell it from others of that second."""

import datetime
import secrets

_STARTED = "%Y%m%dT%H%M%S"


def make_run_id(now: datetime.datetime) -> str:
    """Return the id of a run that starts at a moment (UTC), e.g. 20261128T143000-9f3a1c."""
    return f"{now:{_STARTED}}-{secrets.token_hex(3)}"


def started_at(run_id: str) -> datetime.datetime:
    """Return when a run started (UTC, whole seconds).

    Raises:
        ValueError: this is no id of a run.
    """
    return datetime.datetime.strptime(run_id.partition("-")[0], _STARTED).replace(tzinfo=datetime.UTC)
