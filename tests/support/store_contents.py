"""What two runs left in their stores, to be compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.store import FeatureStore

# What may differ between two runs that did the same: book-keeping, and the unique paths of immutable objects.
BOOK_KEEPING = {"run_id", "sequence", "recorded_at", "path", "seconds"}


def contents(store: Path | str) -> dict[str, list[dict[str, object]]]:
    """Return what counts in a store's tables, in key order: current rows without book-keeping, failures as what they say."""
    opened = FeatureStore(str(store))
    tables: dict[str, list[dict[str, object]]] = {}
    sets = [table.contract.name for table in opened.feature_sets().values()]
    for name in (
        "cases",
        "volumes",
        "rois",
        "outlines",
        "regions",
        "radiomics",
        *sets,
        *contracts.description_tables(),
        "embeddings",
    ):
        table: pa.Table = opened.table(name).read()
        kept = [column for column in table.column_names if column not in BOOK_KEEPING]
        key = [(column, "ascending") for column in opened.table(name).contract.key]
        tables[name] = table.select(kept).sort_by(key).to_pylist()
    columns = ["case_key", "roi_key", "spec_id", "stage", "kind", "message"]
    tables["failures"] = (
        opened.failures().select(columns).sort_by([(name, "ascending") for name in columns]).to_pylist()
    )
    return tables


def grid_of(volume: Mapping[str, Any]) -> Grid:
    """Return the grid of a row of `volumes`."""
    return Grid(
        tuple(volume["size_xyz"]), tuple(volume["spacing_mm"]), tuple(volume["origin_mm"]), tuple(volume["direction"])
    )
