"""Patterns of folders: what they read out of a path, and what is no pattern."""

from pathlib import PurePath

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.indexing.path_pattern import PathIds, PathPattern


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{center}/{patient}/{study}", "Köln/P 01/2024/S1/IM1.dcm", PathIds("Köln", "P 01", "2024")),
        ("{center}/{patient}/ct.nii.gz", "A/P01/ct.nii.gz", PathIds("A", "P01", None)),
        ("{center}/{patient}/ct.nii.gz", "A/P01/ct_nii.gz", None),
        ("{patient}/{study}", "P01", None),
        ("{patient}_{study}.nii.gz", "P01_a_b.nii.gz", PathIds(None, "P01", "a_b")),
        ("export*/sub-{patient}/{study}", "export 3/sub-7/x", PathIds(None, "7", "x")),
        ("*/{patient}/", "any/P01/x", PathIds(None, "P01", None)),
        ("{center}+/{patient}", "A+/P01", PathIds("A", "P01", None)),
        ("{center}+/{patient}", "AA/P01", None),
    ],
)
def test_a_pattern_reads_the_first_parts_of_a_path(pattern: str, path: str, found: PathIds | None) -> None:
    assert PathPattern.parse(pattern).match(PurePath(path)) == found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{centre}/{patient}", r"\{centre\} is none of \{center\}, \{patient\}, \{study\}"),
        ("{patient}/{patient}", "stands twice"),
        ("{patient}{study}", "follow each other"),
        ("{patient/{study}", "brace|none of"),
        ("{patient}}", "brace"),
        ("data/ct", "no place"),
        ("", "no place"),
        ("../{patient}", "below it"),
        ("{center}//{patient}", "below it"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        PathPattern.parse(pattern)
    assert raised.value.kind == "bad_pattern"
