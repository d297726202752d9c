import json

import jsonschema
import pyarrow as pa
import pytest
import yaml

from cvtbatch import contracts
from tests.support.paths import ROOT

CLASSES = {"shape": 14, "firstorder": 360, "glcm": 440, "glrlm": 320, "glszm": 320, "gldm": 280, "ngtdm": 100}
IMAGE_TYPES = 20
NAMES = contracts.feature_names()


def test_names_are_those_of_the_study() -> None:
    names = contracts.feature_names()
    assert len(names) == len(set(names)) == sum(CLASSES.values())
    counted = {kind: sum(name.split("_")[1] == kind for name in names) for kind in CLASSES}
    assert counted == CLASSES
    assert len({name.split("_")[0] for name in names}) == IMAGE_TYPES
    assert not any(name.endswith(("glcm_MCC", "glcm_SumAverage")) for name in names)


def test_radiomics_table_ends_with_the_features_as_float64() -> None:
    schema = contracts.table("radiomics").arrow()
    assert tuple(schema.names[-len(NAMES) :]) == NAMES
    assert {field.type for field in list(schema)[-len(NAMES) :]} == {pa.float64()}
    assert contracts.table("radiomics").key_field_count() == len(schema) - len(NAMES)


@pytest.mark.parametrize("name", contracts.table_names())
def test_every_table_names_its_key_and_state_among_its_columns(name: str) -> None:
    contract = contracts.table(name)
    columns = set(contract.arrow().names)
    assert set(contract.key) | set(contract.state) <= columns
    assert {"run_id", "sequence", "recorded_at"} <= columns
    assert all(field.required for field in contract.fields if field.name in contract.key)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "schemas").rglob("*.json")),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_contract_is_valid_itself(path) -> None:
    document = json.loads(path.read_text())
    if "$schema" in document:
        jsonschema.Draft202012Validator.check_schema(document)
    else:
        assert {"name", "version", "description", "fields"} <= set(document)


def test_default_jobs_say_the_defaults() -> None:
    document = yaml.safe_load(contracts.default_job("extract").read_text())
    assert contracts.problems_of(document, "job.json") == []
    assert contracts.with_defaults(document, "job.json") == contracts.with_defaults(
        {"version": 1, "kind": "extract"}, "job.json"
    )


def test_job_holds_the_keys_of_later_commands() -> None:
    job = contracts.with_defaults({"version": 1, "kind": "fit"}, "job.json")
    assert job["embedding"]["weights"] == "imagenet"
    assert job["cohort"]["training_centers"] == []


def test_unknown_key_is_named_with_the_nearest_valid_one() -> None:
    problems = contracts.problems_of({"version": 1, "kind": "extract", "radiomics": {"profil": "cvt-1834"}}, "job.json")
    assert problems == ["unknown key radiomics.profil; the nearest valid one is radiomics.profile"]


def test_clinical_columns_are_shared_by_manifest_and_cases() -> None:
    assert {"patient", "etiology", "cvt", "epilepsy", "age", "sex", "confirmed_by"} <= set(contracts.clinical_columns())
    assert not {"center", "case_id", "image"} & set(contracts.clinical_columns())


def test_units_name_features_that_there_are() -> None:
    """Units of PyRadiomics' shape features as its documentation has them, and HU only where voxels are HU."""
    unit = {name: contracts.feature_metadata(name, calibrated=True).get("unit") for name in contracts.feature_names()}
    assert [name for name in contracts.feature_names() if "_shape_" in name and not unit[name]] == []
    assert unit["original_shape_SurfaceVolumeRatio"] == "1/mm"
    assert {name.split("_")[0] for name, found in unit.items() if found in {"HU", "HU2"}} == {"original"}
    uncalibrated = {
        contracts.feature_metadata(name, calibrated=False).get("unit") for name in contracts.feature_names()
    }
    assert uncalibrated == {None, "mm", "mm2", "mm3", "1/mm", "1", "bit"}
    document = json.loads((ROOT / "schemas" / "feature_units.json").read_text())
    for entry in document["fields"]:
        pattern = entry["name"].removeprefix("*")
        assert sum(name.endswith(pattern) for name in contracts.feature_names()) in {1, IMAGE_TYPES - 1, IMAGE_TYPES}
