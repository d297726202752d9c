"""Cases that were outlined twice, one scan a patient: both outlines of each, with their features, volumes and overlap."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import TableContract
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Reading, key_of
from cvtbatch.pipelines.models.eligible_cases import Row
from cvtbatch.store import FeatureStore, StoredArray, View, wide_rows
from cvtbatch.validation.first_scans import first_places
from cvtbatch.validation.readers import dice
from cvtbatch.validation.values import Floats, NotComputable

A = TypeVar("A")
B = TypeVar("B")
Map = Callable[[Callable[[A], B], Iterable[A]], Iterable[B]]
IDENTITY = ("roi_key", "case_key", "input_digest")
OF_CASE = ("case_key", "center", "patient", "onset_to_ct_h")
OF_OUTLINE = ("roi_key", "image_digest", "path", "checksum", "volume_ml", "flags")


@dataclass(frozen=True, slots=True)
class OutlinePairs:
    """Cases with one outline with features by each of two readings, in order of case_key.

    Attributes:
        rows: a table of features for each reading, a row a case.
        rois: likewise the rows of `rois`, with the columns of OF_OUTLINE.
        left_out: cases that are no pair, by reason.
        features: columns that are radiomics features, in order.
    """

    cases: tuple[str, ...]
    rows: tuple[pa.Table, pa.Table]
    rois: tuple[Sequence[Row], Sequence[Row]]
    left_out: dict[str, int]
    features: tuple[str, ...]

    def values(self, names: Sequence[str]) -> Floats:
        """Return columns as (cases, 2, columns), NaN where a value is missing."""
        return np.stack([_matrix(table, names) for table in self.rows], axis=1)

    def volumes_ml(self) -> tuple[Floats, Floats]:
        """Return the volumes of the first and of the second outlines: (cases,) each."""
        first, second = (np.array([row["volume_ml"] for row in rows], dtype=np.float64) for rows in self.rois)
        return first, second


def read_pairs(
    view: View,
    spec_ids: Sequence[str],
    centers: Sequence[str],
    readings: tuple[Reading, Reading],
    features: TableContract,
    columns: Sequence[str],
    pooling: Pooling = Pooling.LARGEST,
    regions: Sequence[str] = (),
) -> OutlinePairs:
    """Return the cases that both readings have outlined.

    Args:
        spec_ids: of the features, and of embeddings where the columns need them.
        centers: of these alone; of all where none is named.
        features: table of the radiomics features.
        columns: of `FeatureStore.wide`, beside the identity and these.
        pooling: of the embeddings that the columns name.
        regions: whose features are among the columns.
    """
    where = pc.field("center").isin(pa.array(list(centers), pa.string())) if centers else None
    wanted = list(dict.fromkeys([*IDENTITY, *features.features, *columns]))
    tables = [
        wide_rows(view, wanted, where, spec_ids, reading, features=features, pooling=pooling, regions=regions)
        for reading in readings
    ]
    counts = [Counter(table["case_key"].to_pylist()) for table in tables]
    both = counts[0].keys() & counts[1].keys()
    single = sorted(key for key in both if counts[0][key] == counts[1][key] == 1)
    cases = _one_a_patient(view, single)
    left_out = {
        "only_first": len(counts[0].keys() - both),
        "only_second": len(counts[1].keys() - both),
        "several_outlines": len(both) - len(single),
        "further_scans": len(single) - len(cases),
    }
    first, second = (_rows_of(table, cases) for table in tables)
    rois = {row["roi_key"]: row for row in view.outlines(list(OF_OUTLINE), spec_ids).to_pylist()}
    outlines = [[rois[key] for key in table["roi_key"].to_pylist()] for table in (first, second)]
    return OutlinePairs(tuple(cases), (first, second), (outlines[0], outlines[1]), left_out, features.features)


def _one_a_patient(view: View, case_keys: Sequence[str]) -> list[str]:
    """Return the cases of one scan a patient, in order: agreement takes cases as independent."""
    known = {row["case_key"]: row for row in view.rows("cases", list(OF_CASE)).to_pylist()}
    scans = [
        (key_of(row["center"], row["patient"]), row["onset_to_ct_h"], key) for key in case_keys for row in [known[key]]
    ]
    return [case_keys[place] for place in first_places(scans)]


def overlaps(store_url: str, pairs: OutlinePairs, map_: "Map[Masks, float | None]" = map) -> list[float | None]:
    """Return Dice's overlap of the stored masks of each pair; None where one cannot be read, or they lie on two volumes."""
    return list(map_(_overlap, [_masks(store_url, *rois) for rois in zip(*pairs.rois, strict=True)]))


@dataclass(frozen=True, slots=True)
class Masks:
    """Two masks on one volume, or none."""

    store_url: str
    masks: tuple[StoredArray, StoredArray] | None


def _masks(store_url: str, first: Row, second: Row) -> Masks:
    same = first["image_digest"] == second["image_digest"]
    stored = tuple(StoredArray(row["path"], row["checksum"]) for row in (first, second))
    return Masks(store_url, (stored[0], stored[1]) if same else None)


@lru_cache(maxsize=1)
def _store(url: str) -> FeatureStore:
    """Return a store that this process has opened before."""
    return FeatureStore(url)


def _overlap(item: Masks) -> float | None:
    if item.masks is None:
        return None
    try:
        first, second = (_store(item.store_url).read_array(mask) for mask in item.masks)
    except CvtbatchError:
        return None
    found = dice(first.astype(np.uint8), second.astype(np.uint8))
    return None if isinstance(found, NotComputable) else found


def _rows_of(table: pa.Table, cases: Sequence[str]) -> pa.Table:
    """Return the rows of some cases, one each, in order."""
    place = {key: number for number, key in enumerate(table["case_key"].to_pylist())}
    return table.take(pa.array([place[case] for case in cases], pa.int64()))


def _matrix(table: pa.Table, names: Sequence[str]) -> Floats:
    """Return columns as (rows, columns), NaN where a value is missing."""
    return np.column_stack([table[name].cast(pa.float64()).to_numpy() for name in names])
