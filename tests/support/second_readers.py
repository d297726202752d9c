"""Outlines by another reader, a person or a method, beside those of reader A in a store of made-up features."""

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.manifest import key_of
from cvtbatch.store import FeatureStore
from tests.support.store_rows import GRID


def add_reader(
    store: FeatureStore,
    reader: str,
    centers: Sequence[str],
    *,
    spread: float = 0.1,
    least: str = "",
    most: str = "~",
    **of_outline: object,
) -> None:
    """Give the cases of some centres outlines by another reader, with A's features and embeddings a little moved.

    Args:
        spread: standard deviation of what is added to a feature.
        least, most: case ids from the one to before the other.
        of_outline: columns of `rois`, e.g. outline_spec_id for a method.
    """
    rng = np.random.default_rng(len(reader))
    for name in ("rois", "radiomics", "embeddings"):
        rows = store.current(name)
        chosen = [
            pc.is_in(rows["center"], value_set=pc.cast(list(centers), "string")),
            pc.greater_equal(rows["case_id"], least),
            pc.less(rows["case_id"], most),
            pc.equal(rows["reader"], "A"),
        ]
        for mask in chosen[1:]:
            chosen[0] = pc.and_(chosen[0], mask)
        entries = rows.filter(chosen[0]).to_pylist()
        for entry in entries:
            entry |= {"reader": reader, "roi_key": entry["roi_key"].removesuffix("/A/1") + f"/{key_of(reader)}/1"}
            entry["input_digest"] = entry["input_digest"].removesuffix("-A") + f"-{reader}"
            if name == "rois":
                entry |= of_outline
            for feature in contracts.feature_names() if name == "radiomics" else ():
                entry[feature] += spread * rng.normal()
        store.table(name).append(entries)


def set_mask(store: FeatureStore, roi_key: str, mask_zyx: np.ndarray, grid: Grid = GRID) -> None:
    """Give an outline a mask that can be read, with its volume."""
    rows = store.current("rois")
    (entry,) = rows.filter(pc.equal(rows["roi_key"], roi_key)).to_pylist()
    stored = store.write_mask(mask_zyx.astype(np.uint8), grid)
    voxel_ml = float(np.prod(grid.spacing_mm)) / 1000
    own = {"path": stored.path, "checksum": stored.checksum, "volume_ml": float(mask_zyx.sum()) * voxel_ml}
    store.table("rois").append([{**entry, **own, "generation": entry["generation"] + 1}])
