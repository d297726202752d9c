"""The store: zarr volumes and versioned tables under one root.

    STORE/cvtbatch-store.json     format and version; a newer one is refused
    STORE/heads/NAME/VERSION      how far the log of a table is known to reach; empty
    STORE/tables/NAME/            Delta Lake tables (schemas/tables/; features_SET of each feature set, `feature_sets`)
    STORE/volumes/, STORE/masks/  OME-Zarr 0.5 groups, immutable, each under a path of its own
    STORE/weights/                safetensors of backbones, by the digest of their tensors, for workers and for later years

What is read of a table was hashed before it was written (`checked_files`), and a log says what it holds (`table_log`).
A volume exists only if a row names it and its checksum holds: zarr reads a shard that is missing as fill value, silently.
"""

from cvtbatch.store.arrow_rows import FEATURES
from cvtbatch.store.column_names import check_columns
from cvtbatch.store.erasure import Erasure, erase_case
from cvtbatch.store.feature_sets import NAME as SET_NAME
from cvtbatch.store.feature_sets import set_contract, set_table
from cvtbatch.store.feature_store import FeatureStore
from cvtbatch.store.fingerprints import Fingerprints, are_among, chosen, fingerprints_of, newest_of
from cvtbatch.store.location import Location
from cvtbatch.store.pairs import pair_rows, pair_schema
from cvtbatch.store.pooled_embeddings import incomplete_outlines
from cvtbatch.store.portions import Portions, Wanted
from cvtbatch.store.reading import Selection, View
from cvtbatch.store.region_features import feature_columns
from cvtbatch.store.row_keys import IS_LARGEST, IS_OUTLINE, REGION, STANDS_FOR_ALL, among
from cvtbatch.store.snapshots import (
    Snapshot,
    automatic_snapshot,
    create_snapshot,
    read_snapshot,
    read_snapshots,
)
from cvtbatch.store.stored_array import StoredArray
from cvtbatch.store.tables import counted, equal_to
from cvtbatch.store.taken_rows import sort_rows
from cvtbatch.store.verification import Discrepancy, verify_snapshot
from cvtbatch.store.wide import wide_columns, wide_rows

__all__ = [
    "FEATURES",
    "IS_LARGEST",
    "IS_OUTLINE",
    "REGION",
    "SET_NAME",
    "STANDS_FOR_ALL",
    "Discrepancy",
    "Erasure",
    "FeatureStore",
    "Fingerprints",
    "Location",
    "Portions",
    "Selection",
    "Snapshot",
    "StoredArray",
    "View",
    "Wanted",
    "among",
    "are_among",
    "automatic_snapshot",
    "check_columns",
    "chosen",
    "counted",
    "create_snapshot",
    "equal_to",
    "erase_case",
    "feature_columns",
    "fingerprints_of",
    "incomplete_outlines",
    "newest_of",
    "pair_rows",
    "pair_schema",
    "read_snapshot",
    "read_snapshots",
    "set_contract",
    "set_table",
    "sort_rows",
    "verify_snapshot",
    "wide_columns",
    "wide_rows",
]
