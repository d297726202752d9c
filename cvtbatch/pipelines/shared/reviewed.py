"""What the reviews of a store say of its outlines."""

from collections.abc import Mapping

from cvtbatch.reviewing.verdicts import Given, Verdict
from cvtbatch.store import View

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
