"""Agreement feature by feature as a file: `features.csv` of `cvtbatch agreement`, which `fit.selection.icc_table` may name."""

import csv
import io
import math
from collections.abc import Iterable, Mapping

from cvtbatch.errors import InputError
from cvtbatch.validation.readers import FeatureAgreement, feature_class
from cvtbatch.validation.values import Estimate, Interval

COLUMNS = ("feature", "class", "icc", "lower", "upper", "n")


def icc_table_to_csv(features: Iterable[FeatureAgreement]) -> str:
    """Return the table, a row a feature, numbers in full, and nothing where one is not computable."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in features:
        icc = row.icc.value if isinstance(row.icc, Estimate) else ""
        span = row.icc.interval if isinstance(row.icc, Estimate) else None
        ends = (span.low, span.high) if isinstance(span, Interval) else ("", "")
        writer.writerow([row.feature, feature_class(row.feature), icc, *ends, row.n])
    return text.getvalue()


def parse_icc_table(text: str) -> Mapping[str, float]:
    """Return the ICC of each feature of a table, NaN where it has none; other columns than these two are passed over.

    Raises:
        InputError: "bad_icc_table": a column is absent, a feature named twice, or an ICC no number up to 1.
    """
    reader = csv.DictReader(io.StringIO(text))
    if missing := [name for name in ("feature", "icc") if name not in (reader.fieldnames or ())]:
        raise InputError("bad_icc_table", f"the ICC table has no column {' and no column '.join(missing)}")
    found: dict[str, float] = {}
    for row in reader:
        name, told = row["feature"], row["icc"] or ""
        if name in found:
            raise InputError("bad_icc_table", f"the ICC table names {name!r} twice")
        found[name] = _icc(name, told)
    return found


def _icc(name: str, told: str) -> float:
    if not told.strip():
        return math.nan
    try:
        value = float(told)
    except ValueError:
        value = math.inf
    if not value <= 1:
        raise InputError(
            "bad_icc_table", f"the ICC table has {told!r} for {name!r}: a number up to 1, or nothing, is due"
        )
    return value
