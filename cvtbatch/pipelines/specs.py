"""Specifications of a store: listed, told apart, and the values of two of them compared."""

import math
from collections import Counter
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.spec import differences
from cvtbatch.store import FeatureStore, View, equal_to
from cvtbatch.validation.drift import class_drift, feature_drift

Document = dict[str, object]
WORST_FEATURES = 20
# Features compared at a time.
FEATURE_GROUP = 128
# In which tables the rows of a specification are, by its kind.
TABLES = {"volume": "volumes", "radiomics": "radiomics", "embedding": "embeddings"}


def list_specs(url: str, snapshot: str | None) -> Document:
    """Return the JSON document of `cvtbatch spec list --json`: every specification, and how many current rows it has."""
    view = FeatureStore(url).at(snapshot)
    rows: Counter[str] = Counter()
    for kind, table in TABLES.items():
        rows.update(view.rows(table, [f"{kind}_spec_id"])[f"{kind}_spec_id"].to_pylist())
    specs = [
        {"spec_id": spec_id, "kind": spec.kind, "parent_id": spec.parent_id, "rows": rows[spec_id]}
        for spec_id, spec in sorted(view.specs().items(), key=lambda item: (item[1].parent_id, item[0]))
    ]
    return {"command": "spec list", "specs": specs}


def diff_specs(url: str, first: str, second: str) -> Document:
    """Return the JSON document of `cvtbatch spec diff --json`: what tells two specifications apart, setting by setting."""
    specs = FeatureStore(url).at(None).specs_with([first, second])
    found = [asdict(difference) for difference in differences(specs, first, second)]
    return {"command": "spec diff", "first": first, "second": second, "differences": found}


def drift_of_specs(url: str, first: str, second: str, snapshot: str | None, worst: int = WORST_FEATURES) -> Document:
    """Return the JSON document of `cvtbatch spec drift --json`: how far the features of two specifications lie apart.

    Raises:
        InputError: there is no such radiomics specification, or no ROI has features of both.
    """
    view = FeatureStore(url).at(snapshot)
    specs = view.specs_with([first, second])
    for spec_id in (first, second):
        if specs[spec_id].kind != "radiomics":
            raise InputError(
                "no_such_spec", f"{spec_id} specifies {specs[spec_id].kind}s; name two of radiomics features"
            )
    one, other = (_rows_of(view, spec_id) for spec_id in (first, second))
    shared = sorted(set(one["roi_key"].to_pylist()) & set(other["roi_key"].to_pylist()))
    if not shared:
        raise InputError("nothing_shared", f"no ROI has current features of both {first} and {second}")
    places = [pc.index_in(pa.array(shared), value_set=rows["roi_key"].combine_chunks()) for rows in (one, other)]
    inputs = [rows["input_digest"].take(place).to_pylist() for rows, place in zip((one, other), places, strict=True)]
    names = contracts.feature_names()
    features = []
    for start in range(0, len(names), FEATURE_GROUP):
        group = names[start : start + FEATURE_GROUP]
        a, b = (_values(view, spec_id, group, place) for spec_id, place in zip((first, second), places, strict=True))
        features += feature_drift(group, a, b)
    classes = class_drift(features, {name: contracts.feature_metadata(name, False)["feature_class"] for name in names})
    ranked = sorted(features, key=lambda feature: (-feature.largest if feature.rois else 1.0, feature.feature))
    return {
        "command": "spec drift",
        "first": first,
        "second": second,
        "differences": [asdict(difference) for difference in differences(specs, first, second)],
        "rois": len(shared),
        "rois_only_first": one.num_rows - len(shared),
        "rois_only_second": other.num_rows - len(shared),
        "rois_with_other_input": sum(x != y for x, y in zip(*inputs, strict=True)),
        "classes": [_without_nan(asdict(summary)) for summary in classes],
        "worst_features": [_without_nan(asdict(feature)) for feature in ranked[:worst]],
    }


def _rows_of(view: View, spec_id: str) -> pa.Table:
    return view.radiomics(["roi_key", "input_digest"], equal_to({"radiomics_spec_id": spec_id}))


def _values(view: View, spec_id: str, names: tuple[str, ...], places: pa.Array) -> npt.NDArray[np.float64]:
    """Return features (n, f) of the rows at some places."""
    rows = view.radiomics(names, equal_to({"radiomics_spec_id": spec_id})).take(places)
    return np.column_stack([np.asarray(column) for column in rows.columns])


def _without_nan(document: Document) -> Document:
    """Return the document with null for what JSON does not know."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in document.items()}
