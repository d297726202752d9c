"""The clinical table of a watch: somebody writes it while the watch runs."""

import time
from collections.abc import Callable
from pathlib import Path

from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.pipelines.indexing.clinical_table import read_clinical_table

# A file is taken when nobody has written to it for so long: of one that is half written the last value may have lost its end.
SETTLED_S = 2.0
# What `index` finds wrong of a table beside the ids of studies.
OF_STUDIES = frozenset({"unpadded_ids", "clinical_table_without_center"})


class ClinicalTableError(UnavailableError):
    """The clinical table cannot be used now; once it is mended, it is."""

    @classmethod
    def of(cls, error: InputError) -> "ClinicalTableError":
        """Build the error for what is wrong with the table, in words that name no path."""
        told = "the clinical table cannot be used (the log says why), and studies wait for it"
        return cls(error.kind, told, f"{error.message}\n{error.private}")


def require_clinical_table(path: Path, on: str, center: str | None, look: Callable[[], None]) -> None:
    """Wait until nobody writes to a clinical table, and read it.

    Args:
        look: called meanwhile; may raise KeyboardInterrupt.

    Raises:
        ClinicalTableError: it cannot be read, or values are wrong.
    """
    try:
        while 0 <= time.time() - path.stat().st_mtime < SETTLED_S:
            look()
            time.sleep(0.1)
    except OSError:
        pass  # told of below
    try:
        read_clinical_table(path, on, [center] if center else [])
    except InputError as error:
        raise ClinicalTableError.of(error) from None
