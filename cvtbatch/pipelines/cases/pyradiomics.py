"""PyRadiomics' command on cvtbatch's engine: cases in, a row of each out, or what is wrong with it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.pipelines.cases.pyradiomics_case import CaseRow, compute_case
from cvtbatch.pipelines.cases.pyradiomics_input import Batch, Customization, ToldCase
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.radiomics import check_stock


def compute_batch(
    batch: Batch, customization: Customization, folder: Path | None, cluster: Cluster
) -> Iterator[CaseRow]:
    """Yield a row for each case, in order; a bad case is a row with a problem.

    Args:
        folder: where each row is kept besides, and found again; made if need be.

    Raises:
        InputError: cannot_write.
        ResourceError: PyRadiomics has to compute the set and is not installed here; a worker died.
    """
    if customization.feature_set.stock_reasons():
        check_stock(customization.feature_set)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError("cannot_write", "--out-dir: the folder cannot be made", str(error)) from None
    yield from map_on(cluster, partial(compute_case, customization, folder), batch.cases)


def missing_files(case: ToldCase) -> list[str]:
    """Return which of a case's columns Image and Mask name no file."""
    return [name for name in ("Image", "Mask") if not Path(str(case.cells[name])).is_file()]
