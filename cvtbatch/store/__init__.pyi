from .array_store import ArrayStore
from .arrow_rows import FEATURES
from .column_names import check_columns
from .erasure import Erasure, erase_case
from .feature_sets import SET_NAME, set_contract, set_table
from .feature_store import FeatureStore
from .fingerprints import Fingerprints, are_among, chosen, fingerprints_of, newest_of
from .location import Location
from .pairs import pair_rows, pair_schema
from .pooled_embeddings import incomplete_outlines
from .portions import Portions, Wanted
from .reading import Selection, View
from .region_features import feature_columns
from .row_keys import IS_LARGEST, IS_OUTLINE, REGION, STANDS_FOR_ALL, among
from .snapshots import Snapshot, automatic_snapshot, create_snapshot, read_snapshot, read_snapshots
from .stored_array import StoredArray
from .tables import counted, equal_to
from .taken_rows import sort_rows
from .verification import Discrepancy, verify_snapshot
from .wide import wide_columns, wide_rows

__all__ = [
    "FEATURES",
    "IS_LARGEST",
    "IS_OUTLINE",
    "REGION",
    "SET_NAME",
    "STANDS_FOR_ALL",
    "ArrayStore",
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
