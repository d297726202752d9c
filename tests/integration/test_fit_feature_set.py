"""`fit` on a feature set of a user's own, and everything that scores by the bundle: the table, the specification, the refusals."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.bundle_files import DOCUMENT
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import FormatError
from cvtbatch.pipelines.centers.center_cohort import read_cohort
from cvtbatch.pipelines.centers.center_source import open_source
from cvtbatch.pipelines.centers.reader_study import read_readers
from cvtbatch.pipelines.extraction.bundle_settings import bundle_job, require_bundle_specs
from cvtbatch.pipelines.extraction.set_settings import resolve_sets, specify_set
from cvtbatch.pipelines.models.fit import _fit_document
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.radiomics.parameter_file import check_parameters
from cvtbatch.spec import Spec
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import fill
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, row

SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
CLASSES = {"glszm": ["ZoneEntropy"], "shape": None, "firstorder": ["90Percentile", "10Percentile", "Mean"]}


def spec_of(name: str, bin_width: float, classes: object = CLASSES) -> Spec:
    parameters = {"imageType": {"Wavelet": {}, "Original": {}}, "featureClass": classes}
    found = check_parameters({**parameters, "setting": {"binWidth": bin_width}}).feature_set
    assert found is not None
    return specify_set(name, found, VOLUME_SPEC)


def add_set(store: FeatureStore, spec: Spec, seed: int) -> None:
    """Give every outline that has the study's features those of a set, of which CVT moves the first five."""
    fields = {name: getattr(spec, name) for name in ("spec_id", "kind", "parent_id", "settings")}
    store.table("specs").append([row("specs", **fields)])
    store.create_tables()
    table = store.table(f"features_{spec.feature_set}")
    names = table.contract.features
    own = store.current("radiomics").drop_columns(list(store.table("radiomics").contract.features)).to_pylist()
    values = np.random.default_rng(seed).normal(size=(len(own), len(names)))
    cvt = np.array([int(entry["case_id"]) % 2 for entry in own])
    values[:, :5] += 1.5 * cvt[:, None]
    for entry, found in zip(own, values.tolist(), strict=True):
        entry |= {"radiomics_spec_id": spec.spec_id, **dict(zip(names, found, strict=True))}
    table.append(own)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout if code == 0 else str(result.exception)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two sets of the same columns, one of them with a second specification, and a bundle fitted on the other."""
    folder = tmp_path_factory.mktemp("sets")
    store = fill(folder / "store")
    run("snapshot", "create", "before", "--store", folder / "store")
    shutil.copytree(folder / "store", folder / "without")
    for seed, spec in enumerate((spec_of("mine", 25), spec_of("other", 25), spec_of("other", 10))):
        add_set(store, spec, seed)
    run("snapshot", "create", "paper", "--store", folder / "store")
    fit = ("fit", "--store", folder / "store", "--snapshot", "paper", *SETS, "--set", "fit.features=mine")
    run(*fit, "--out", folder / "bundle")
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder / "bundle")


def test_the_bundle_says_which_set_it_scores(folder: Path, bundle: Bundle) -> None:
    spec, told = spec_of("mine", 25), bundle.document
    used = list(bundle.model.radiomics)
    assert 0 < len(used) <= len(spec.content()["features"]["names"])
    assert told["feature_sets"] == [{"table": "features_mine", "spec_id": spec.spec_id, "columns": used}]
    assert (told["specs"]["radiomics_spec_id"], told["job"]["fit"]["features"]) == (spec.spec_id, "mine")
    assert told["spec_settings"]["radiomics"]["features"]["names"] == spec.content()["features"]["names"]
    shown = json.loads(run("bundle", "show", folder / "bundle", "--json"))
    assert (shown["features"], shown["columns"][: len(used)]) == ("mine", used)
    # What is fitted on the study's features stays to the last byte what it was.
    assert "features" not in _fit_document(read_job("fit"))


def votes_by_hand(bundle: Bundle, model: Model, values: np.ndarray) -> float:
    """The share of a forest's trees that vote for CVT, a tree and a node at a time; a vote is the mean of the leaves' shares."""
    forest, scaled, votes = bundle.model.forests[model], (values - bundle.model.mean) / bundle.model.scale, []
    for root in forest.roots.tolist():
        node = root
        while forest.child[node, 0] != node:
            node = int(forest.child[node, int(not scaled[forest.column[node]] <= forest.threshold[node])])
        votes.append(float(forest.share[node]))
    return float(np.mean(votes))


def test_scores_are_what_the_sets_own_table_gives_by_hand(folder: Path, bundle: Bundle) -> None:
    store = FeatureStore(folder / "store")
    run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--snapshot", "paper", "--explain")
    stored = store.scores(where=f"bundle_digest = '{bundle.digest}'").to_pandas().set_index("roi_key").sort_index()
    features = store.features("mine").to_pandas().set_index("roi_key").sort_index()
    features = features[(features["reader"] == "A")]
    assert list(stored.index) == list(features.index)
    largest = store.embeddings(where="is_largest = true").to_pandas().set_index("roi_key")["embedding"]
    epilepsy = store.cases().to_pandas().set_index("case_key")["epilepsy"]
    for key in features.index[:6]:
        components = largest[key].astype(np.float64) @ bundle.model.loadings - bundle.model.offset
        values = np.array([*features.loc[key, list(bundle.model.radiomics)], *components], np.float64)
        for model in (Model.RAD, Model.DL, Model.DLR):
            assert stored.loc[key, str(model)] == pytest.approx(votes_by_hand(bundle, model, values), abs=1e-12)
        odds = bundle.model.terms @ [1, stored.loc[key, "dlr"], epilepsy[features.loc[key, "case_key"]]]
        if not np.isnan(odds):
            assert stored.loc[key, "dlrn"] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-12)
    frame = features.join(largest).assign(epilepsy=epilepsy[features["case_key"]].to_numpy(dtype=float))
    pd.testing.assert_series_equal(bundle.score(frame)["dlr"], stored["dlr"], check_names=False)
    same = bundle.score(store.wide(features="mine")).to_pandas().set_index("roi_key").sort_index()
    pd.testing.assert_series_equal(same["dlrn"], stored["dlrn"])


def test_a_centre_is_read_from_the_sets_table(folder: Path, bundle: Bundle) -> None:
    run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--snapshot", "paper", "--explain")
    source = open_source(str(folder / "store"), bundle, "C2", "paper", "validate")
    cohort = read_cohort(source, read_readers(source))
    values = FeatureStore(folder / "store").features("mine", where="center = 'C2'").sort_by("roi_key")
    names = set(cohort.features) & set(bundle.model.radiomics)
    assert names
    for name in names:
        assert cohort.features[name].tolist() == values[name].to_pylist()


def test_a_bundle_carries_its_set_to_another_store(bundle: Bundle, tmp_path: Path) -> None:
    known = {name: spec for name, spec in bundle.known_specs().items() if spec.kind != "embedding"}
    job = bundle_job(read_job("extract"), bundle, known, tmp_path)
    [work], [spec] = resolve_sets(job.radiomics, VOLUME_SPEC, str(tmp_path / "new"))
    assert (work.table, spec.spec_id) == ("features_mine", bundle.specs.radiomics_spec_id)
    require_bundle_specs((VOLUME_SPEC, RADIOMICS_SPEC, spec), bundle, known)


def test_what_has_no_such_set_is_refused(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    fit = ("fit", "--store", folder / "store", *SETS, "--out", tmp_path / "none")
    assert "no feature set 'mien'; did you mean 'mine'?" in run(*fit, "--set", "fit.features=mien", code=1)
    told = run(*fit, "--set", "fit.features=mine", "--snapshot", "before", code=1)
    assert "no features" in told
    assert "not extracted before the snapshot" in told
    told = run(*fit, "--set", "fit.features=other", code=1)
    assert "2 specifications" in told
    assert "binWidth" in told
    told = run("score", "--store", folder / "without", "--bundle", folder / "bundle", code=1)
    assert f"{bundle.specs.radiomics_spec_id}; there is no feature set mine): cvtbatch add-center" in told
    changed = Path(shutil.copytree(folder / "without", tmp_path / "changed"))
    add_set(FeatureStore.open_for_writing(str(changed)), spec_of("mine", 10), 0)
    told = run("score", "--store", changed, "--bundle", folder / "bundle", code=1)
    assert "of its feature set mine, " in told
    assert "radiomics.settings.binWidth: 25.0 | 10.0" in told


def test_a_bundle_that_contradicts_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / "bundle" / DOCUMENT).read_text())
    [found] = document["feature_sets"]
    for name, changed, kind in (
        ("renamed", [{**found, "table": "features_other"}], "bundle_damaged"),
        ("unsaid", [], "bundle_damaged"),
        ("mixed", [{**found, "columns": found["columns"][1:]}], "bundle_too_new"),
        ("second", [found, found], "bundle_too_new"),
    ):
        copy = Path(shutil.copytree(folder / "bundle", tmp_path / name))
        (copy / DOCUMENT).write_text(json.dumps({**document, "feature_sets": changed}))
        with pytest.raises(FormatError) as caught:
            load_bundle(copy)
        assert caught.value.kind == kind
