"""Rows of one case that name several series: `cvtbatch index` writes them where nothing tells which is the case's. Pure."""

import json
from collections.abc import Mapping, Sequence

from cvtbatch.manifest.case import Value

# The column in which `index` says what became of a study, and its word for several series that are equally good.
STATE, TIE = "x_state", "tie"
_SHOWN = 6


def is_tie(rows: Sequence[Mapping[str, Value]], extra: str) -> bool:
    """Say whether rows of one case are those of a tie that nobody has decided.

    Args:
        extra: under which a row has its x_ columns, as a JSON object.
    """
    return len({(row["image"], row["series_uid"]) for row in rows}) > 1 and all(
        json.loads(str(row[extra])).get(STATE) == TIE for row in rows
    )


def tie_problem(rows: Sequence[Mapping[str, Value]], number: str) -> str:
    """Say what is wrong with such rows, and what to do.

    Args:
        number: under which a row has its number.
    """
    numbers = [str(row[number]) for row in rows]
    listed = ", ".join([*numbers[:_SHOWN], *(["..."] if len(numbers) > _SHOWN else [])])
    series = len({(row["image"], row["series_uid"]) for row in rows})
    return (
        f"rows {listed}: {series} series of one case that are equally good ({STATE} {TIE}): delete the rows of all but one, or run "
        "`cvtbatch index` again with --prefer thin or thick, or --kernel"
    )
