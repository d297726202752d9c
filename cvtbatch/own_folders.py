"""Folders of the user's own, outside any store: by the variable that names one (XDG_...), below the home, or for a while."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cvtbatch.errors import InputError, ResourceError


def own_folder(variable: str, *below_home: str) -> Path:
    """Return the folder that a variable names, by default one below the user's home; it need not be there.

    Raises:
        InputError: "no_home".
    """
    if named := os.environ.get(variable):
        return Path(named)
    try:
        return Path.home().joinpath(*below_home)
    except RuntimeError:
        raise InputError(
            "no_home", f"this user has no home folder: set HOME, or {variable}, to a folder that can be written"
        ) from None


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Hold a folder of mode 0700 in the machine's temporary one.

    Raises:
        ResourceError: "no_scratch", it cannot be made.
    """
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        except OSError as error:
            raise no_scratch(error) from None
        yield folder


def no_scratch(error: OSError) -> ResourceError:
    """Return what it means that nothing can be written into the machine's temporary folder."""
    return ResourceError(
        "no_scratch",
        "the folder for temporary files (TMPDIR) cannot be written: make room, or set TMPDIR to another one",
        str(error),
    )
