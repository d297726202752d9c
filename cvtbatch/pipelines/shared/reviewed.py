"""What the reviews of a store say of its outlines."""

from collections.abc import Iterable, Mapping
from typing import Any

from cvtbatch.reviewing.verdicts import Given, Verdict
from cvtbatch.store import View

NOT_REVIEWED = "outline_not_reviewed"
REFUSALS = {Verdict.REDO: "outline_to_redo", Verdict.NOT_HEMATOMA: "outline_no_hematoma"}
"""Why an outline is left out where only accepted ones are taken; so is one that is not reviewed as it is."""
Reviews = Mapping[tuple[str, str, str], Given]
"""By case_key, roi_key and what was looked at (see schemas/tables/reviews.json)."""


def read_reviews(view: View) -> Reviews:
    """Return the current reviews: those of outlines, and of cases without one, as they are."""
    columns = ["case_key", "roi_key", "input_digest", "verdict", "comment", "reviewer", "reviewed_at"]
    return {
        (row["case_key"], row["roi_key"], row["input_digest"]): Given(
            Verdict(row["verdict"]), row["comment"], row["reviewer"], row["reviewed_at"]
        )
        for row in view.rows("reviews", columns).to_pylist()
    }


def refused_outlines(view: View, outlines: Iterable[Mapping[str, Any]], by: str) -> dict[str, str]:
    """Return why outlines are left out where only accepted ones are taken, a reason each; accepted ones are not among them.

    Args:
        outlines: with their roi_key and input_digest.
        by: what of them the reasons stand by, e.g. "case_key".
    """
    verdicts = {(roi_key, looked_at): given.verdict for (_, roi_key, looked_at), given in read_reviews(view).items()}
    found = ((row[by], verdicts.get((row["roi_key"], row["input_digest"]))) for row in outlines)
    return {
        key: NOT_REVIEWED if verdict is None else REFUSALS[verdict]
        for key, verdict in found
        if verdict is not Verdict.ACCEPT
    }
