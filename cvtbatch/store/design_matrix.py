"""What a model is fitted on, as pandas has it: features, target and patients, one row a primary outline."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.manifest import Reading
from cvtbatch.store.column_names import check_columns
from cvtbatch.store.reading import View
from cvtbatch.store.wide import wide_columns, wide_rows

if TYPE_CHECKING:
    import pandas as pd

# A word for all of a kind, a feature set, or columns.
Features = str | Sequence[str]
EMBEDDING = "embedding"


class LeftOutWarning(UserWarning):
    """Rows were left out, for reasons that it counts."""


def design_matrix(
    view: View,
    target: str,
    features: Features,
    center: str | Sequence[str] | None,
    where: pc.Expression | None,
    spec: str | Sequence[str] | None,
    primary: Reading,
    of_set: TableContract | None = None,
    region: str | None = None,
) -> "tuple[pd.DataFrame, pd.Series, pd.Series]":
    """Return X, y and groups; see `FeatureStore.X_y`.

    Args:
        of_set: table of the feature set that `features` names; None where it names none.
        region: as for `wide_rows`.
    """
    require("X_y needs", "pandas")
    import pandas as pd

    from cvtbatch.dlrn.cohort import patient_key

    check_columns([target], contracts.clinical_columns())
    names = _names(features) if of_set is None else list(of_set.features)
    if target in names:
        raise InputError(
            "target_among_features", f"column {target} is what shall be told: it cannot be among the features"
        )
    columns = dict.fromkeys(["roi_key", "center", "patient", target, *names])
    chosen = _of_centers(view, center, where)
    rows = wide_rows(view, list(columns), chosen, spec, primary, features=of_set, region=region)
    rows = rows.sort_by("roi_key")
    if not len(rows):
        raise InputError(
            "no_rows",
            f"no {f'region {region} of an ' if region else ''}outline of {primary} has features under this filter and these "
            "centres; see rois() for what there is",
        )
    rows = _complete(rows, target, names)
    index = pd.Index(rows["roi_key"].to_pylist(), name="roi_key")
    values = {name: rows[name].to_pandas().to_numpy() for name in names if name != EMBEDDING}
    if EMBEDDING in names:
        embedding = np.stack(rows[EMBEDDING].to_numpy(zero_copy_only=False))
        values |= {f"emb_{number:04d}": column for number, column in enumerate(embedding.T)}
    pairs = zip(rows["center"].to_pylist(), rows["patient"].to_pylist(), strict=True)
    groups = pd.Series([patient_key(*pair) for pair in pairs], index, name="patient")
    return pd.DataFrame(values, index), pd.Series(rows[target].to_pandas().to_numpy(), index, name=target), groups


def _names(features: Features) -> list[str]:
    """Return the columns of `wide` that features are made of.

    Raises:
        InputError: there is no such column, or none is named.
    """
    if features == "radiomics":
        return list(contracts.feature_names())
    if features == "embeddings":
        return [EMBEDDING]
    if isinstance(features, str) or not len(features):
        raise InputError(
            "no_such_column",
            f'features={features!r} names none: give "radiomics", "embeddings", the name of a feature set that the store has, or a '
            'list of columns, e.g. ["age", "epilepsy"]',
        )
    return check_columns(list(dict.fromkeys(features)), wide_columns())


def _of_centers(view: View, center: str | Sequence[str] | None, where: pc.Expression | None) -> pc.Expression | None:
    """Return the filter, restricted to some centres.

    Raises:
        InputError: "no_such_center".
    """
    if center is None:
        return where
    wanted = [center] if isinstance(center, str) else list(center)
    known = sorted(set(view.rows("cases", ["case_key", "center"])["center"].to_pylist()))
    if missing := [name for name in wanted if name not in known]:
        raise InputError(
            "no_such_center", f"there is no case of centre {missing[0]!r}; there are {', '.join(known) or 'none'}"
        )
    among = pc.field("center").isin(pa.array(wanted, pa.string()))
    return among if where is None else where & among


def _complete(rows: pa.Table, target: str, names: Sequence[str]) -> pa.Table:
    """Return the rows that have a target and, if it is asked for, an embedding; say how many others there are.

    Raises:
        InputError: "no_rows": there is none.
    """
    reasons: Counter[str] = Counter()
    for name in (target, EMBEDDING):
        if name == target or name in names:
            known = rows[name].is_valid()
            reasons[f"{name} is unknown"] = sum(not there for there in known.to_pylist())
            rows = rows.filter(known)
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons.items() if count)
    if not len(rows):
        raise InputError("no_rows", f"every outline is left out: {told}")
    if told:
        warnings.warn(f"outlines left out: {told}", LeftOutWarning, stacklevel=4)
    return rows
