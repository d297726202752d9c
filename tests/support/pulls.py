"""`pull` as its tests run it."""

import json
from pathlib import Path

from cvtbatch import contracts
from tests.support.commands import cvtbatch


def pulled(address: str, out: Path, *options: object, code: int = 0) -> dict[str, object]:
    """Pull from an archive of the tests, look for what may not be said, and return the document."""
    found = cvtbatch("pull", address, "--out", out, "--json", *options)
    assert found.returncode == code, found.stderr
    document = json.loads(found.stdout)
    assert contracts.problems_of(document, "commands/pull.json") == []
    assert not any(word in found.stdout + found.stderr for word in ("ecret", "SECRET", "2.25."))
    return dict(document)
