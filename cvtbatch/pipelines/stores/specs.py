"""Specifications of a store: listed, told apart, and the values of two of them compared."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.radiomics.drift import class_drift, feature_drift
from cvtbatch.spec import differences
from cvtbatch.store import FeatureStore, View, equal_to

Document = dict[str, object]
WORST_FEATURES = 20
# Values of one specification that are in memory together.
GROUP_BYTES, BYTES_PER_VALUE = 96 * 2**20, 8
# In which tables the rows of a specification are, by its kind.
TABLES = {
    "volume": "volumes",
    "outline": "outlines",
    "region": "regions",
    "radiomics": "radiomics",
    "embedding": "embeddings",
    **{name: name for name in contracts.description_tables()},
}


@dataclass(frozen=True, slots=True)
class _Side:
    """Current rows of one radiomics specification: their ROIs, inputs, and indices among all rows of it.

    Attributes:
        table: that holds them.
    """

    table: str
    spec_id: str
    roi_keys: list[str]
    inputs: list[str]
    indices: pa.Array

    @classmethod
    def of(cls, view: View, table: str, spec_id: str) -> "_Side":
        """Read the keys and inputs of a specification's current rows."""
        of_spec = equal_to({"radiomics_spec_id": spec_id})
        indices = view.indices(table, of_spec)
        rows = view.read(table, ["roi_key", "input_digest"], of_spec).take(indices)
        return cls(table, spec_id, rows["roi_key"].to_pylist(), rows["input_digest"].to_pylist(), indices)

    def only(self, roi_keys: list[str]) -> "_Side":
        """Return the rows of some of its ROIs, in their order."""
        places = {key: place for place, key in enumerate(self.roi_keys)}
        chosen = [places[key] for key in roi_keys]
        inputs = [self.inputs[place] for place in chosen]
        return _Side(self.table, self.spec_id, roi_keys, inputs, self.indices.take(pa.array(chosen, pa.int64())))

    def values(self, view: View, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return some of its features, (ROIs, names)."""
        rows = view.read(self.table, names, equal_to({"radiomics_spec_id": self.spec_id})).take(self.indices)
        return np.column_stack([np.asarray(column) for column in rows.columns])


def list_specs(url: str, snapshot: str | None) -> Document:
    """Return the JSON document of `cvtbatch spec list --json`: every specification, and how many current rows it has."""
    store = FeatureStore(url)
    view = store.at(snapshot)
    rows: Counter[str] = Counter()
    of_sets = [("radiomics", table.contract.name) for table in store.feature_sets().values()]
    for kind, table in (*TABLES.items(), *of_sets):
        rows.update(view.rows(table, [f"{kind}_spec_id"])[f"{kind}_spec_id"].to_pylist())
    specs = [
        {
            "spec_id": spec_id,
            "kind": spec.kind,
            "feature_set": spec.feature_set,
            "parent_id": spec.parent_id,
            "rows": rows[spec_id],
        }
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

    Of two feature sets, those features that both have.

    Raises:
        InputError: there is no such radiomics specification, they have no feature in common, or no ROI has features of both.
    """
    store = FeatureStore(url)
    view = store.at(snapshot)
    specs = view.specs_with([first, second])
    for spec_id in (first, second):
        if specs[spec_id].kind != "radiomics":
            raise InputError(
                "no_such_spec", f"{spec_id} specifies {specs[spec_id].kind}s; name two of radiomics features"
            )
    one, other = (store.table_of(specs[spec_id]).contract for spec_id in (first, second))
    names = [name for name in one.features if name in frozenset(other.features)]
    if not names:
        raise InputError("nothing_shared", f"{first} and {second} have no feature in common")
    sides = [_Side.of(view, contract.name, spec_id) for contract, spec_id in ((one, first), (other, second))]
    shared = sorted(set(sides[0].roi_keys) & set(sides[1].roi_keys))
    if not shared:
        raise InputError("nothing_shared", f"no ROI has current features of both {first} and {second}")
    only_first, only_second = (len(side.roi_keys) - len(shared) for side in sides)
    sides = [side.only(shared) for side in sides]
    features = []
    together = max(1, GROUP_BYTES // (BYTES_PER_VALUE * len(shared)))
    for start in range(0, len(names), together):
        group = names[start : start + together]
        features += feature_drift(group, *(side.values(view, group) for side in sides))
    classes = class_drift(features, {name: contracts.feature_metadata(name, False)["feature_class"] for name in names})
    ranked = sorted(features, key=lambda feature: (-feature.largest if feature.rois else 1.0, feature.feature))
    return {
        "command": "spec drift",
        "first": first,
        "second": second,
        "differences": [asdict(difference) for difference in differences(specs, first, second)],
        "rois": len(shared),
        "rois_only_first": only_first,
        "rois_only_second": only_second,
        "rois_with_other_input": sum(x != y for x, y in zip(*(side.inputs for side in sides), strict=True)),
        "classes": [_without_nan(asdict(summary)) for summary in classes],
        "worst_features": [_without_nan(asdict(feature)) for feature in ranked[:worst]],
    }


def _without_nan(document: Document) -> Document:
    """Return the document with null for what JSON does not know."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in document.items()}
