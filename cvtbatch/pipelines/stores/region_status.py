"""How the regions of a store's outlines stand: counted by name, and which outlines have those that a run asked for."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from cvtbatch.store import Fingerprints, View, are_among

Document = dict[str, object]
ROI, PARENT = ("roi_key",), ("parent_roi_key",)


def count_regions(view: View) -> list[Document]:
    """Return how many current regions there are of each name and specification, and how many are empty, and why."""
    columns = ["region", "region_spec_id", "reason"]
    rows = view.rows("regions", columns).group_by(columns, use_threads=False).aggregate([([], "count_all")])
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows.to_pylist():
        counts[row["region"], row["region_spec_id"], row["reason"] or ""] += row["count_all"]
    return [
        {
            "region": region,
            "spec_id": spec_id,
            "derived": counts[region, spec_id, ""],
            "empty": {why: n for (*of, why), n in sorted(counts.items()) if why and of == [region, spec_id]},
        }
        for region, spec_id in sorted({(region, spec_id) for region, spec_id, _ in counts})
    ]


def with_regions(view: View, spec_ids: Sequence[str], roi_keys: Fingerprints, featured: Fingerprints) -> Fingerprints:
    """Return those outlines of which every region of some specifications is empty, or has features.

    Args:
        roi_keys: fingerprints of outlines.
        featured: of outlines and regions that have features.
    """
    rows = view.condensed("regions", [ROI, PARENT], ["region_spec_id", "state"])
    done = np.asarray(pc.equal(rows.others["state"], "empty")) | are_among(rows.keys[ROI], featured)
    for spec_id in spec_ids:
        own = done & np.asarray(pc.equal(rows.others["region_spec_id"], spec_id))
        roi_keys = roi_keys[are_among(roi_keys, rows.keys[PARENT][own])]
    return roi_keys
