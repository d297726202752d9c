"""What an error of a storage library is taken for."""

import pytest
from deltalake.exceptions import DeltaError

from cvtbatch.store.storage_errors import storage_error

REQUEST = "Error performing GET http://h/b/00000000000000000100.checkpoint.parquet in 5s, after 8 retries"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"Kernel error: Arrow error: External: Generic S3 error: {REQUEST}, status code 503", "store_failed"),
        (f"Kernel error: Arrow error: External: Generic S3 error: {REQUEST}: 403 Forbidden", "store_denied"),
        ("Parquet error: External: Generic LocalFileSystem error: a.parquet: (os error 5)", "store_failed"),
        ("Generic LocalFileSystem error: Unable to open file a.checkpoint.parquet: (os error 24)", "store_failed"),
        ("Generic LocalFileSystem error: Unable to copy data to file: File too large (os error 27)", "store_full"),
        ("Generic LocalFileSystem error: Unable to walk dir: Too many open files (os error 24)", "store_failed"),
        ("Kernel error: Parquet error: Invalid Parquet file. Corrupt footer", "store_damaged"),
    ],
)
def test_a_log_that_cannot_be_reached_is_not_called_damaged(text: str, kind: str) -> None:
    """As the table library words it: an outage or expired credentials while a checkpoint is read."""
    assert storage_error("opening table cases", DeltaError(text)).kind == kind


def test_a_text_that_was_written_for_a_terminal_is_one_plain_line() -> None:
    error = storage_error(
        "creating table radiomics", OSError("Generic error\n  \x1b[31m↳\x1b[0m No space left (os error 28)\n")
    )
    assert (error.kind, error.private) == ("store_full", "OSError: Generic error ↳ No space left (os error 28)")
