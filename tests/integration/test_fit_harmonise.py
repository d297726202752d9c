"""`fit` on centres that ComBat makes alike: compared with the fit without it, frozen, and scored of training and of new centres."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.pipelines.centers.center_cohort import read_cohort, read_training_values
from cvtbatch.pipelines.centers.center_source import open_source
from cvtbatch.pipelines.centers.reader_study import Readers
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import fill

pytestmark = pytest.mark.usefixtures("blank_figures")

COMBAT = {"harmonise": {"method": "combat", "reference": "C3"}}
TRAINED = ("cohort.training_centers=[C1, C3]",)
SETS = [argument for value in (*SMALLEST_JOB, *TRAINED) for argument in ("--set", value)]


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harmonise")
    fill(folder / "store", more={"C3": 24})
    run("snapshot", "create", "paper", "--store", folder / "store")
    options = ["--snapshot", "paper", *SETS, "--set", f"fit.harmonise={json.dumps(COMBAT['harmonise'])}"]
    leaving = ("--set", "fit.nested.leave_one_center_out=true", "--set", "fit.nested.bootstrap=20")
    run("fit", "--store", folder / "store", *options, *leaving, "--out", folder / "bundle")
    run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--snapshot", "paper")
    return folder


def test_scores_in_the_store_are_of_each_centres_own_transformation(folder: Path) -> None:
    store, bundle = FeatureStore(folder / "store"), load_bundle(folder / "bundle")
    scores = store.scores().to_pandas().set_index("roi_key")
    new = {key: "not_harmonised" in flags for key, flags in scores["flags"].items()}
    assert {key[:2] for key, flagged in new.items() if flagged} == {"C2"}
    assert {key[:2] for key, flagged in new.items() if not flagged} == {"C1", "C3"}
    found = bundle.model.harmonisation
    assert found is not None
    assert (found.centers, found.reference) == (("C1", "C3"), "C3")
    # By hand: values of C1 moved, of the others as stored, scored by the same model without a harmonisation.
    rows = store.wide().to_pandas().set_index("roi_key").sort_index()
    moved = rows[list(bundle.model.radiomics)].to_numpy(np.float64, na_value=np.nan).copy()
    of_first = (rows["center"] == "C1").to_numpy()
    moved[of_first] = (moved[of_first] - found.location[0]) / found.scale[0]
    rows["center"], rows[list(bundle.model.radiomics)] = "C3", moved
    assert not np.allclose(found.location[0], 0, atol=0.01)
    expected = bundle.score(rows.reset_index()).set_index("roi_key")["dlr"]
    assert expected.to_dict() == pytest.approx(scores["dlr"].sort_index().to_dict(), nan_ok=True, abs=0)


def test_a_validation_sees_columns_as_the_model_does(folder: Path) -> None:
    source = open_source(str(folder / "store"), load_bundle(folder / "bundle"), "C2", "paper", "validate")
    training, cohort = read_training_values(source), read_cohort(source, Readers((), ()))
    assert training is not None
    model, kept = source.bundle.model, source.bundle.description.cohort_summary
    assert kept is not None
    for name, values in training.features.items():
        place = model.columns.index(name)
        assert (values.min(), values.max()) == pytest.approx((model.low[place], model.high[place]), rel=1e-12)
        assert kept.features[name].mean == pytest.approx(values.mean(), rel=1e-9)
    stored = source.wide(["C2"], source.reading)
    for name in set(cohort.features) & set(model.radiomics):
        np.testing.assert_array_equal(cohort.features[name], stored[name].to_numpy())


def test_a_bundle_says_whose_centres_are_alike_and_how_each_is_scored_by_models_of_the_others(folder: Path) -> None:
    document = json.loads(run("bundle", "show", folder / "bundle", "--json"))
    assert contracts.problems_of(document, "commands/bundle.json") == []
    told = load_bundle(folder / "bundle").document
    assert told["harmonisation"] == {
        **{"method": "combat", "centers": ["C1", "C3"], "reference": "C3", "new_centers": "as_they_are"},
        "columns": told["columns"]["radiomics"],
    }
    assert document["harmonisation"] == {**told["harmonisation"], "reference_columns": []}
    assert told["job"]["fit"]["harmonise"] == COMBAT["harmonise"]
    left_out = told["metrics"]["leave_one_center_out"]
    assert {center: set(models) for center, models in left_out.items()} == {
        center: {"rad", "dl", "dlr", "dlrn"} for center in ("C1", "C3")
    }
    assert document["leave_one_center_out"]["C1"]["dlr"]["auc"] == left_out["C1"]["dlr"]["auc"]
    text = run("bundle", "show", folder / "bundle")
    assert "radiomics features of C1, C3 on the scale of C3 (combat); those of other centres as they are" in " ".join(
        text.split()
    )
    assert f"{left_out['C3']['dlrn']['auc']:.3f}" in text


def test_with_and_without_are_compared_on_the_same_folds(folder: Path) -> None:
    elsewhere = {"harmonise": {**COMBAT["harmonise"], "reference": "C9"}}
    variants = {"alike": {"model": "rad", "fit": COMBAT}, "elsewhere": {"fit": elsewhere}}
    job = {"version": 1, "kind": "compare-models", "compare": {"variants": variants}}
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    nested = ("fit.nested.repeats=1", "fit.nested.folds=2", "fit.nested.bootstrap=20")
    options = [*SETS, *(part for value in nested for part in ("--set", value))]
    where = ("--store", folder / "store", "--out", folder / "out", "--json")
    document = json.loads(run("compare-models", folder / "job.yaml", *where, *options, code=3))
    assert [variant["name"] for variant in document["variants"]][:2] == ["dlrn", "alike"]
    assert 'fit.harmonise.method="combat"' in document["variants"][1]["description"]
    assert document["lacking"] == {
        "elsewhere": "nested-1-1: fit.harmonise.reference is 'C9', and the training cases are of C1, C3"
    }


def test_a_case_without_a_centre_is_of_none(folder: Path) -> None:
    rows = FeatureStore(folder / "store").wide()
    of_first = rows.filter(pc.equal(rows["center"], "C1")).slice(0, 3)
    nobody = of_first.set_column(of_first.column_names.index("center"), "center", pa.nulls(3, pa.string()))
    scored = load_bundle(folder / "bundle").score(nobody)
    assert all("not_harmonised" in flags for flags in scored["flags"].to_pylist())
