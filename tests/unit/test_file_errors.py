"""Why a file cannot be opened, in words, of what the operating system itself says."""

import errno
import os
from pathlib import Path

import pytest

from cvtbatch.file_errors import why


def _error_of(path: Path) -> OSError:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        path.read_bytes()
    return caught.value


def test_common_errors_are_said_in_words_without_a_path(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, words in (
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path, "it is a folder: name a file"),
        (file / "below", "is a file, where a folder is wanted"),
        (tmp_path / ("a" * 300), "its name is too long"),
    ):
        told = why(_error_of(path))
        assert words in told
        assert str(tmp_path) not in told


def test_a_file_larger_than_the_limit_names_it() -> None:
    assert "ulimit -f" in why(OSError(errno.EFBIG, "File too large"))


def test_rare_errors_have_the_systems_words() -> None:
    assert why(OSError(5, "x")) == os.strerror(5)
    assert why(OSError("by itself")) == "by itself"
