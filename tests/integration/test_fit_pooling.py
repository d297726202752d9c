"""`fit` on all slices of a hematoma: pooled, projected, scored by the bundle alone, and never of some slices for all."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.center_cohort import read_cohort, read_training_values
from cvtbatch.pipelines.centers.center_source import open_source
from cvtbatch.pipelines.centers.reader_study import Readers
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import LENGTH, fill

SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
PARTIAL = ("C1/partial", "C2/partial")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def add_partial(store: FeatureStore) -> None:
    """Add a case to each centre, like its fifth one, one of whose slices has no embedding: the second, not the largest."""
    for name in ("volumes", "cases", "rois", "radiomics", "embeddings"):
        rows = store.current(name)
        rows = rows.filter(pc.is_in(rows["case_key"], pa.array(["C1/005", "C2/005"]))).to_pylist()
        for entry in rows:
            for key in {"case_key", "roi_key"} & entry.keys():
                entry[key] = entry[key].replace("/005", "/partial")
            entry["case_id"] = "partial"
            changes = {"image_digest": "-partial", "input_digest": "-partial", "patient": "-partial"}
            entry |= {key: entry[key] + end for key, end in changes.items() if key in entry}
        store.table(name).append([entry for entry in rows if entry.get("slice_index") != 1])


def pooled_by_hand(store: FeatureStore, pooling: str) -> dict[str, np.ndarray]:
    """What pandas and NumPy make of the slices, by roi_key."""
    found = {}
    for key, slices in store.embeddings().to_pandas().groupby("roi_key"):
        values = np.stack(slices["embedding"].to_list()).astype(np.float64)
        if pooling == "area_mean":
            found[str(key)] = np.average(values, axis=0, weights=slices["area_mm2"])
        else:
            found[str(key)] = np.concatenate([values.mean(axis=0), values.max(axis=0)])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pooling")
    add_partial(fill(folder / "store"))
    run("snapshot", "create", "paper", "--store", folder / "store")
    options = ("--snapshot", "paper", *SETS, "--set", "fit.pooling=mean_max")
    run("fit", "--store", folder / "store", *options, "--out", folder / "bundle")
    run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--snapshot", "paper")
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder / "bundle")


def test_attention_is_fitted_kept_and_scored_on_the_slices_themselves(folder: Path, tmp_path: Path) -> None:
    store, place = shutil.copytree(folder / "store", tmp_path / "store"), tmp_path / "bundle"
    options = ("--snapshot", "paper", *SETS, "--set", "fit.pooling=attention", "--set", "fit.prediction_sets.alpha=0.2")
    run("fit", "--store", store, *options, "--out", place)
    found = json.loads(
        run("score", "--store", store, "--bundle", place, "--snapshot", "paper", "--center", "C2", "--json")
    )
    bundle = load_bundle(place)
    model = bundle.model
    assert model.attention is not None
    assert all((fold.attention.hidden != model.attention.hidden).any() for fold in model.folds if fold.attention)
    told = bundle.document
    assert (told["pooling"]["kind"], told["embedding_length"], told["cohort"]["cases"]) == ("attention", LENGTH, 40)
    assert told["embedding_components"]["slices"] == 40
    stored = FeatureStore(store).scores().to_pandas().set_index("roi_key")
    stored = stored[stored["bundle_digest"] == bundle.digest]
    slices = FeatureStore(store).embeddings().to_pandas().sort_values("slice_index").groupby("roi_key")["embedding"]
    rows = FeatureStore(store).wide(pooling="attention").to_pandas().set_index("roi_key")
    pd.testing.assert_frame_equal(bundle.score(rows).loc[stored.index, ["dl", "dlr"]], stored[["dl", "dlr"]])
    assert found["scored"] == len(stored)
    for key, row in stored.iterrows():
        if str(key).startswith(PARTIAL):
            assert (pd.isna(row["dl"]), "slices_without_embedding" in row["flags"]) == (True, True)
            continue
        values = np.stack(slices.get_group(key).to_list())
        assert (rows.loc[key, "embedding_attention"] == values.ravel()).all()
        units = np.tanh(values @ model.attention.hidden - model.attention.offset)
        weights = np.exp(units @ model.attention.weights)
        components = (weights @ values / weights.sum()) @ model.loadings - model.offset
        raw = np.array([*rows.loc[key, list(model.radiomics)], *components], np.float64)
        votes = model.forests[Model.DL].votes(((raw - model.mean) / model.scale)[None].astype(np.float32))
        assert row["dl"] == pytest.approx(votes[0], abs=1e-12)
    source = open_source(str(store), bundle, "C2", "paper", "validate")
    cohort = read_cohort(source, Readers((), ()))
    assert cohort.embedding.shape == (15, LENGTH)
    with pytest.raises(
        InputError, match=f"holds a list of {LENGTH + 1} numbers; the bundle takes {LENGTH} of each slice"
    ):
        bundle.score(rows.assign(embedding_attention=[[0.0] * (LENGTH + 1)] * len(rows)))


@pytest.mark.parametrize("pooling", ["area_mean", "mean_max"])
def test_a_pooled_embedding_is_that_of_all_slices_or_none(folder: Path, pooling: str) -> None:
    store = FeatureStore(folder / "store")
    rows = store.wide(pooling=pooling).to_pandas().set_index("roi_key")
    expected, column = pooled_by_hand(store, pooling), f"embedding_{pooling}"
    for key, found in rows[column].items():
        partial = key.startswith(PARTIAL)
        assert (found is None) == (partial or key.startswith(("C1/042", "C1/043"))), key
        if found is not None:
            np.testing.assert_allclose(found, expected[key], rtol=1e-6)
            assert found.dtype == np.float32
    assert "embedding" not in rows
    with pytest.raises(InputError, match="pooling='mean' is none of largest, area_mean, mean_max, attention"):
        store.wide(pooling="mean")


def test_components_are_those_of_what_is_pooled(folder: Path, bundle: Bundle) -> None:
    told = bundle.document
    assert told["pooling"] == {"kind": "mean_max", "components": "of_pooled"}
    assert told["embedding_length"] == 2 * LENGTH
    assert told["embedding_components"]["slices"] == told["cohort"]["cases"] == 40
    assert told["cohort"]["excluded"]["slices_without_embedding"] == 1
    store = FeatureStore(folder / "store")
    by_hand = pooled_by_hand(store, "mean_max")
    cases = store.cases(where="center = 'C1' AND traumatic = 0").to_pandas().dropna(subset=["cvt"])["case_key"]
    keys = [key for case in cases if (key := f"{case}/hematoma/A/1") in by_hand and not key.startswith(PARTIAL)]
    matrix = np.stack([by_hand[key] for key in keys])
    assert len(matrix) == 40
    centred = matrix - matrix.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    numbers = [int(name.removeprefix("dl_")) - 1 for name in bundle.model.components]
    assert numbers
    # The sign of a component is free.
    cosines = np.abs((axes[numbers] * bundle.model.loadings.T).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, rtol=1e-6)


def test_scores_are_of_all_slices_and_of_nothing_where_one_is_lacking(folder: Path, bundle: Bundle) -> None:
    store = FeatureStore(folder / "store")
    stored = store.scores().to_pandas().set_index("roi_key").sort_index()
    by_hand, model = pooled_by_hand(store, "mean_max"), bundle.model
    rows = store.wide(pooling="mean_max").to_pandas().set_index("roi_key").sort_index()
    components = {key: value @ model.loadings - model.offset for key, value in by_hand.items()}
    forest = model.forests[Model.DL]
    for key in [key for key in stored.index if key.startswith("C2") and not key.startswith(PARTIAL)]:
        values = np.array([*rows.loc[key, list(model.radiomics)], *components[key]], np.float64)
        scaled, votes = (values - model.mean) / model.scale, []
        for root in forest.roots.tolist():
            node = root
            while forest.child[node, 0] != node:
                node = int(forest.child[node, int(not scaled[forest.column[node]] <= forest.threshold[node])])
            votes.append(forest.share[node])
        assert stored.loc[key, "dl"] == pytest.approx(np.mean(votes), abs=1e-12)
    pd.testing.assert_series_equal(bundle.score(rows)["dlr"], stored["dlr"])
    for key in PARTIAL:
        row = stored.loc[f"{key}/hematoma/A/1"]
        assert pd.isna([row["dl"], row["dlr"], row["dlrn"]]).all()
        assert {"no_embedding", "slices_without_embedding"} <= set(row["flags"])
        assert (row["embedding_digest"], pd.notna(row["rad"])) == ("", True)
    assert "slices_without_embedding" not in stored.loc["C1/042/hematoma/A/1", "flags"]
    again = ("score", "--store", folder / "store", "--bundle", folder / "bundle", "--snapshot", "paper", "--json")
    assert json.loads(run(*again))["scored"] == 0


def test_an_embedding_of_the_largest_slice_is_not_taken_for_one_of_all(folder: Path, bundle: Bundle) -> None:
    rows = FeatureStore(folder / "store").wide()
    with pytest.raises(InputError, match="lacks: embedding_mean_max") as caught:
        bundle.score(rows)
    assert caught.value.kind == "missing_column"
    frame = rows.to_pandas()
    spread = pd.DataFrame(
        np.zeros((len(frame), 2 * LENGTH)), columns=[f"emb_{place:04d}" for place in range(2 * LENGTH)]
    )
    with pytest.raises(InputError, match="lacks: embedding_mean_max"):
        bundle.score(frame.drop(columns="embedding").join(spread))


def test_components_of_slices_are_not_fitted_on_some_slices(folder: Path) -> None:
    options = ("--snapshot", "paper", *SETS, "--out", folder / "refused")
    result = CliRunner().invoke(cli, [*map(str, ("fit", "--store", folder / "store", *options))])
    assert isinstance(result.exception, InputError)
    assert result.exception.kind == "slices_without_embedding"
    assert "of 1 of 41 outlines to train on some slices have no embedding" in result.exception.message
    assert "--only embeddings --set embedding.slices=all adds the others" in result.exception.message


def test_rows_that_nothing_is_fitted_on_need_their_largest_slice_alone(folder: Path) -> None:
    source = CohortSource(str(folder / "store"), "paper", ("C1",), Reading("A", 1), (), reviewed=False)
    with pytest.raises(InputError, match="some slices have no embedding"):
        read_training(source)
    assert len(read_training(replace(source, fitted_on=False)).cohort.keys) == 41


def test_a_centre_and_its_training_are_read_pooled(folder: Path, bundle: Bundle) -> None:
    source = open_source(str(folder / "store"), bundle, "C2", "paper", "validate")
    by_hand = pooled_by_hand(source.store, "mean_max")
    cohort, training = read_cohort(source, Readers((), ())), read_training_values(source)
    assert training is not None
    assert (cohort.embedding.shape, training.embedding.shape) == ((15, 2 * LENGTH), (40, 2 * LENGTH))  # type: ignore[union-attr]
    np.testing.assert_allclose(cohort.embedding[0], by_hand["C2/000/hematoma/A/1"], rtol=1e-6)
    assert np.isnan(cohort.embedding[[case.key for case in cohort.cases].index("C2/partial")]).all()
