"""Files and folders that appear under their names whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`, in the same folder, where to write a file or a folder; then it takes the name.

    A file that has the name already is replaced, as is what a killed process left half written. Where the block raises, nothing is
    left beside `path`, and what had the name keeps it. Nothing is flushed to the disk: a machine that loses its power may lose it.

    Raises:
        OSError: it cannot be renamed, or what is left of an earlier one cannot be removed.
    """
    aside = path.with_name(f".{path.name}.part")
    _remove(aside)
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        _remove(aside)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
