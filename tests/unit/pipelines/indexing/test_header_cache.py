"""What is kept of headers between two runs of `index`."""

import sqlite3
from pathlib import Path

from cvtbatch.pipelines.indexing.header_cache import HeaderCache


def test_another_version_forgets_headers_and_not_what_was_written(tmp_path: Path) -> None:
    """Else rows that a person took out of a manifest would come back with an update."""
    kept, manifest, cases = tmp_path / "kept.sqlite", tmp_path / "m.csv", {("A", "1"): "digest"}
    with HeaderCache(kept) as cache:
        cache.remember(manifest, cases)
    with sqlite3.connect(kept) as database:
        database.execute("INSERT INTO folders (path, run) VALUES (?, 7)", (b"ct",))
        database.execute("PRAGMA user_version = 1")
    database.close()
    with HeaderCache(kept) as cache:
        assert (cache.written(manifest), cache.run) == (cases, 1)
