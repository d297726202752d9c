"""Embeddings of whole hematomas: the slices of an outline pooled, or nothing where a slice has none."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.dlrn.pooling import Pooling, pool_slices
from cvtbatch.store.reading import View, among, joined

INPUT = ("roi_key", "input_digest")
OF_SLICE = (*INPUT, "slice_index", "area_mm2", "embedding_spec_id", "embedding")


def pooled_embeddings(
    view: View, pooling: Pooling, spec: str | Sequence[str] | None, roi_keys: pa.Array | None = None
) -> pa.Table:
    """Return the pooled embedding of every outline all of whose slices have one, under its column; a row an outline, by roi_key.

    Columns are those of INPUT, embedding_spec_id and `pooling.column`.

    Args:
        pooling: any but that of the largest slice, whose rows `embeddings` has as they are.
        spec: specifications to which the embeddings are restricted.
        roi_keys: only these outlines, at least one.

    Raises:
        InputError: they are of several specifications, or there is no such specification.
    """
    slices = view.embeddings(OF_SLICE, None, spec, roi_keys)
    slices = slices.filter(pc.invert(among(slices, incomplete_outlines(view, spec, roi_keys), INPUT)))
    slices = slices.sort_by([("roi_key", "ascending"), ("slice_index", "ascending")])
    column = slices["embedding"].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1 if len(column) else 0)
    keys = joined(slices, INPUT).to_numpy()
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    pooled = pool_slices(values, slices["area_mm2"].to_numpy(), np.append(first, len(keys)), pooling)
    rows = slices.select([*INPUT, "embedding_spec_id"]).take(pa.array(first))
    lists = pa.ListArray.from_arrays(np.arange(len(pooled) + 1, dtype=np.int32) * pooled.shape[1], pooled.ravel())
    return rows.append_column(pooling.column, lists.cast(pa.list_(pa.float32())))


def incomplete_outlines(view: View, spec: str | Sequence[str] | None, roi_keys: pa.Array | None = None) -> pa.Table:
    """Return the current outlines of which some slices have an embedding and others have none, with the columns of INPUT.

    An outline's slices add up to its mask: area by area to its number of voxels. Arguments and errors as for `pooled_embeddings`.
    """
    slices = view.embeddings([*INPUT, "volume_spec_id", "area_mm2"], None, spec, roi_keys)
    if not slices.num_rows:
        return slices.select(INPUT)
    [volume] = slices["volume_spec_id"].unique().to_pylist()
    x_mm, y_mm, _ = view.specs()[volume].content()["spacing_mm"]
    areas = slices.group_by(list(INPUT)).aggregate([("area_mm2", "sum")])
    rois = view.rows("rois", [*INPUT, "voxels"], [volume])
    voxels = rois["voxels"].take(pc.index_in(joined(areas, INPUT), value_set=joined(rois, INPUT).combine_chunks()))
    # Areas are whole numbers of pixels: half a pixel is more than their sum's rounding, and less than a slice.
    lacking = pc.greater(pc.abs(pc.subtract(pc.divide(areas["area_mm2_sum"], x_mm * y_mm), voxels)), 0.5)
    return areas.filter(lacking).select(INPUT)
