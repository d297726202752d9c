"""Folders of the user's own, outside any store: by the variable that names one (XDG_...), or below the home."""

import os
from pathlib import Path

from cvtbatch.errors import InputError


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
