"""`compare-models` on a store: variants on the same nested folds, a page, and what a job may not ask."""

import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import statsmodels.api
import yaml
from click.testing import CliRunner, Result
from sklearn.metrics import roc_auc_score

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import EMBEDDING_SPEC, fill
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, row

pytestmark = pytest.mark.usefixtures("blank_figures")

OTHER_NETWORK = Spec(
    "embedding",
    VOLUME_SPEC.spec_id,
    canonical_json(
        {
            "backbone": {"network": "resnet18", "layer": "avgpool", "values": 12},
            "weights": {"sha256": "c" * 64, "fine_tuned": {}},
        }
    ),
)
NETWORKS = [("--set", f"fit.embedding_spec={spec.spec_id}") for spec in (EMBEDDING_SPEC, OTHER_NETWORK)]
NESTED = ("fit.nested.repeats=1", "fit.nested.folds=2", "fit.nested.bootstrap=200")
SETS = [argument for value in (*SMALLEST_JOB, *NESTED, "cohort.training_centers=[C1]") for argument in ("--set", value)]
VARIANTS = {
    "rad": {"model": "rad"},
    "corrected": {"fit": {"firth": True}},
    "epilepsy": {"columns": ["epilepsy"]},
    "entropy": {"columns": ["original_firstorder_Entropy", "epilepsy"]},
    "constant": {"columns": ["volume_ml"]},
    "network": {"fit": {"embedding_spec": OTHER_NETWORK.spec_id}, "model": "dl"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with embeddings of two networks."""
    folder = tmp_path_factory.mktemp("compare")
    store = fill(folder / "store")
    columns = ("spec_id", "kind", "parent_id", "settings")
    store.table("specs").append([row("specs", **{name: getattr(OTHER_NETWORK, name) for name in columns})])
    rows = store.current("embeddings").to_pylist()
    for entry in rows:
        entry |= {"embedding_spec_id": OTHER_NETWORK.spec_id, "embedding": entry["embedding"][11::-1]}
    store.table("embeddings").append(rows)
    return folder / "store"


def job(folder: Path, variants: dict[str, object]) -> Path:
    path = folder / "job.yaml"
    path.write_text(
        yaml.safe_dump({"version": 1, "kind": "compare-models", "compare": {"variants": variants}}, sort_keys=False)
    )
    return path


def compare(store: Path, folder: Path, variants: dict[str, object], *more: str, code: int = 0) -> str:
    command = ["compare-models", job(folder, variants), "--store", store, *SETS, *NETWORKS[0]]
    command += ["--out", folder / "out", *more]
    result = CliRunner().invoke(cli, list(map(str, command)))
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout if code != 1 else str(result.exception)


def test_variants_stand_beside_the_reference_whose_estimate_is_the_fits(store: Path, tmp_path: Path) -> None:
    document = json.loads(compare(store, tmp_path, VARIANTS, "--json", code=3))
    assert contracts.problems_of(document, "commands/compare-models.json") == []
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == document
    assert [variant["name"] for variant in document["variants"]] == [
        "dlrn",
        "rad",
        "corrected",
        "epilepsy",
        "entropy",
        "network",
        "best, chosen inside the folds",
    ]
    assert document["lacking"] == {"constant": "volume_ml: it is the same in all cases"}
    assert document["cases"] == 39
    assert document["unscored"] == {"dlrn": 1, "corrected": 1, "epilepsy": 1, "entropy": 1}
    bundle = tmp_path / "bundle"
    fitted = CliRunner().invoke(cli, ["fit", "--store", str(store), *SETS, *NETWORKS[0], "--out", str(bundle)])
    assert fitted.exit_code == 0, fitted.output
    nested = load_bundle(bundle).document["metrics"]["nested"]["models"]["dlrn"]
    assert document["variants"][0]["auc"]["value"] == nested["auc"]
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "constant is not compared" in page
    networks = ("torchvision:resnet101", "torchvision:resnet18")
    licences = [f"the licence of the weights file of the image network {name} is not known" for name in networks]
    assert [told in said for told, said in zip(licences, document["licences"], strict=True)] == [True, True]
    assert all(told in page for told in licences)
    assert "None" not in page
    with (tmp_path / "out" / "tables" / "discrimination.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["AUC (95 % CI)"]) for row in rows] == [
        variant["auc"]["value"] for variant in document["variants"]
    ]


def test_at_another_centre_each_variant_scores_as_what_is_fitted_on_all_training_cases(
    store: Path, tmp_path: Path
) -> None:
    variants = {"rad": {"model": "rad"}, "volume": {"columns": ["original_firstorder_Entropy", "epilepsy"]}}
    elsewhere = ("--set", "compare.external_centers=[C2]")
    document = json.loads(compare(store, tmp_path, variants, *elsewhere, "--json"))
    assert contracts.problems_of(document, "commands/compare-models.json") == []
    (center,) = document["external"]
    bundle = tmp_path / "bundle"
    fit = CliRunner().invoke(cli, ["fit", "--store", str(store), *SETS, *NETWORKS[0], "--out", str(bundle)])
    assert fit.exit_code == 0, fit.output
    wide = (
        FeatureStore(store)
        .wide(spec=[EMBEDDING_SPEC.spec_id, RADIOMICS_SPEC.spec_id])
        .to_pandas()
        .set_index("roi_key")
        .sort_index()
    )
    training, unseen = (wide[wide.center == name].dropna(subset=["cvt", "epilepsy"]) for name in ("C1", "C2"))
    training = training[training.index.isin(_fitted_on(store))]
    scored = load_bundle(bundle).score(unseen.reset_index()).set_index("roi_key")
    columns = ["original_firstorder_Entropy", "epilepsy"]
    known = training.dropna(subset=columns)
    design = statsmodels.api.add_constant(known[columns].astype(float))
    regression = statsmodels.api.Logit(known.cvt.astype(float), design).fit(disp=0)
    volume = regression.predict(statsmodels.api.add_constant(unseen[columns].astype(float)))
    of_all = {"dlrn": scored["dlrn"].astype(float), "rad": scored["rad"].astype(float), "volume": volume}
    whole = ~pd.concat(of_all, axis=1).isna().any(axis=1)
    outcome = unseen.cvt.astype(int)[whole]
    assert (center["cases"], center["events"]) == (len(outcome), int(outcome.sum()))
    for model in center["models"]:
        assert model["auc"]["value"] == pytest.approx(roc_auc_score(outcome, of_all[model["name"]][whole]), abs=1e-9)
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "At other centres" in page
    assert "None" not in page


def _fitted_on(store: Path) -> set[str]:
    return {f"C1/{number:03d}/hematoma/A/1" for number in range(40)}


@pytest.mark.parametrize(
    ("variants", "told"),
    [
        ({}, "compare.variants is empty"),
        ({"dlrn": {"model": "rad"}}, "'dlrn' is the name of a row of its own"),
        ({"a": {"columns": ["epilepsy"], "model": "rad"}}, "columns stand alone"),
        ({"a": {"fit": {"seed": 3}}}, "compare.variants.a: fit.seed makes the folds or their labels"),
        ({"a": {"fit": {"outline_features": False}}}, "compare.variants.a: fit.outline_features=false leaves"),
        ({"a": {"fit": {"forst": {"trees": 3}}}}, "forst"),
        ({"a": {"columns": ["volume"]}}, "no column of numbers 'volume'"),
        ({"a": {"columns": ["etiology"]}}, "no column of numbers 'etiology'"),
        ({"a": {"modle": "rad"}}, "modle"),
    ],
)
def test_a_job_that_asks_for_what_there_is_not_is_told_what_there_is(
    store: Path, tmp_path: Path, variants: dict[str, object], told: str
) -> None:
    quick = ("--set", "fit.nested.bootstrap=10")
    assert told in compare(store, tmp_path, variants, *quick, code=1)
    assert not (tmp_path / "out").exists()


def test_a_bundle_names_its_network_and_scores_its_embeddings(store: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [*map(str, arguments)])

    refused = run("fit", "--store", store, *SETS, "--out", tmp_path / "none").exception
    assert "embedding rows of 2 specifications" in str(refused)
    assert 'embedding.backbone.network: "resnet18" | absent' in str(refused)
    bundle, quick = tmp_path / "bundle", ("--set", "fit.nested.repeats=0")
    assert run("fit", "--store", store, *SETS, *quick, *NETWORKS[1], "--out", bundle).exit_code == 0
    told = load_bundle(bundle).document
    assert contracts.problems_of(told, "bundle.json") == []
    assert told["backbones"] == [
        {
            "name": "torchvision:resnet18",
            "embedding_spec_id": OTHER_NETWORK.spec_id,
            "length": 12,
            "sha256": "c" * 64,
            "licence": "",
            "source": "file",
        }
    ]
    assert told["embedding_length"] == 12
    shown = json.loads(run("bundle", "show", bundle, "--json").stdout)
    assert contracts.problems_of(shown, "commands/bundle.json") == []
    assert shown["backbone"] == "torchvision:resnet18"
    assert [warning["kind"] for warning in shown["warnings"]] == ["licence"]
    assert "licence not known" in run("bundle", "show", bundle).stdout
    scored = run("score", "--store", store, "--bundle", bundle, "--center", "C2", "--json")
    assert json.loads(scored.stdout)["scored"] == 14
    # What scores tables needs no network; of two of them, this version knows nothing.
    changed, [backbone] = tmp_path / "changed", told["backbones"]
    shutil.copytree(bundle, changed)
    for backbones, refused in ([backbone | {"name": "lab:elsewhere"}], False), ([backbone, backbone], True):
        (changed / "bundle.json").write_text(json.dumps(told | {"backbones": backbones}))
        answer = str(run("bundle", "show", changed).exception)
        assert ("made for a later version: backbones" in answer) == refused


def test_without_a_nested_estimate_nothing_is_compared(store: Path, tmp_path: Path) -> None:
    assert "fit.nested.repeats" in compare(store, tmp_path, VARIANTS, "--set", "fit.nested.repeats=0", code=1)
