"""Which outlines lack the features of a region that a model takes, and why: they are left out, as those without any feature are."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.regions.rules import REGION_SPEC, region_column
from cvtbatch.store import View


def no_features_of(region: str) -> str:
    """Return the reason of an outline whose region is not derived, or has no features."""
    return f"no_features_of_{region}"


def lacking_regions(view: View, outlines: pa.Table, regions: Sequence[str], by: str) -> dict[str, str]:
    """Return why outlines have no features of a region, of several regions the first, e.g. "rim5_too_thin".

    Args:
        outlines: rows of `FeatureStore.wide` with roi_key, input_digest and, of each region, what derived it.
        by: what of them the reasons stand by, e.g. "case_key".
    """
    if not regions:
        return {}
    rows = view.rows("regions", ["parent_roi_key", "parent_digest", "region", "state", "reason"])
    rows = rows.filter(pc.field("state") == "empty")
    empty = {
        (row["parent_roi_key"], row["parent_digest"], row["region"]): f"{row['region']}_{row['reason']}"
        for row in rows.to_pylist()
    }
    found: dict[str, str] = {}
    for region in regions:
        lacking = outlines.filter(outlines[region_column(region, REGION_SPEC)].is_null())
        for row in lacking.select(list(dict.fromkeys([by, "roi_key", "input_digest"]))).to_pylist():
            reason = empty.get((row["roi_key"], row["input_digest"], region), no_features_of(region))
            found.setdefault(row[by], reason)
    return found
