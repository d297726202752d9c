"""Sources that are not there: one kind, whatever was to be read."""

from dataclasses import replace
from pathlib import Path

import pytest

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.ingest import read_mask, read_volume
from cvtbatch.manifest import Case, RoiSource

CLINICAL = (None,) * len(contracts.clinical_columns())
NAMES = (
    "ct.nii.gz",
    "folder",
    "ct.dcm",
    "a.zip",
    "mask.seg.nrrd",
    "x" * 300 + ".nii.gz",
    "file/below.nii",
    "loop",
    "nowhere",
    "images\\ct.nii.gz",
)


def never() -> None:
    raise AssertionError("the image is not asked for")


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:20])
def test_a_source_that_is_not_there_is_a_missing_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "annex")
    path = str(tmp_path / name)
    roi = RoiSource("A/1/hematoma/A/1", "hematoma", "A", 1, path, name, None, None, 1)
    case = Case("A", "1", path, name, None, False, CLINICAL, "{}", (replace(roi, mask=None),), 1)
    for column, read in (("image", lambda: read_volume(case)), ("mask", lambda: read_mask(roi, never))):
        with pytest.raises(InputError) as raised:
            read()
        error = raised.value
        assert (error.kind, error.message.partition(",")[0]) == (
            "missing_file",
            f"there is no file or folder at the path in column {column}",
        )
        assert str(tmp_path) not in error.message
        assert ("write /" in error.message) is ("\\" in name)
        link = ", a link that leads nowhere" if name in {"loop", "nowhere"} else ""
        assert error.private == f"{path}{link}"
