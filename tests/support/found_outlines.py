"""Outlines as a method finds them, written into a store by hand: rows of `rois` and `outlines`, and masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation

from cvtbatch.geometry import Grid
from cvtbatch.manifest import key_of
from cvtbatch.spec import digest
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.store_rows import row

OUTLINE_SPEC = "out-0123456789ab"
READER = "blast-ct:01234567"
Row = Mapping[str, Any]


def volume_of(store: FeatureStore, case_key: str) -> Row:
    """Return the current row of a case's volume."""
    return next(found for found in store.current("volumes").to_pylist() if found["case_key"] == case_key)


def add_found(
    store: FeatureStore, case_key: str, grown: int = 1, agreement: float | None = 0.9, flags: Sequence[str] = ()
) -> None:
    """Add a found outline: a person's, grown by so many voxels in its slices."""
    person = next(found for found in store.rois().to_pylist() if found["case_key"] == case_key)
    volume = volume_of(store, case_key)
    mask_zyx = store.read_array(StoredArray(person["path"], person["checksum"])) > 0
    if grown:
        mask_zyx = binary_dilation(mask_zyx, np.ones((1, 3, 3), bool), iterations=grown)
    grid = Grid(
        tuple(volume["size_xyz"]), tuple(volume["spacing_mm"]), tuple(volume["origin_mm"]), tuple(volume["direction"])
    )
    stored = store.write_mask(mask_zyx.astype(np.uint8), grid)
    hits = np.argwhere(mask_zyx)
    start, size = hits.min(axis=0), np.ptp(hits, axis=0) + 1
    areas = mask_zyx.sum(axis=(1, 2))
    ml = float(mask_zyx.sum() * np.prod(grid.spacing_mm) / 1000)
    identity = {name: volume[name] for name in ("case_key", "center", "case_id", "volume_spec_id", "image_digest")}
    store.table("rois").append(
        [
            row(
                "rois",
                **identity,
                roi_key=key_of(*case_key.split("/"), "hematoma", READER, 1),
                roi="hematoma",
                reader=READER,
                reading=1,
                outline_spec_id=OUTLINE_SPEC,
                mask_digest=stored.checksum,
                input_digest=digest(volume["image_digest"], stored.checksum),
                path=stored.path,
                checksum=stored.checksum,
                voxels=int(mask_zyx.sum()),
                volume_ml=ml,
                largest_slice=int(areas.argmax()),
                box_start_zyx=start.tolist(),
                box_size_zyx=size.tolist(),
                flags=["auto", *flags],
            )
        ]
    )
    add_finding(store, case_key, "outlined", agreement, flags)


def add_finding(
    store: FeatureStore, case_key: str, state: str, agreement: float | None = None, flags: Sequence[str] = ()
) -> None:
    """Add the row of `outlines` of a case: outlined, or no_hemorrhage."""
    volume = volume_of(store, case_key)
    identity = {name: volume[name] for name in ("case_key", "center", "case_id", "volume_spec_id", "image_digest")}
    rois = ["hematoma"] if state == "outlined" else []
    found = {"state": state, "rois": rois, "agreement": agreement, "flags": list(flags)}
    store.table("outlines").append(
        [row("outlines", **identity, outline_spec_id=OUTLINE_SPEC, reader=READER, method="blast-ct", **found)]
    )
