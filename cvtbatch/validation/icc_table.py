"""Agreement feature by feature as a file: `features.csv` of `cvtbatch agreement`, which `fit.selection.icc_table` may name."""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvtbatch.errors import InputError
from cvtbatch.validation.readers import FeatureAgreement, feature_class
from cvtbatch.validation.values import Estimate, Interval

COLUMNS = ("feature", "class", "icc", "lower", "upper", "n")


@dataclass(frozen=True, slots=True)
class IccTable:
    """The ICC of some features.

    Attributes:
        sha256: of the file.
        icc: (p,) in the order of the features that were asked for; None where one is not computable.
    """

    sha256: str
    icc: tuple[float | None, ...]


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


def parse_icc_table(data: bytes, features: Sequence[str]) -> IccTable:
    """Return the ICC of features; other columns and other features are passed over.

    Raises:
        InputError: "bad_icc_table": it is no UTF-8, a column or a feature is absent or named twice, or an ICC is no number up to 1.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    except UnicodeDecodeError:
        raise InputError("bad_icc_table", "the ICC table is no UTF-8 text") from None
    if absent := [name for name in ("feature", "icc") if name not in (reader.fieldnames or ())]:
        raise InputError("bad_icc_table", f"the ICC table has no column {' and no column '.join(absent)}")
    found: dict[str, float | None] = {}
    for row in reader:
        name = row["feature"]
        if name in found:
            raise InputError("bad_icc_table", f"the ICC table names {name!r} twice")
        found[name] = _icc(name, row["icc"] or "")
    if missing := [name for name in features if name not in found]:
        raise InputError(
            "bad_icc_table", f"the ICC table lacks {len(missing)} of {len(features)} features, {missing[0]} first"
        )
    return IccTable(hashlib.sha256(data).hexdigest(), tuple(found[name] for name in features))


def _icc(name: str, told: str) -> float | None:
    if not told.strip():
        return None
    try:
        value = float(told)
    except ValueError:
        value = float("nan")
    if not value <= 1:
        raise InputError(
            "bad_icc_table", f"the ICC table has {told!r} for {name!r}: a number up to 1, or nothing, is due"
        )
    return value
