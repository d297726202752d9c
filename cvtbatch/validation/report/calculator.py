"""What the page's calculator computes by: the nomogram, and the range that each term had in training. Pure."""

import json

from cvtbatch.validation.nomogram import Nomogram
from cvtbatch.validation.values import Maybe, NotComputable


def calculator_data(nomogram: Maybe[Nomogram]) -> Maybe[str]:
    """Return the nomogram as JSON for the page's script; none where a term's training range is not known.

    The script gives no number outside these ranges.
    """
    if isinstance(nomogram, NotComputable):
        return nomogram
    terms = []
    for term in nomogram.terms:
        if isinstance(term.training, NotComputable):
            return term.training
        limits = {"low": term.training.low, "high": term.training.high}
        shape = {"coefficient": term.coefficient, "more": term.more, "knots": term.knots}
        terms.append({"name": term.name, "origin": term.origin, **shape, **limits})
    scale = {"atZero": nomogram.log_odds_at_zero, "perPoint": nomogram.log_odds_per_point}
    return json.dumps({"terms": terms, **scale}, allow_nan=False)
