"""Embeddings of two networks in one model: read, fitted, scored and compared as one, and refused where they are not one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from sklearn.decomposition import PCA

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.embedding.weights import licence_of
from cvtbatch.errors import InputError
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import VOXELS, fill
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, row

pytestmark = pytest.mark.usefixtures("blank_figures")


def network(name: str, values: int, digit: str, *, box: bool = False) -> Spec:
    resize = {"size_zyx": [16, 112, 112]} if box else {"size_yx": [224, 224]}
    settings = {
        "backbone": {"network": name, "layer": "avgpool", "values": values},
        "resize": resize,
        "weights": {"sha256": digit * 64, "fine_tuned": {}},
    }
    return Spec("embedding", VOLUME_SPEC.spec_id, canonical_json(settings))


# 24 numbers of which three tell the outcome; 12 of noise; and 8 of a box, one row an outline.
TELLING, NOISE, BOX = network("resnet50", 24, "a"), network("resnet18", 12, "b"), network("r3d_18", 8, "c", box=True)
FUSED, WITH_BOX = f"{NOISE.spec_id}+{TELLING.spec_id}", f"{BOX.spec_id}+{TELLING.spec_id}"
QUICK = ("fit.nested.repeats=1", "fit.nested.folds=2", "fit.nested.bootstrap=200", "cohort.training_centers=[C1]")
SETS = [argument for value in (*SMALLEST_JOB, *QUICK) for argument in ("--set", value)]
LACKING = "C2/005"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three networks; a case of C2 has no embedding of the one that is noise."""
    folder = tmp_path_factory.mktemp("fused") / "store"
    store = fill(folder, TELLING)
    columns = ("spec_id", "kind", "parent_id", "settings")
    store.table("specs").append(
        [row("specs", **{name: getattr(spec, name) for name in columns}) for spec in (NOISE, BOX)]
    )
    rng = np.random.default_rng(1)
    noise, boxes = [], []
    for entry in store.current("embeddings").to_pylist():
        own = {"embedding_spec_id": NOISE.spec_id, "weights": "imagenet", "embedding": rng.normal(size=12).tolist()}
        if entry["case_key"] != LACKING:
            noise.append({**entry, **own})
        if entry["is_largest"]:
            box = {"embedding_spec_id": BOX.spec_id, "embedding": entry["embedding"][:8], "not_for_inference": True}
            boxes.append({**entry, **box, "area_mm2": sum(VOXELS) * 0.25})
    # In another order than those of the first network.
    store.table("embeddings").append([*boxes, *noise[::-1]])
    return folder


def by_slice(store: Path, spec_id: str) -> dict[tuple[str, int], list[float]]:
    rows = FeatureStore(str(store)).embeddings(spec=spec_id).to_pylist()
    return {(entry["roi_key"], entry["slice_index"]): entry["embedding"] for entry in rows}


@pytest.fixture(scope="module")
def bundle(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two networks."""
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    fitted = run("fit", "--store", store, *SETS, "--set", f"fit.embedding_spec={FUSED}", "--out", out)
    assert fitted.exit_code == 0, (fitted.output, fitted.exception)
    return out


def test_fused_rows_have_the_numbers_of_each_network_behind_one_another(store: Path) -> None:
    noise, telling, boxes = (by_slice(store, spec.spec_id) for spec in (NOISE, TELLING, BOX))
    fused = FeatureStore(str(store)).embeddings(spec=FUSED)
    rows = {(entry["roi_key"], entry["slice_index"]): entry for entry in fused.to_pylist()}
    assert rows.keys() == noise.keys() < telling.keys()
    assert {key: entry["embedding"] for key, entry in rows.items()} == {key: noise[key] + telling[key] for key in noise}
    assert {(entry["embedding_spec_id"], entry["weights"]) for entry in rows.values()} == {(FUSED, "imagenet + file")}
    assert json.loads(fused.schema.metadata[b"cvtbatch"])["embedding_spec_id"] == FUSED
    # What sees a box says the same of every slice that another network sees.
    of_box = {roi_key: values for (roi_key, _), values in boxes.items()}
    assert by_slice(store, WITH_BOX) == {key: of_box[key[0]] + values for key, values in telling.items()}
    unfit = FeatureStore(str(store)).embeddings(columns=["not_for_inference"], spec=WITH_BOX)
    assert unfit["not_for_inference"].unique().to_pylist() == [True]
    # Of a row of `wide`, the largest slice of both; none where one network has none.
    wide = FeatureStore(str(store)).wide(columns=["roi_key", "case_key", "embedding"], spec=FUSED).to_pylist()
    assert {entry["roi_key"]: entry["embedding"] for entry in wide if entry["embedding"]} == {
        key: entry["embedding"] for (key, _), entry in rows.items() if entry["is_largest"] and entry["reader"] == "A"
    }
    assert [entry["embedding"] for entry in wide if entry["case_key"] == LACKING] == [None]
    mean = (
        FeatureStore(str(store))
        .wide(columns=["roi_key", "embedding_mean_max"], spec=FUSED, pooling="mean_max")
        .to_pylist()
    )
    pooled = {entry["roi_key"]: entry["embedding_mean_max"] for entry in mean if entry["embedding_mean_max"]}
    assert pooled.keys() == {entry["roi_key"] for entry in wide if entry["embedding"]}
    for key, values in pooled.items():
        slices = np.array(
            [fused for (roi_key, _), fused in by_slice(store, FUSED).items() if roi_key == key], np.float32
        )
        assert values == pytest.approx([*slices.mean(axis=0), *slices.max(axis=0)], abs=1e-6)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (f"{NOISE.spec_id}+{NOISE.spec_id}", "the same embeddings twice"),
        (f"{NOISE.spec_id}+{RADIOMICS_SPEC.spec_id}", "is a specification of radiomics"),
        ([FUSED, TELLING.spec_id], "are asked for at once"),
        ([FUSED, WITH_BOX], "are asked for at once"),
        (f"{NOISE.spec_id}+", "'' is no specification"),
        (f"{NOISE.spec_id}+emb-0", "'emb-0' is no specification"),
        (None, f"or fuse them: {'+'.join(sorted(spec.spec_id for spec in (NOISE, TELLING, BOX)))}"),
    ],
)
def test_what_cannot_be_fused_is_refused(store: Path, spec: str | list[str] | None, told: str) -> None:
    with pytest.raises(InputError) as refused:
        FeatureStore(str(store)).embeddings(spec=spec)
    assert told in str(refused.value)


def test_each_network_has_components_of_its_own_which_are_scikit_learns(store: Path, bundle: Path) -> None:
    model, document = load_bundle(bundle).model, json.loads((bundle / "bundle.json").read_text())
    assert contracts.problems_of(document, "bundle.json") == []
    assert [(one["name"], one["length"], one["source"]) for one in document["backbones"]] == [
        ("torchvision:resnet18", 12, "imagenet"),
        ("torchvision:resnet50", 24, "file"),
    ]
    assert set(load_bundle(bundle).known_specs()) == {
        VOLUME_SPEC.spec_id,
        RADIOMICS_SPEC.spec_id,
        NOISE.spec_id,
        TELLING.spec_id,
    }
    rows = (
        FeatureStore(str(store))
        .wide(columns=["roi_key", "center", "cvt", "traumatic", "embedding"], spec=FUSED)
        .to_pylist()
    )
    trained = {
        entry["roi_key"]
        for entry in rows
        if entry["center"] == "C1" and entry["cvt"] is not None and not entry["traumatic"] and entry["embedding"]
    }
    fitted = []
    for spec, places in ((NOISE, slice(0, 12)), (TELLING, slice(12, 36))):
        slices = [values for (key, _), values in sorted(by_slice(store, spec.spec_id).items()) if key in trained]
        whole = np.zeros((document["job"]["fit"]["components"], 36))
        whole[:, places] = PCA(len(whole), svd_solver="full").fit(np.array(slices, np.float64)).components_
        fitted += [*whole]
    # A bundle keeps those that are used, each of one network alone.
    assert model.loadings.shape[1]
    for column in model.loadings.T:
        assert min(np.abs(column - own).max() for own in fitted) < 1e-9


def test_a_bundle_of_two_networks_scores_and_never_by_half_of_them(store: Path, bundle: Path) -> None:
    scored = run("score", "--store", store, "--bundle", bundle, "--center", "C2", "--json")
    assert json.loads(scored.stdout)["computed"]["dlrn"] == 12
    rows = {entry["case_key"]: entry for entry in FeatureStore(str(store)).scores().to_pylist()}
    assert (rows[LACKING]["dl"], rows[LACKING]["dlrn"]) == (None, None)
    assert "no_embedding" in rows[LACKING]["flags"]
    assert rows[LACKING]["rad"] is not None
    again = run("score", "--store", store, "--bundle", bundle, "--center", "C2", "--json")
    assert json.loads(again.stdout)["scored"] == 0
    shown = json.loads(run("bundle", "show", bundle, "--json").stdout)
    assert contracts.problems_of(shown, "commands/bundle.json") == []
    assert [(one["backbone"], one["licence"]) for one in shown["networks"]] == [
        ("torchvision:resnet18", licence_of("imagenet")),
        ("torchvision:resnet50", ""),
    ]
    told = json.loads((bundle / "bundle.json").read_text())
    for backbones in (told["backbones"][::-1], told["backbones"][:1]):
        changed = bundle.parent / f"changed-{len(backbones)}"
        shutil.copytree(bundle, changed)
        (changed / "bundle.json").write_text(json.dumps(told | {"backbones": backbones}))
        assert "made for a later version: backbones" in str(run("bundle", "show", changed).exception)


def test_networks_and_both_of_them_are_compared(store: Path, tmp_path: Path) -> None:
    """What tells the outcome is found beside noise, whichever of the networks it comes from."""
    networks = {"noise": NOISE.spec_id, "telling": TELLING.spec_id, "both": FUSED, "box": WITH_BOX}
    variants = {name: {"fit": {"embedding_spec": spec_id}, "model": "dl"} for name, spec_id in networks.items()}
    job = tmp_path / "compare.yaml"
    job.write_text(yaml.safe_dump({"version": 1, "kind": "compare-models", "compare": {"variants": variants}}))
    command = ["compare-models", job, "--store", store, *SETS, "--set", f"fit.embedding_spec={TELLING.spec_id}"]
    found = run(*command, "--out", tmp_path / "out", "--json")
    assert found.exit_code == 0, (found.output, found.exception)
    document = json.loads(found.stdout)
    assert contracts.problems_of(document, "commands/compare-models.json") == []
    auc = {one["name"]: one["auc"]["value"] for one in document["variants"] if one["name"] in networks}
    assert auc["noise"] < 0.6 < 0.7 < min(auc["telling"], auc["both"], auc["box"])
    assert document["not_for_inference"] == "file + file"
