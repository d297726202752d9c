import errno
import os
import pickle
from unittest import mock

import pytest

from cvtbatch import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.InputError("empty_mask", "the mask is empty", "/archive/x.nii"),
        errors.ProblemsError.of("bad_manifest", "manifest m.csv", ["row 1: a", "row 2: b"]),
        errors.StorageError("store_full", "full"),
        errors.FormatError("volume_damaged", "damaged"),
        errors.ResourceError("no_scheduler", "none"),
        errors.InternalError("wrong_features", "1561"),
    ],
)
def test_errors_survive_pickling(error: errors.CvtbatchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.kind, again.message, again.private, str(again)) == (
        error.kind,
        error.message,
        error.private,
        str(error),
    )


def test_problems_are_counted_and_listed() -> None:
    text = str(errors.ProblemsError.of("bad_manifest", "manifest m.csv", ["row 1: a", "row 2: b"]))
    assert text == "manifest m.csv has 2 problems:\n  row 1: a\n  row 2: b"


def test_paths_stay_out_of_the_shared_message() -> None:
    error = errors.InputError("empty_mask", "the mask is empty", "/archive/name.nii")
    assert "/archive" not in error.message
    assert "/archive/name.nii" in str(error)


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("/lib/a.so: failed to map segment from shared object"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError("/lib/a.so: failed to map segment from shared object"), True),
        (ImportError("/lib/a.so: cannot allocate memory in static TLS block"), False),
        (ImportError("No module named 'a'"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ValueError("cannot allocate memory for a joke"), False),
    ],
)
def test_what_a_system_says_that_gives_no_memory(error: Exception, lacks: bool) -> None:
    assert errors.lacks_memory(error) is lacks


def test_a_library_where_none_may_run_lacks_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.statvfs", lambda _: mock.Mock(f_flag=os.ST_NOEXEC))
    assert not errors.lacks_memory(ImportError("/lib/a.so: failed to map segment from shared object"))
