"""Fine-tuning through the command line: on whom, what travels with the weights, and what is never looked at."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cvtbatch.cli import cli
from cvtbatch.embedding import backbone, finetuning, weights
from cvtbatch.embedding.weights import load_weights
from cvtbatch.errors import FormatError, InputError
from cvtbatch.manifest import patient_digest
from cvtbatch.pipelines.models import finetune as finetune_pipeline
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import extract_json
from tests.support.small_network import SmallNetwork

QUICK = (
    "--set",
    "finetune.epochs=2",
    "--set",
    "finetune.learning_rate=0.01",
    "--set",
    "finetune.holdout_share=0.5",
    "--set",
    "embedding.device=cpu",
)


@pytest.fixture(scope="module")
def two_centers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Centre A: eight cases, of which one is traumatic, one without outcome and one read by B alone. Centre B: two cases."""
    folder = tmp_path_factory.mktemp("two")
    rows = tiny_archive(folder / "archive", 10)
    for number, row in enumerate(rows):
        row |= {"center": "A" if number < 8 else "B", "etiology": "CVT" if number % 2 else "HP"}
    rows[0]["traumatic"] = 1
    rows[1]["etiology"] = ""
    rows[2]["reader"] = "B"
    write_rows(folder / "archive" / "manifest.csv", rows)
    extract_json(folder / "archive" / "manifest.csv", folder / "store")
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network of one convolution where ResNet101 would be."""
    shape = {"conv1.weight": (SmallNetwork.DIMENSIONS, 1, 7, 7)}
    monkeypatch.setattr(weights, "shapes", lambda _: shape)
    monkeypatch.setattr(backbone, "Network", SmallNetwork)
    monkeypatch.setattr(finetune_pipeline, "find_architecture", lambda _: SmallNetwork.ARCHITECTURE)
    weights.random_weights.cache_clear()
    yield
    weights.random_weights.cache_clear()


def finetune(store: Path, out: Path, *arguments: object, centers: str = "[A]", start: object = "random:0") -> Result:
    command = ["finetune", "--store", store, "--out", out, *QUICK, *arguments]
    command += ["--set", f"cohort.training_centers={centers}", "--set", f"embedding.weights={start}"]
    return CliRunner().invoke(cli, [str(argument) for argument in command])


def metadata(out: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(out, "numpy") as file:
        return dict(file.metadata())


def test_weights_say_whose_they_are_and_go_where_weights_go(two_centers: Path, tmp_path: Path, small: None) -> None:
    out = tmp_path / "new" / "tuned.safetensors"
    result = finetune(two_centers / "store", out)
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "not for inference" in result.stdout
    for reason in ("traumatic", "outcome_unknown", "no_primary_outline"):
        assert f"{reason}" in result.stdout
    assert sorted(path.name for path in out.parent.iterdir()) == ["tuned.png", "tuned.safetensors"]
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    told, found = metadata(out), load_weights(str(out))
    assert (found.source, found.not_for_inference, found.sha256) == ("file", True, told["tensors_sha256"])
    assert found.settings()["fine_tuned"] == {
        name: told[name] for name in ("cohort_digest", "trained_on", "training_centers")
    }
    assert told["training_centers"] == '["A"]'
    assert set(json.loads(told["trained_on"])) == {patient_digest("A", f"00{number}") for number in range(3, 8)}
    start = load_weights("random:0")
    assert (told["started_from"], told["started_from_sha256"]) == ("random:0", start.sha256)
    assert json.loads(told["settings"])["finetune"]["epochs"] == 2
    assert told["snapshot"].startswith("auto-")
    # Whoever trained the start has seen its patients too.
    again = finetune(two_centers / "store", tmp_path / "b.safetensors", centers="[B, A]", start=out)
    assert again.exit_code == 0, again.exception
    assert json.loads(metadata(tmp_path / "b.safetensors")["training_centers"]) == ["A", "B"]


def test_no_patient_of_another_centre_is_looked_at(two_centers: Path, tmp_path: Path, small: None) -> None:
    assert finetune(two_centers / "store", tmp_path / "a.safetensors").exit_code == 0
    shutil.copytree(two_centers / "store", tmp_path / "store")
    store = FeatureStore(str(tmp_path / "store"))
    for name in ("volumes", "rois"):
        for row in store.table(name).current().to_pylist():
            if row["center"] == "B":
                shutil.rmtree(tmp_path / "store" / row["path"])
    assert finetune(tmp_path / "store", tmp_path / "b.safetensors").exit_code == 0
    first, second = (load_weights(str(tmp_path / f"{name}.safetensors")) for name in "ab")
    assert first.sha256 == second.sha256
    assert first.training["curve"] == second.training["curve"]
    assert first.training["cohort_digest"] == second.training["cohort_digest"]
    missed = finetune(tmp_path / "store", tmp_path / "c.safetensors", centers="[A, B]")
    assert isinstance(missed.exception, FormatError)


def test_a_stopped_run_continues(
    two_centers: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finetune(two_centers / "store", tmp_path / "whole.safetensors").exit_code == 0
    out = tmp_path / "stopped.safetensors"
    train = finetuning.FineTuning._train

    def stop(self: finetuning.FineTuning, number: int, on_batch: object) -> float:
        if number == 2:
            raise KeyboardInterrupt
        return train(self, number, on_batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(finetuning.FineTuning, "_train", stop)
        assert finetune(two_centers / "store", out).exit_code != 0
    assert [path.name for path in tmp_path.glob("stopped*")] == ["stopped.checkpoint"]
    assert isinstance(finetune(two_centers / "store", out, "--set", "finetune.seed=4").exception, InputError)
    assert finetune(two_centers / "store", out).exit_code == 0
    stopped, whole = load_weights(str(out)), load_weights(str(tmp_path / "whole.safetensors"))
    assert (stopped.sha256, stopped.training["curve"]) == (whole.sha256, whole.training["curve"])


@pytest.mark.parametrize(
    ("centers", "start", "name", "told"),
    [
        ("[]", "random:0", "x.safetensors", "cohort.training_centers is empty"),
        ("[A, C]", "random:0", "x.safetensors", "the snapshot has no centre 'C'; it has 'A', 'B'"),
        ("[A]", "none", "x.safetensors", "name the weights to start from"),
        ("[A]", "random:0", "x.pth", "the suffix is not .safetensors"),
        ("[B]", "random:0", "x.safetensors", "two of each are the least"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    two_centers: Path, tmp_path: Path, small: None, centers: str, start: str, name: str, told: str
) -> None:
    result = finetune(two_centers / "store", tmp_path / name, centers=centers, start=start)
    assert isinstance(result.exception, InputError)
    assert told in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_resnet101_itself_is_tuned(two_centers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On pictures of 32 pixels, which take no time."""
    from cvtbatch.pipelines.models import finetune as pipeline

    read = pipeline.read_examples

    def coarse(*arguments: object) -> finetuning.Examples:
        examples = read(*arguments)  # type: ignore[arg-type]
        return replace(examples, gray=np.ascontiguousarray(examples.gray[:, ::7, ::7]))

    monkeypatch.setattr(pipeline, "read_examples", coarse)
    out = tmp_path / "tuned.safetensors"
    result = finetune(
        two_centers / "store", out, "--set", "finetune.learning_rate=0.000001", "--set", "finetune.epochs=1"
    )
    assert result.exit_code == 0, (result.stderr, result.exception)
    start, tuned = load_weights("random:0"), load_weights(str(out))
    moved = [name for name, values in start.tensors.items() if not np.array_equal(values, tuned.tensors[name])]
    # BatchNorm keeps its statistics; everything else learns, if an epoch was kept.
    assert not any("running" in name for name in moved)
    assert bool(moved) == (int(tuned.training["best_epoch"]) > 0)
    losses = [values[2] for values in json.loads(tuned.training["curve"])]
    assert len(set(losses)) == 2
