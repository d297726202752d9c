"""Three networks of several kinds over the same outlines: values as plain forward passes give them, a bundle on each, compared."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.embedding import Architecture, NetworkInput
from cvtbatch.embedding.backbone import Backbone
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.weights import Weights, random_weights
from cvtbatch.spec import Spec, canonical_json
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import VOXELS, fill
from tests.support.store_rows import VOLUME_SPEC, Row, row

pytestmark = pytest.mark.usefixtures("blank_figures")

SIDE, SLICES = 16, len(VOXELS)
GREY = NetworkInput("slice", side=SIDE, mean=(0.5,), std=(0.25,), windows=((40, 80),))
BOX = NetworkInput("box", side=SIDE, depth=SLICES, mean=(0.5,), std=(0.25,), windows=((40, 80),))
JOB = (*SMALLEST_JOB, "fit.nested.repeats=1", "fit.nested.folds=2", "fit.nested.bootstrap=50")
SETS = [argument for value in (*JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]


def build(network: Architecture) -> torch.nn.Module:
    """Return what a registered name stands for."""
    relu, flat = torch.nn.ReLU(), torch.nn.Flatten()
    match network.network:
        case "convolution":
            return torch.nn.Sequential(torch.nn.Conv2d(1, 24, 5, 3), relu, torch.nn.AdaptiveAvgPool2d(1), flat)
        case "perceptron":
            return torch.nn.Sequential(flat, torch.nn.Linear(SIDE**2, 32), relu, torch.nn.Linear(32, 12))
        case _:
            return torch.nn.Sequential(torch.nn.Conv3d(1, 16, 3, 2), relu, torch.nn.AdaptiveAvgPool3d(1), flat)


NETWORKS = tuple(
    Architecture(name, (), "pooled", values, "compared", taken, build, 1)
    for name, values, taken in (("convolution", 24, GREY), ("perceptron", 12, GREY), ("volume", 16, BOX))
)


@cache
def spec_of(network: Architecture) -> Spec:
    """Return what a run records of a network with random weights."""
    settings = {"backbone": network.settings(), "weights": random_weights(0, network).settings()}
    return Spec("embedding", VOLUME_SPEC.spec_id, canonical_json(settings))


def drawn_slices(entry: Row) -> np.ndarray:
    """Return the slices of an outline, 0..1, (SLICES, SIDE, SIDE): of CVT, which every other case is, the left half is brighter."""
    number = int(str(entry["case_id"]))
    gray = np.random.default_rng([number, int(str(entry["center"])[1:])]).random((SLICES, SIDE, SIDE), np.float32) / 2
    gray[:, :, : SIDE // 2] += 0.12 * (number % 2)
    return gray


def plain_pass(weights: Weights, given: np.ndarray) -> np.ndarray:
    """Return what the network itself gives, normalised by hand, without anything of the project's but its weights."""
    network = build(weights.architecture)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.tensors.items()})
    channels = given if given.ndim == 5 else given[:, None]
    with torch.no_grad():
        return network((torch.from_numpy(channels) - 0.5) / 0.25).numpy()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with embeddings of three networks."""
    folder = tmp_path_factory.mktemp("compared") / "store"
    store = fill(folder)
    rows = store.current("embeddings").sort_by([("roi_key", "ascending"), ("slice_index", "ascending")]).to_pylist()
    gray = np.concatenate([drawn_slices(entry) for entry in rows if entry["is_largest"]])
    of_largest = [entry for entry in rows if entry["is_largest"]]
    for network in NETWORKS:
        box, weights = network.taken.kind == "box", random_weights(0, network)
        given = gray.reshape(-1, 1, SLICES, SIDE, SIDE) if box else gray
        values = np.concatenate(list(Backbone(weights, Compute(device="cpu")).embed([given])))
        plain = plain_pass(weights, given)
        assert (np.linalg.norm(values - plain, axis=1) / np.linalg.norm(plain, axis=1)).max() <= 1e-5, network.name
        own = {"embedding_spec_id": spec_of(network).spec_id, "weights": weights.source, "not_for_inference": True}
        # The one row of a box is of all slices.
        own |= {"area_mm2": 0.25 * sum(VOXELS)} if box else {}
        entries = [
            {**entry, **own, "embedding": found.tolist()}
            for entry, found in zip(of_largest if box else rows, values, strict=True)
        ]
        store.table("embeddings").append(entries)
    columns = ("spec_id", "kind", "parent_id", "settings")
    specs = [row("specs", **{name: getattr(spec_of(network), name) for name in columns}) for network in NETWORKS]
    store.table("specs").append(specs)
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_a_bundle_on_each_and_all_of_them_compared(store: Path, tmp_path: Path) -> None:
    named = {network.network: spec_of(network).spec_id for network in NETWORKS}
    first, *others = ("--set", "fit.embedding_spec=" + named["volume"]), "convolution", "perceptron"
    variants = {name: {"fit": {"embedding_spec": named[name]}} for name in others}
    job, out = tmp_path / "job.yaml", tmp_path / "compared"
    job.write_text(json.dumps({"version": 1, "kind": "compare-models", "compare": {"variants": variants}}))
    document = json.loads(run("compare-models", job, "--store", store, *SETS, *first, "--out", out, "--json"))
    assert contracts.problems_of(document, "commands/compare-models.json") == []
    assert document["not_for_inference"] == "random:0"
    compared = {variant["name"]: variant["auc"]["value"] for variant in document["variants"]}
    assert list(compared)[:3] == ["dlrn", *others]
    for name, variant in ("volume", "dlrn"), *((name, name) for name in others):
        bundle, nested = tmp_path / name, () if name == others[0] else ("--set", "fit.nested.repeats=0")
        chosen = ("--set", f"fit.embedding_spec={named[name]}")
        run("fit", "--store", store, *SETS, *nested, *chosen, "--out", bundle)
        told = load_bundle(bundle).document
        assert [own["name"] for own in told["backbones"]] == [f"compared:{name}"]
        if not nested:
            assert compared[variant] == told["metrics"]["nested"]["models"]["dlrn"]["auc"]
    scored = json.loads(run("score", "--store", store, "--bundle", tmp_path / "volume", "--center", "C2", "--json"))
    assert (scored["scored"], scored["computed"]["dl"]) == (14, 14)
