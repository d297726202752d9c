"""How the regions of a store's outlines stand: counted by name, and which outlines have those that a run asked for."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.store import View

Document = dict[str, object]


def count_regions(view: View) -> list[Document]:
    """Return how many current regions there are of each name and specification, and how many are empty, and why."""
    rows = view.rows("regions", ["region", "region_spec_id", "reason"]).to_pylist()
    counts = Counter((row["region"], row["region_spec_id"], row["reason"] or "") for row in rows)
    return [
        {
            "region": region,
            "spec_id": spec_id,
            "derived": counts[region, spec_id, ""],
            "empty": {why: n for (*of, why), n in sorted(counts.items()) if why and of == [region, spec_id]},
        }
        for region, spec_id in sorted({(region, spec_id) for region, spec_id, _ in counts})
    ]


def with_regions(
    view: View, spec_ids: Sequence[str], roi_keys: pa.ChunkedArray, featured: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Return those outlines of which every region of some specifications is empty, or has features.

    Args:
        roi_keys: outlines.
        featured: outlines and regions that have features.
    """
    rows = view.rows("regions", ["roi_key", "parent_roi_key", "region_spec_id", "state"])
    for spec_id in spec_ids:
        own = rows.filter(pc.equal(rows["region_spec_id"], spec_id))
        done = pc.or_(pc.equal(own["state"], "empty"), pc.is_in(own["roi_key"], value_set=featured))
        roi_keys = roi_keys.filter(pc.is_in(roi_keys, value_set=own.filter(done)["parent_roi_key"]))
    return roi_keys
