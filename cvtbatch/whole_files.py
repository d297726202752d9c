"""Files and folders that appear under their names whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a path beside `path`, in the same folder, where to write a file or a folder; then it takes the name.

    A file that has the name already is replaced, as is what a killed process left half written. Where the block raises, nothing is
    left beside `path`, and what had the name keeps it. Nothing is flushed to the disk: a machine that loses its power may lose it.

    Args:
        folder: a folder is written; a file never takes the place of one that is half written.

    Raises:
        OSError: it cannot be renamed, or what is left of an earlier one cannot be removed.
    """
    aside = path.with_name(f".{path.name}.part")
    _remove(aside, folder)
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            _remove(aside, folder)
        raise


def _remove(path: Path, folder: bool) -> None:
    if folder and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
