"""Embeddings through the command line: what is computed, what is not, and what the store holds afterwards."""

import json
import multiprocessing
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.errors import InputError
from cvtbatch.spec import differences
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.archives import tiny_archive, tiny_head, write_rows
from tests.support.commands import appended, extract_json, reasons
from tests.support.stand_ins import BlockMeans, block_means, run_with_block_means
from tests.support.store_contents import contents

TRIAL = ("--set", "embedding.weights=random:0")
OTHER = ("--set", "embedding.weights=random:1")

__all__ = ["block_means"]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three cases, one of them without its mask, and a store with their radiomics alone."""
    folder = tmp_path_factory.mktemp("extracted")
    rows = tiny_archive(folder / "archive", 3)
    rows[2]["mask"] = ""
    write_rows(folder / "archive" / "manifest.csv", rows)
    extract_json(folder / "archive" / "manifest.csv", folder / "store")
    return folder


@pytest.fixture
def folder(extracted: Path, tmp_path: Path) -> Path:
    for name in ("archive", "store"):
        shutil.copytree(extracted / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    return extract_json(folder / "archive" / "manifest.csv", folder / "store", *arguments, code=code)


def counts(document: dict[str, object]) -> tuple[object, ...]:
    return tuple(document[name] for name in ("computed", "already_done", "failed", "awaiting_mask"))


def test_rows_are_what_torchvision_makes_of_the_stored_slices(tmp_path: Path) -> None:
    import torch
    import torchvision
    from torchvision.transforms import functional

    from cvtbatch.embedding.weights import random_weights

    tiny_archive(tmp_path / "archive", 1)
    document = run(tmp_path, *TRIAL, "--set", "embedding.level_hu=45", "--set", "embedding.device=cpu")
    store = FeatureStore(str(tmp_path / "store"))
    rows = store.embeddings().sort_by("slice_index").to_pylist()
    [roi], [volume] = (store.table(name).current().to_pylist() for name in ("rois", "volumes"))
    mask, hu = (store.read_array(StoredArray(row["path"], row["checksum"])) for row in (roi, volume))
    bearing = np.flatnonzero(mask.any(axis=(1, 2)))
    assert [row["slice_index"] for row in rows] == bearing.tolist()
    assert [row["area_mm2"] for row in rows] == [mask[z].sum() * 0.25 for z in bearing]
    assert [row["slice_index"] for row in rows if row["is_largest"]] == [roi["largest_slice"]]
    identity = (
        "roi_key",
        "case_key",
        "center",
        "case_id",
        "roi",
        "reader",
        "reading",
        "volume_spec_id",
        "input_digest",
    )
    for row in rows:
        assert {name: row[name] for name in identity} == {name: roi[name] for name in identity}
        assert (row["weights"], row["not_for_inference"], row["device"]) == ("random:0", True, "cpu")
        assert row["embedding_spec_id"] == document["embedding_spec_id"]
    model = torchvision.models.resnet101(weights=None)
    tensors = {name: torch.tensor(values) for name, values in random_weights(0).tensors.items()}
    model.load_state_dict(tensors, strict=False)
    model.fc = torch.nn.Identity()
    windowed = torch.tensor(np.clip((hu[bearing].astype(np.float32) - 5) / 80, 0, 1))
    resized = functional.resize(windowed[:, None].expand(-1, 3, -1, -1), [224, 224], antialias=True)
    with torch.no_grad():
        stock = model.eval()(functional.normalize(resized, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))).numpy()
    values = np.array([row["embedding"] for row in rows])
    assert values.shape == (len(bearing), 2048)
    assert (np.linalg.norm(values - stock, axis=1) / np.linalg.norm(stock, axis=1)).max() <= 1e-5
    assert document["embeddings"]["slices"] == len(bearing)  # type: ignore[index]
    wide = store.wide(columns=["roi_key", "embedding"]).to_pylist()
    np.testing.assert_array_equal(wide[0]["embedding"], values[bearing == roi["largest_slice"]][0])


def test_they_are_added_to_what_is_there_and_done_once(folder: Path, block_means: type[BlockMeans]) -> None:
    before = contents(folder / "store")
    assert reasons(run(folder, *TRIAL, "--dry-run")) == {
        "no embeddings under this specification": 2,
        "awaiting mask": 1,
    }
    document = run(folder, *TRIAL)
    # Begun by the run that stored volumes and features.
    assert (counts(document), document["continued"]) == ((2, 0, 0, 1), 2)
    assert (document["decoded"], appended(document).keys()) == (0, {"embeddings"})
    after = contents(folder / "store")
    assert {name: rows for name, rows in after.items() if name != "embeddings"} == {
        name: rows for name, rows in before.items() if name != "embeddings"
    }
    computed = block_means.embedded
    document = run(folder, *TRIAL)
    assert (counts(document), appended(document), reasons(document)) == (
        (0, 2, 0, 1),
        {},
        {"done": 2, "awaiting mask": 1},
    )
    assert block_means.embedded == computed == len(after["embeddings"])
    status = json.loads(CliRunner().invoke(cli, ["status", "--store", str(folder / "store"), "--json"]).stdout)
    assert contracts.problems_of(status, "commands/status.json") == []
    assert status["cases"]["done"] == 2
    [spec] = [spec for spec in status["specs"] if spec["kind"] == "embedding"]
    assert (spec["rows"], spec["current"], spec["not_for_inference"]) == (computed, True, True)
    newest = FeatureStore(str(folder / "store")).runs().to_pylist()[0]
    assert newest["embedding_spec_id"] == spec["spec_id"]
    assert json.loads(newest["embeddings"])["weights"] == "random:0"


def test_the_largest_slices_alone_and_the_others_later_are_what_all_at_once_are(
    folder: Path, extracted: Path, tmp_path: Path, block_means: type[BlockMeans]
) -> None:
    largest, every = ("--set", "embedding.slices=largest"), ("--only", "embeddings", "--set", "embedding.slices=all")
    first = run(folder, *TRIAL, *largest)
    assert (counts(first), appended(first)) == ((2, 0, 0, 1), {"embeddings": 2})
    assert block_means.embedded == 2
    store = FeatureStore(str(folder / "store"))
    assert store.embeddings(columns=["is_largest"])["is_largest"].to_pylist() == [True, True]
    assert counts(run(folder, *TRIAL, *largest)) == (0, 2, 0, 1)
    assert (done_and_alone(folder), block_means.embedded) == ((2, 2, True), 2)
    shutil.copytree(folder / "store", tmp_path / "raced")
    assert reasons(run(folder, *TRIAL, *every, "--dry-run"))["embedding of the largest slice alone"] == 2
    second = run(folder, *TRIAL, *every)
    assert second["embedding_spec_id"] == first["embedding_spec_id"]
    assert counts(second) == (2, 0, 0, 1)
    assert done_and_alone(folder) == (2, 0, False)
    shutil.copytree(extracted / "store", tmp_path / "at-once")
    computed = block_means.embedded
    extract_json(folder / "archive" / "manifest.csv", tmp_path / "at-once", *TRIAL)
    assert contents(folder / "store")["embeddings"] == contents(tmp_path / "at-once")["embeddings"]
    assert block_means.embedded == 2 * computed
    for slices in (largest, every):
        assert (counts(run(folder, *TRIAL, *slices)), block_means.embedded) == ((0, 2, 0, 1), 2 * computed)

    # What a run that embeds all slices commits that began before the largest were there.
    rows = FeatureStore(str(tmp_path / "at-once")).table("embeddings").read().drop_columns("sequence").to_pylist()
    raced = FeatureStore.open_for_writing(str(tmp_path / "raced"))
    assert raced.table("embeddings").append(rows) == len(rows) - 2
    again = extract_json(folder / "archive" / "manifest.csv", tmp_path / "raced", *TRIAL)
    assert (counts(again), block_means.embedded) == ((0, 2, 0, 1), 2 * computed)


def done_and_alone(folder: Path) -> tuple[int, int, bool]:
    """Return how many cases `status` has as done, how many outlines as of the largest slice alone, and whether it says so."""
    command = ["status", "--store", str(folder / "store")]
    document = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert contracts.problems_of(document, "commands/status.json") == []
    alone = sum(spec["largest_alone"] for spec in document["specs"])
    return document["cases"]["done"], alone, "by the largest slice alone" in CliRunner().invoke(cli, command).stdout


def test_a_new_archive_is_extracted_and_embedded_in_one_run(tmp_path: Path, block_means: type[BlockMeans]) -> None:
    tiny_archive(tmp_path / "archive", 2)
    document = run(tmp_path, *TRIAL)
    assert (counts(document), reasons(document), document["continued"]) == ((2, 0, 0, 0), {"new case": 2}, 0)
    assert appended(document)["embeddings"] == block_means.embedded > 2
    arguments = ["extract", str(tmp_path / "archive" / "manifest.csv"), "--store", str(tmp_path / "store"), *TRIAL]
    told = CliRunner().invoke(cli, [*arguments, "--workers", "0"]).output
    assert "Embeddings of untrained weights (random:0): not for inference" in told


def test_embeddings_alone_read_no_source(folder: Path, block_means: type[BlockMeans]) -> None:
    for path in (folder / "archive").glob("*.gz"):
        path.write_bytes(b"whoever reads this notices")
    assert reasons(run(folder, *TRIAL, "--only", "embeddings", "--dry-run")) == {
        "no embeddings under this specification": 2,
        "awaiting mask": 1,
    }
    document = run(folder, *TRIAL, "--only", "embeddings")
    assert (counts(document), appended(document).keys()) == ((2, 0, 0, 1), {"embeddings"})
    assert (counts(run(folder, *TRIAL, "--only", "embeddings")), block_means.embedded) == (
        (0, 2, 0, 1),
        appended(document)["embeddings"],
    )


def test_embeddings_alone_of_what_was_never_extracted_are_told_as_failed(
    folder: Path, block_means: type[BlockMeans]
) -> None:
    rows = tiny_archive(folder / "archive", 4)
    write_rows(folder / "archive" / "manifest.csv", rows)
    document = run(folder, *TRIAL, "--only", "embeddings", code=3)
    assert counts(document) == (2, 0, 2, 0)
    assert document["failures"] == [{"stage": "embedding", "kind": "not_extracted", "cases": 2}]
    assert FeatureStore(str(folder / "store")).failures().num_rows == 0
    assert counts(run(folder, *TRIAL)) == (2, 2, 0, 0)


def test_radiomics_alone_need_no_weights(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    document = run(tmp_path, "--only", "radiomics", "--set", "embedding.weights=imagenet")
    assert (appended(document)["radiomics"], document["embedding_spec_id"]) == (1, "")
    arguments = ["extract", str(tmp_path / "archive" / "manifest.csv"), "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(cli, [*arguments, "--only", "embeddings", "--set", "embedding.weights=none"])
    assert isinstance(result.exception, InputError)


def test_two_weights_lie_side_by_side_and_compute_no_features_anew(folder: Path, block_means: type[BlockMeans]) -> None:
    first = run(folder, *TRIAL)
    before = contents(folder / "store")
    second = run(folder, *OTHER)
    assert appended(second) == {"embeddings": appended(first)["embeddings"]}
    after = contents(folder / "store")
    assert after["radiomics"] == before["radiomics"]
    assert len(after["embeddings"]) == 2 * len(before["embeddings"])
    assert all(row in after["embeddings"] for row in before["embeddings"])
    store = FeatureStore(str(folder / "store"))
    with pytest.raises(InputError, match="2 specifications"):
        store.embeddings()
    vectors = [
        store.embeddings(
            columns=["roi_key", "slice_index", "embedding"], spec=str(document["embedding_spec_id"])
        ).to_pylist()
        for document in (first, second)
    ]
    assert all(one["embedding"] != other["embedding"] for one, other in zip(*vectors, strict=True))
    assert appended(run(folder, *TRIAL)) == {}


def test_another_network_lies_beside_the_first_in_lists_of_its_own_length(
    folder: Path, block_means: type[BlockMeans]
) -> None:
    first = run(folder, *TRIAL)
    before = contents(folder / "store")
    other = run(folder, *TRIAL, "--set", "embedding.backbone=torchvision:resnet18")
    assert appended(other) == {"embeddings": appended(first)["embeddings"]}
    assert [document["embeddings"]["backbone"] for document in (first, other)] == [  # type: ignore[index]
        "torchvision:resnet101",
        "torchvision:resnet18",
    ]
    assert all(row in contents(folder / "store")["embeddings"] for row in before["embeddings"])
    store = FeatureStore(str(folder / "store"))
    spec_ids = [str(document["embedding_spec_id"]) for document in (first, other)]
    assert [
        {len(row) for row in store.embeddings(columns=["embedding"], spec=spec_id)["embedding"].to_pylist()}
        for spec_id in spec_ids
    ] == [{2048}, {512}]
    known = store.at(None).specs()
    assert known[spec_ids[0]].content()["backbone"] == {"network": "resnet101", "layer": "avgpool", "values": 2048}
    assert {(found.setting, found.second) for found in differences(known, *spec_ids)} >= {
        ("embedding.backbone.network", '"resnet18"'),
        ("embedding.backbone.values", "512"),
    }


@pytest.mark.parametrize(
    "setting", ["width_hu=100", "level_hu=35", "field=roi", "precision=bfloat16", "weights=random:2"]
)
def test_every_setting_that_moves_a_value_gives_another_specification(setting: str, extracted: Path) -> None:
    ids = {
        run(extracted, "--dry-run", "--only", "embeddings", *TRIAL, "--set", f"embedding.{change}")["embedding_spec_id"]
        for change in ("device=cpu", "batch=3", "compile=true", "margin_mm=3", setting)
    }
    assert len(ids) == 2


def test_a_changed_mask_is_embedded_anew_and_alone(folder: Path, block_means: type[BlockMeans]) -> None:
    run(folder, *TRIAL)
    sitk.WriteImage(tiny_head(0, radius_mm=6.0)[1], str(folder / "archive" / "mask0.nii.gz"))
    document = run(folder, *TRIAL)
    assert (counts(document), document["embeddings"]["rois"]) == ((1, 1, 0, 1), 1)  # type: ignore[index]
    rows = FeatureStore(str(folder / "store")).embeddings(columns=["roi_key", "is_largest"]).to_pylist()
    assert sorted(row["roi_key"] for row in rows if row["is_largest"]) == ["A/000/hematoma/A/1", "A/001/hematoma/A/1"]


def test_what_cannot_be_embedded_is_a_failure_until_it_is_mended(folder: Path, block_means: type[BlockMeans]) -> None:
    store = FeatureStore(str(folder / "store"))
    (row,) = (row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000")
    (folder / "store" / row["path"] / "0/c/0/0/0").write_bytes(b"")
    document = run(folder, *TRIAL, code=3)
    assert counts(document) == (1, 0, 1, 1)
    assert document["failures"] == [{"stage": "embedding", "kind": "volume_damaged", "cases": 1}] or document[
        "failures"
    ] == [{"stage": "embedding", "kind": "volume_missing", "cases": 1}]
    [failure] = store.failures().to_pylist()
    assert (failure["roi_key"], failure["spec_id"]) == ("A/000/hematoma/A/1", document["embedding_spec_id"])
    assert "run extract with --verify-inputs" in failure["message"]
    document = run(folder, *TRIAL, code=3)
    assert (counts(document), appended(document), reasons(document)["failed before, source unchanged"]) == (
        (0, 1, 1, 1),
        {},
        1,
    )
    document = run(folder, *TRIAL, "--retry-failed", code=3)
    assert (counts(document), appended(document)) == ((0, 1, 1, 1), {"failures": 1})
    status = json.loads(CliRunner().invoke(cli, ["status", "--store", str(folder / "store"), "--json"]).stdout)
    assert status["cases"] == {
        "total": 3,
        "done": 1,
        "failed": 1,
        "no_hemorrhage": 0,
        "awaiting_mask": 1,
        "incomplete": 0,
    }
    document = run(folder, *TRIAL, "--verify-inputs")
    assert (counts(document), document["embeddings"]["rois"]) == ((1, 1, 0, 1), 1)  # type: ignore[index]
    assert store.failures().num_rows == 0


def test_values_that_are_not_finite_are_a_failure(
    folder: Path, block_means: type[BlockMeans], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        block_means, "embed", lambda _, batches: (np.full((len(gray), 2048), np.nan) for gray in batches)
    )
    document = run(folder, *TRIAL, code=3)
    assert document["failures"] == [{"stage": "embedding", "kind": "embedding_not_finite", "cases": 2}]
    assert "embeddings" not in appended(document)


def test_weights_of_a_file_travel_through_the_store(
    folder: Path, block_means: type[BlockMeans], tmp_path: Path
) -> None:
    from cvtbatch.embedding import weights

    trained = weights.random_weights.__wrapped__(5)
    file = tmp_path / "of-Jane-Doe.safetensors"
    file.write_bytes(weights.to_bytes(trained).replace(b'"true"', b'"flse"'))
    document = run(folder, "--set", f"embedding.weights={file}")
    assert (document["embeddings"]["weights"], document["embeddings"]["not_for_inference"]) == ("file", False)  # type: ignore[index]
    assert (folder / "store" / "weights" / f"{trained.sha256}.safetensors").is_file()
    file.unlink()
    rows = FeatureStore(str(folder / "store")).embeddings(columns=["weights", "not_for_inference"]).to_pylist()
    assert {(row["weights"], row["not_for_inference"]) for row in rows} == {("file", False)}
    for path in (folder / "store" / "tables").rglob("*"):
        assert not path.is_file() or b"Jane-Doe" not in path.read_bytes()


@pytest.mark.timeout(200)
def test_kills_lose_and_double_nothing(tmp_path: Path, block_means: type[BlockMeans]) -> None:
    """Of two networks whose slices are read together, too."""
    tiny_archive(tmp_path / "archive", 20)
    run(tmp_path)
    shutil.copytree(tmp_path / "store", tmp_path / "undisturbed")

    def both(slices: str) -> str:
        each = f"weights: random:0, batch: 1, device: cpu, slices: {slices}"
        return f"embedding=[{{{each}}}, {{{each}, backbone: torchvision:resnet18}}]"

    extract_json(tmp_path / "archive" / "manifest.csv", tmp_path / "undisturbed", "--set", both("all"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.stand_ins", "cvtbatch.cli", "cvtbatch.pipelines.extraction.extract"])
    command = ["extract", str(tmp_path / "archive" / "manifest.csv"), "--store", str(tmp_path / "store")]
    command += ["--workers", "0", "--set", "run.commit_cases=1"]
    dice = random.Random(3)
    partial = 0
    for slices in ["largest"] * 2 + ["all"] * 4:
        before = files_of(tmp_path / "store")
        driver = context.Process(target=run_with_block_means, args=([*command, "--set", both(slices)],))
        driver.start()
        end = time.monotonic() + 60
        while driver.is_alive() and files_of(tmp_path / "store") == before and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.25))
        driver.kill()
        driver.join()
        done = FeatureStore(str(tmp_path / "store")).table("embeddings").count()
        partial += 0 < done < len(contents(tmp_path / "undisturbed")["embeddings"])
    assert partial >= 2, "the kills fell on nothing"
    assert run(tmp_path, "--set", both("all"))["failed"] == 0
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")


def files_of(store: Path) -> int:
    return sum(1 for _ in (store / "tables" / "embeddings").rglob("*.parquet"))
