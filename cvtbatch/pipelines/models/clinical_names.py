"""Which columns of the manifest may be clinical terms of a nomogram."""

import json
from collections.abc import Sequence

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.nearest import did_you_mean
from cvtbatch.store import View

# They name somebody, are the outcome, or say by which examination it was found.
NO_TERMS = ("patient", "etiology", "cvt", "confirmed_by")


def require_clinical(names: Sequence[str], view: View, outcome: str) -> tuple[str, ...]:
    """Return the columns that a job names as clinical terms.

    Args:
        view: rows of `cases`, whose x_ columns may be terms.
        outcome: column that is told, and is no term.

    Raises:
        InputError: "no_such_column", or "outcome_among_terms".
    """
    for name in names:
        if name in (*NO_TERMS, outcome):
            raise InputError(
                "outcome_among_terms",
                f"fit.clinical names {name}, which is no value at admission: it names the patient, or tells the outcome",
            )
    known = [name for name in contracts.clinical_columns() if name not in NO_TERMS]
    prefix = contracts.pass_through_prefix()
    if any(name.startswith(prefix) for name in names):
        extras = view.rows("cases", ["extra"])["extra"].unique().to_pylist()
        known += sorted({name for text in extras for name in json.loads(text)})
    if missing := [name for name in names if name not in known]:
        hint = did_you_mean(missing[0], known)
        raise InputError(
            "no_such_column",
            f"fit.clinical names {missing[0]!r}, which no case has; {hint}there are {', '.join(known)}",
        )
    return tuple(names)
