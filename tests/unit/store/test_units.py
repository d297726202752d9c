"""Units of columns: those of the contracts, and of features where they are sure."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

import cvtbatch
from cvtbatch import contracts
from cvtbatch.errors import InputError
from tests.support.model_store import fill

# What a column's name ends in, or holds, where its numbers have a unit.
BY_NAME = {"ml": "ml", "mm": "mm", "mm2": "mm2", "deg": "deg", "hu": "HU", "h": "h", "bytes": "B"}


def test_every_column_that_is_named_by_its_unit_says_it() -> None:
    for table in contracts.table_names():
        for field in contracts.table(table).fields:
            last = re.split(r"_", field.name)[-1]
            if last in BY_NAME and field.type in {"number", "integer", "array"}:
                assert field.unit == BY_NAME[last], (table, field.name)
            if field.unit in {"ml", "mm", "mm2", "deg", "HU", "B"}:
                assert field.unit.lower() in re.split(r"_", field.name) or field.unit == "B", (table, field.name)


def test_a_name_has_one_unit_in_all_tables() -> None:
    found: dict[str, set[str]] = {}
    for table in contracts.table_names():
        for field in contracts.table(table).fields:
            found.setdefault(field.name, set()).add(field.unit)
    assert {name: units for name, units in found.items() if len(units) > 1} == {}


def test_rows_of_a_store_have_the_units_of_features_and_measures(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    found = cvtbatch.units(store.wide())
    # PyRadiomics 3.0.1, docs/features.rst.
    assert found["original_shape_MeshVolume"] == "mm3"
    assert found["original_shape_SurfaceArea"] == "mm2"
    assert found["age"] == "years"
    assert "original_glcm_Contrast" not in found
    assert cvtbatch.units(store.rois())["volume_ml"] == "ml"
    assert cvtbatch.units(pa.table({"volume_ml": [1.0], "mine": [2.0]})) == {"volume_ml": "ml"}
    with pytest.raises(InputError, match=r"before its to_pandas\(\), not of a DataFrame"):
        cvtbatch.units(store.rois().to_pandas())
