"""Rows of a manifest about one image, and what is wrong with them."""

from pathlib import Path

import pytest

from cvtbatch.errors import ProblemsError
from cvtbatch.manifest import read_manifest
from tests.support.archives import write_rows


def row(**values: object) -> dict[str, object]:
    """Return a row that is right, but for what is given."""
    return {"center": "A", "case_id": "1", "image": "ct.nii.gz", **values}


def problems(folder: Path, *rows: dict[str, object]) -> list[str]:
    """Read a manifest of these rows, which is refused, and return its problems."""
    with pytest.raises(ProblemsError) as raised:
        read_manifest(write_rows(folder / "m.csv", rows))
    assert raised.value.kind == "bad_manifest"
    return raised.value.private.splitlines()
