"""Pairs of studies: which outlines stand beside each other, how they grew, and what is null and why.

Volumes, growth and per cent of this cohort were worked out by hand; expansion is what the publications say of them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from cvtbatch import contracts, units
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.spec import volume_spec
from cvtbatch.store import FeatureStore, Selection, create_snapshot
from cvtbatch.store.design_matrix import LeftOutWarning
from tests.support.commands import cvtbatch
from tests.support.paired_studies import CASES, FEATURES, Outlines, fill_pairs
from tests.support.store_rows import VOLUME_SPEC, add_specs


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return fill_pairs(str(tmp_path_factory.mktemp("pairs") / "store"), CASES, features=True)


@pytest.fixture(scope="module")
def found(store: FeatureStore) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the rows by follow-up, ROI and reader."""
    with pytest.warns(LeftOutWarning, match=r"neither timepoint nor onset_to_ct_h tells .* \(2\)$"):
        rows = store.pairs()
    assert rows.schema.equals(contracts.view("pairs").arrow())
    return {(one["followup_case_id"], one["roi"], one["reader"]): one for one in rows.to_pylist()}


def test_each_later_study_stands_beside_the_first_and_nobody_beside_another_centre(
    found: dict[tuple[str, str, str], dict[str, Any]],
) -> None:
    assert [(one["patient"], one["baseline_case_id"], *key) for key, one in found.items()] == [
        ("p1", "p1-a", "p1-b", "hematoma", "A"),
        ("p1", "p1-a", "p1-c", "hematoma", "A"),
        ("p2", "p2-z", "p2-a", "hematoma", "A"),
        ("p2", "p2-z", "p2-a", "hematoma", "B"),
        ("p3", "p3-a", "p3-b", "hematoma", "A"),
        ("p3", "p3-a", "p3-b", "second", "A"),
        ("p4", "p4-a", "p4-b", "hematoma", "A"),
    ]
    assert {one["center"] for one in found.values()} == {"C1"}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        (
            ("p1-b", "hematoma", "A"),
            {"baseline_ml": 20.0, "followup_ml": 25.0, "growth_ml": 5.0, "growth_percent": 25.0, "expansion": False}
            | {"interval_h": 24.5, "baseline_timepoint": 0, "followup_timepoint": 1, "expansion_revised": None},
        ),
        (
            ("p1-c", "hematoma", "A"),
            {
                "growth_ml": 7.0,
                "growth_percent": 35.0,
                "expansion": True,
                "expansion_revised": None,
                "interval_h": 48.0,
            },
        ),
        (
            ("p2-a", "hematoma", "A"),
            {"growth_ml": 0.5, "growth_percent": 5.0, "expansion": False, "expansion_revised": True, "ivh_new": True}
            | {"ivh_baseline_ml": 0.0, "ivh_followup_ml": 0.4, "interval_h": 5.0, "followup_timepoint": None},
        ),
        (
            ("p3-b", "hematoma", "A"),
            {"growth_ml": 0.0, "expansion": False, "ivh_growth_ml": 1.0, "ivh_new": False, "expansion_revised": True},
        ),
        (("p3-b", "second", "A"), {"baseline_ml": None, "followup_ml": 4.0, "growth_ml": None, "expansion": None}),
        (("p4-b", "hematoma", "A"), {"baseline_ml": 8.0, "followup_ml": None, "expansion": None, "interval_h": 6.0}),
    ],
)
def test_growth_is_that_worked_out_by_hand(
    found: dict[tuple[str, str, str], dict[str, Any]], key: tuple[str, str, str], values: dict[str, Any]
) -> None:
    assert {name: found[key][name] for name in values} == pytest.approx(values)


def test_what_is_null_says_why(found: dict[tuple[str, str, str], dict[str, Any]]) -> None:
    assert {key: one["undetermined"] for key, one in found.items()} == {
        ("p1-b", "hematoma", "A"): ["expansion_revised: no outline ivh by A, reading 1 in either study"],
        ("p1-c", "hematoma", "A"): ["expansion_revised: no outline ivh by A, reading 1 in either study"],
        ("p2-a", "hematoma", "A"): [],
        ("p2-a", "hematoma", "B"): ["growth_ml: no outline hematoma by B, reading 1 in the later study"],
        ("p3-b", "hematoma", "A"): ["interval_h: onset_to_ct_h is not known of both studies"],
        ("p3-b", "second", "A"): [
            "growth_ml: no outline second by A, reading 1 in the first study",
            "interval_h: onset_to_ct_h is not known of both studies",
        ],
        ("p4-b", "hematoma", "A"): ["growth_ml: no outline hematoma by A, reading 1 in the later study"],
    }


def test_a_row_says_what_it_rests_on(found: dict[tuple[str, str, str], dict[str, Any]]) -> None:
    one = found["p1-b", "hematoma", "A"]
    assert (one["baseline_roi_key"], one["baseline_digest"]) == ("C1/p1-a/hematoma/A/1", "of C1/p1-a/hematoma/A/1")
    assert (one["followup_roi_key"], one["followup_digest"]) == ("C1/p1-b/hematoma/A/1", "of C1/p1-b/hematoma/A/1")
    assert one["volume_spec_id"] == VOLUME_SPEC.spec_id
    # Another threshold is another id.
    assert one["pairs_spec_id"] == "pai-ec81498c9a72"


@pytest.mark.filterwarnings("ignore::cvtbatch.LeftOutWarning")
def test_deltas_are_the_later_values_less_the_first(store: FeatureStore) -> None:
    rows = store.pairs(deltas="radiomics", where="patient = 'p1' or patient = 'p4'")
    assert rows.column_names == [*contracts.view("pairs").arrow().names, *(f"delta_{name}" for name in FEATURES)]
    first, second, none = rows.select([f"delta_{name}" for name in FEATURES]).to_pylist()
    # Outlines were numbered as their cases stand above: 0, then 2 and 1.
    assert (set(first.values()), set(second.values()), set(none.values())) == ({2.0}, {1.0}, {None})
    few = store.pairs(columns=["followup_case_id", "delta_original_shape_MeshVolume"], deltas="radiomics")
    assert few.num_rows == 7
    assert units(few) == {"delta_original_shape_MeshVolume": "mm3"}
    assert units(store.pairs())["growth_ml"] == "ml"


@pytest.mark.filterwarnings("ignore::cvtbatch.LeftOutWarning")
def test_rows_are_filtered_and_frozen(store: FeatureStore) -> None:
    assert store.pairs(where="expansion = true", columns=["followup_case_id"]).to_pylist() == [
        {"followup_case_id": "p1-c"}
    ]
    create_snapshot(store, "first", Selection(centers=("C2",)), "test")
    frozen = store.pairs(snapshot="first")
    assert frozen.num_rows == 0
    said = json.loads(frozen.schema.metadata[b"cvtbatch"])
    assert said["snapshot"] == "first"
    assert said["pairs"] == {"growth_ml": 6.0, "growth_percent": 33.0, "ivh_growth_ml": 1.0, "ivh_roi": "ivh"}


@pytest.mark.filterwarnings("ignore::cvtbatch.LeftOutWarning")
@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({"columns": ["growth"]}, "no_such_column", "growth_ml"),
        ({"columns": ["delta_original_shape_MeshVolume"]}, "no_such_column", "delta_original_shape_MeshVolume"),
        ({"deltas": "mine"}, "no_such_set", "mine"),
        ({"where": "growth > 3"}, "no_such_column", "growth_ml"),
        ({"spec": "vol-none"}, "no_such_spec", "vol-none"),
    ],
)
def test_what_there_is_not_is_told(store: FeatureStore, arguments: dict[str, Any], kind: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        store.pairs(**arguments)
    assert raised.value.kind == kind


def test_contradicting_timepoints_are_refused_with_every_patient(tmp_path: Path) -> None:
    cases: dict[tuple[str, str], tuple[str, int | None, float | None, Outlines]] = {
        ("C1", "a"): ("p1", 1, None, {}),
        ("C1", "b"): ("p1", 1, None, {}),
        ("C1", "c"): ("p2", 0, 9.0, {}),
        ("C1", "d"): ("p2", 1, 3.0, {}),
    }
    with pytest.raises(ProblemsError, match="2 problems") as raised:
        fill_pairs(str(tmp_path / "store"), cases).pairs()
    assert raised.value.kind == "bad_timepoints"
    assert raised.value.private.splitlines() == [
        "patient p1 of centre C1: cases a and b have the same timepoint 1",
        "patient p2 of centre C1: case c has timepoint 0 and onset_to_ct_h 9, case d timepoint 1 and onset_to_ct_h 3",
    ]


def test_outlines_on_volumes_of_two_specifications_do_not_mix(tmp_path: Path) -> None:
    store = fill_pairs(str(tmp_path / "store"), {key: CASES[key] for key in [("C1", "p1-a"), ("C1", "p1-b")]})
    other = volume_spec((1.0, 1.0, 5.0))
    add_specs(store, other)
    for name in ("volumes", "rois"):
        rows = store.table(name).read().to_pylist()
        store.table(name).append([{**one, "volume_spec_id": other.spec_id} for one in rows])
    with pytest.raises(InputError, match="2 specifications") as raised:
        store.pairs()
    assert raised.value.kind == "several_specs"
    assert store.pairs(spec=other.spec_id)["volume_spec_id"].to_pylist() == [other.spec_id]


def test_a_store_without_patients_of_several_studies_has_no_pairs(tmp_path: Path) -> None:
    store = fill_pairs(str(tmp_path / "store"), {key: CASES[key] for key in [("C1", "p1-a"), ("C2", "p1-a")]})
    rows = store.pairs(deltas="radiomics", columns=["delta_original_firstorder_Mean"])
    assert rows.to_pydict() == {"delta_original_firstorder_Mean": []}


def test_a_table_for_a_spreadsheet_says_who_is_not_in_it(store: FeatureStore, tmp_path: Path) -> None:
    out = tmp_path / "growth.csv"
    columns = "patient,followup_case_id,growth_ml,expansion,delta_original_firstorder_Mean"
    line = f"export pairs --store {store.location.url} --out {out} --columns {columns}"
    found = cvtbatch(*line.split(), "--deltas", "radiomics", "--json", check=True)
    document = json.loads(found.stdout)
    assert contracts.problems_of(document, "commands/export.json") == []
    assert document["left_out"] == "neither timepoint nor onset_to_ct_h tells the order of the patient's studies (2)"
    assert "warning: studies left out: neither" in found.stderr
    assert out.read_text().splitlines()[:3] == [
        ",".join(f'"{name}"' for name in columns.split(",")),
        '"p1","p1-b",5,false,2',
        '"p1","p1-c",7,true,1',
    ]
    assert (
        cvtbatch("export", "rois", "--store", store.location.url, "--out", out, "--deltas", "radiomics").returncode == 2
    )
