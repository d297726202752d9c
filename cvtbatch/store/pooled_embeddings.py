"""Embeddings of whole hematomas: the slices of an outline pooled or together, or nothing where a slice has none."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.dlrn.pooling import Pooling, pool_slices
from cvtbatch.store.reading import View
from cvtbatch.store.row_keys import among, joined

INPUT = ("roi_key", "input_digest")
# Outlines whose slices are held together: ten each take 340 MB.
OUTLINES_AT_ONCE = 2**12
OF_SLICE = (*INPUT, "slice_index", "area_mm2", "embedding_spec_id", "embedding")


def pooled_embeddings(
    view: View, pooling: Pooling, spec: str | Sequence[str] | None, roi_keys: pa.Array | None = None
) -> pa.Table:
    """Return the pooled embedding of every outline all of whose slices have one, under its column; a row an outline, by roi_key.

    Columns are those of INPUT, embedding_spec_id and `pooling.column`: of attention, which a model learns, the embeddings of all
    slices, one behind the other in their order.

    Args:
        pooling: any but that of the largest slice, whose rows `embeddings` has as they are.
        spec: specifications to which the embeddings are restricted.
        roi_keys: only these outlines, at least one.

    Raises:
        InputError: they are of several specifications, or there is no such specification.
    """
    known = view.embeddings([*INPUT, "embedding_spec_id"], None, spec, roi_keys)
    whole = known.filter(pc.invert(among(known, incomplete_outlines(view, spec, roi_keys), INPUT)))
    keys = whole["roi_key"].unique().sort()
    parts = [
        _pooled(view.embeddings(OF_SLICE, None, spec, keys.slice(start, OUTLINES_AT_ONCE)), pooling)
        for start in range(0, len(keys), OUTLINES_AT_ONCE)
    ]
    none = whole.slice(0, 0).append_column(pooling.column, pa.array([], pa.list_(pa.float32())))
    return pa.concat_tables(parts or [none]).replace_schema_metadata(known.schema.metadata)


def _pooled(slices: pa.Table, pooling: Pooling) -> pa.Table:
    """Return the pooled embedding of some outlines all of whose slices are given, at least one."""
    slices = slices.sort_by([("roi_key", "ascending"), ("slice_index", "ascending")])
    column, keys = slices["embedding"].combine_chunks(), slices["roi_key"].to_numpy()
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    starts = np.append(first, len(keys))
    if pooling is Pooling.ATTENTION:
        offsets = pa.array((starts * values.shape[1]).astype(np.int32))
        lists = pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
    else:
        pooled = pool_slices(values, slices["area_mm2"].to_numpy(), starts, pooling)
        whole = pa.FixedSizeListArray.from_arrays(pa.array(pooled.ravel()), pooled.shape[1])
        lists = whole.cast(pa.list_(pa.float32()))
    return slices.select([*INPUT, "embedding_spec_id"]).take(pa.array(first)).append_column(pooling.column, lists)


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
