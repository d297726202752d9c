"""A disk that fails one read after the other."""

import errno
from collections.abc import Callable

import pytest

from cvtbatch.errors import UnavailableError
from cvtbatch.ingest import source_files


def kinds_of_failing_reads(monkeypatch: pytest.MonkeyPatch, read: Callable[[], object]) -> list[str]:
    """Read a source again and again, each time failing the next of its reads, until none is left; return what each refusal was."""
    left, readinto = [0], source_files._SourceFile.readinto

    def failing(file: source_files._SourceFile, buffer: memoryview) -> int | None:
        left[0] -= 1
        if left[0] == 0:
            raise file._refusal(OSError(errno.EIO, "Input/output error"))
        return readinto(file, buffer)

    kinds: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(source_files._SourceFile, "readinto", failing)
        for number in range(1, 1000):
            left[0] = number
            try:
                read()
            except UnavailableError as error:
                kinds.append(error.kind)
            else:
                return kinds
    raise AssertionError("a read that failed a thousand times was not the last")
