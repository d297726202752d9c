"""Feature sets of a job, turned into specifications."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from cvtbatch.errors import InputError
from cvtbatch.pipelines.extraction.case_plan import FeatureWork, Work
from cvtbatch.pipelines.extraction.set_settings import (
    named_sets,
    resolve_sets,
    set_parameters,
    specified_set,
    specify_set,
)
from cvtbatch.pipelines.shared.job import RadiomicsSection
from cvtbatch.radiomics.parameter_file import check_parameters
from cvtbatch.spec import Difference, Spec, differences, volume_spec
from tests.golden.parameter_file_cases import FILES

VOLUME = volume_spec((0.5, 0.5, 5.0))
CLASSES = {"firstorder": ["Mean"], "shape": ["Sphericity"]}
PARAMETERS = {"imageType": {"Original": {}, "Square": {}}, "featureClass": CLASSES}


def resolved(
    folder: Path, parameters: Mapping[str, object], name: str = "mine", *, of_source: bool = False
) -> tuple[FeatureWork, Spec]:
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    files: list[dict[str, str]] = [{name: str(file)}, {}]
    section = RadiomicsSection("cvt-1834", "fast", 0.5, *reversed(files) if of_source else files)
    [work], [spec] = resolve_sets(section, VOLUME, str(folder / "no store"))
    return work, spec


def test_the_id_of_a_set_stays(tmp_path: Path) -> None:
    work, spec = resolved(tmp_path, PARAMETERS)
    assert (spec.spec_id, spec.parent_id, work.radiomics_spec_id) == ("rad-e765d86ba4e4", VOLUME.spec_id, spec.spec_id)
    assert (work.table, work.engine, work.audit_share) == ("features_mine", "fast", 0.5)
    assert spec.content()["features"]["names"] == [
        "original_shape_Sphericity",
        "original_firstorder_Mean",
        "square_firstorder_Mean",
    ]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"setting": {"binWidth": 25, "label": 1, "additionalInfo": False, "geometryTolerance": 0.1}}, True),
        ({"setting": {"binWidth": 24}}, False),
        ({"imageType": {"Square": {}, "Original": {}}}, False),
        ({"imageType": {"Original": {}, "Square": {"binWidth": 10}}}, False),
    ],
)
def test_what_moves_a_value_makes_another_specification(
    tmp_path: Path, changes: Mapping[str, object], same: bool
) -> None:
    ids = [resolved(tmp_path, parameters)[1].spec_id for parameters in (PARAMETERS, {**PARAMETERS, **changes})]
    assert (ids[0] == ids[1]) is same
    assert resolved(tmp_path, PARAMETERS, name="other")[1].spec_id != ids[0]


def test_a_set_of_the_source_is_another_specification(tmp_path: Path) -> None:
    (stored, of_stored), (own, of_source) = (resolved(tmp_path, PARAMETERS, of_source=of) for of in (False, True))
    assert (stored.grid, own.grid) == (of_stored.content()["grid"], of_source.content()["grid"]) == ("stored", "source")
    assert stored.table == own.table
    assert differences(
        {spec.spec_id: spec for spec in (of_stored, of_source)}, of_stored.spec_id, of_source.spec_id
    ) == [Difference("radiomics.grid", '"stored"', '"source"')]
    work = Work("store", VOLUME.spec_id, (0.5, 0.5, 5.0), (stored, own))
    assert work.of_found_outlines().features == (stored,)


@pytest.mark.parametrize("name", FILES)
def test_a_specification_holds_its_whole_file(tmp_path: Path, name: str) -> None:
    found = check_parameters({**FILES[name]}).feature_set
    assert found is not None
    spec = specify_set(name, found, VOLUME)
    assert resolved(tmp_path, set_parameters(spec), name)[1] == spec
    assert specified_set(spec).names() == found.names()


def test_what_stock_computes_is_not_audited(tmp_path: Path) -> None:
    pytest.importorskip("radiomics", reason="the extra stock is not installed")
    work, _ = resolved(tmp_path, {**PARAMETERS, "imageType": {"LBP3D": {"lbp3DLevels": 1}}})
    assert (work.engine, work.audit_share) == ("pyradiomics", 0.0)


def test_sets_are_named_as_their_files_or_as_told() -> None:
    assert named_sets(["a/params-ct.yaml", "b=a/params=1.yaml"]) == [
        ("params-ct", "a/params-ct.yaml"),
        ("b", "a/params=1.yaml"),
    ]
    for given in (
        ["a/ct.yaml", "b/ct.yaml"],
        ["a/ct.yaml", "b/CT.yaml"],
        ["my params.yaml"],
        ["v1.2=x.yaml"],
        ["=x.yaml"],
    ):
        with pytest.raises(InputError) as raised:
            named_sets(given)
        assert raised.value.kind == "bad_set_name"


def test_what_pyradiomics_cannot_give_is_neither_asked_of_it_nor_audited(tmp_path: Path) -> None:
    setting = {"processing": "ibsi", "binCount": 32}
    work, spec = resolved(tmp_path, {**PARAMETERS, "imageType": {"Original": {}}, "setting": setting})
    assert (work.engine, work.audit_share, spec.content()["settings"]["processing"]) == ("fast", 0.0, "ibsi")
