"""Several networks in one run: what each sees, that slices are read once for all of them, and that none touches another's rows."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.weights import random_weights
from cvtbatch.errors import InputError
from cvtbatch.pipelines.extraction import embedding_worker
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.archives import tiny_archive
from tests.support.commands import appended, cvtbatch, extract_json
from tests.support.stand_ins import BlockMeans, block_means

__all__ = ["block_means"]

SMALL = {"backbone": "torchvision:mobilenet_v3_small"}
WINDOWS = {"backbone": "torchvision:resnet18", "windows": ["brain", [60, 40], "bone"]}
BOX = {"backbone": "torchvision:r3d_18", "field": "roi", "margin_mm": 5}
TRIAL = {"weights": "random:0", "device": "cpu", "batch": 1}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    tiny_archive(folder, 2)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def extracted(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with volumes and features."""
    store = tmp_path_factory.mktemp("extracted") / "store"
    extract_json(archive, store)
    return store


def run(archive: Path, store: Path, *sections: dict[str, object], code: int = 0, more: tuple[str, ...] = ()) -> dict:  # type: ignore[type-arg]
    """Embed as the sections say, one or several."""
    return extract_json(archive, store, "--set", as_override(*sections), "--only", "embeddings", *more, code=code)


def as_override(*sections: dict[str, object]) -> str:
    given = [TRIAL | section for section in sections]
    return f"embedding={json.dumps(given if len(given) > 1 else given[0])}"


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was read and prepared: outline, preprocessing and part."""
    calls: list[tuple[object, ...]] = []
    genuine = embedding_worker.prepare_slices

    def counted(mask, read, spacing, preprocessing, part):  # type: ignore[no-untyped-def]
        calls.append((mask.tobytes(), preprocessing, part))
        return genuine(mask, read, spacing, preprocessing, part)

    monkeypatch.setattr(embedding_worker, "prepare_slices", counted)
    return calls


def rows_of(store: Path, spec_id: str) -> list[dict[str, object]]:
    return (
        FeatureStore(str(store))
        .embeddings(spec=spec_id)
        .drop_columns(["run_id", "recorded_at", "sequence"])
        .to_pylist()
    )


def copied(store: Path, name: Path) -> Path:
    shutil.copytree(store, name)
    return name


def test_rows_of_three_networks_are_those_of_plain_forward_passes(
    archive: Path, extracted: Path, tmp_path: Path
) -> None:
    import torch
    import torchvision
    from torchvision.transforms import functional

    store = copied(extracted, tmp_path / "store")
    one_case = tmp_path / "manifest.csv"
    header, first, _ = archive.read_text(encoding="utf-8").splitlines()
    one_case.write_text(f"{header}\n{first}\n", encoding="utf-8")
    large = WINDOWS | {"backbone": "torchvision:mobilenet_v3_large"}
    document = run(one_case, store, SMALL, large, BOX | {"backbone": "torchvision:mc3_18"})
    assert contracts.problems_of(document, "commands/extract.json") == []
    opened = FeatureStore(str(store))
    roi, volume = (opened.table(name).current().sort_by("case_key").to_pylist()[0] for name in ("rois", "volumes"))
    mask, hu = (opened.read_array(StoredArray(row["path"], row["checksum"])) for row in (roi, volume))
    bearing = np.flatnonzero(mask.any(axis=(1, 2)))

    def under(level: float, width: float, slices: np.ndarray, side: int) -> torch.Tensor:
        windowed = torch.tensor(np.clip((slices.astype(np.float64) - level + width / 2) / width, 0, 1))
        return functional.resize(windowed, [side, side], antialias=True).float()

    brain = under(40, 80, hu[bearing], 224)
    windows = torch.stack([brain, under(60, 40, hu[bearing], 224), under(600, 2800, hu[bearing], 224)], dim=1)
    box = tuple(slice(max(found.min() - 10, 0), found.max() + 11) for found in np.nonzero(mask.any(axis=0)))
    planes = under(40, 80, hu[bearing[0] : bearing[-1] + 1, box[0], box[1]], 112)
    clip = torch.nn.functional.interpolate(planes[None, None], (16, 112, 112), mode="trilinear").expand(
        -1, 3, -1, -1, -1
    )
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    kinetics = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
    seen = (
        ("mobilenet_v3_small", brain[:, None].expand(-1, 3, -1, -1), imagenet, bearing.tolist()),
        ("mobilenet_v3_large", windows, imagenet, bearing.tolist()),
        ("mc3_18", clip, kinetics, [roi["largest_slice"]]),
    )
    for told, (network, given, (mean, std), index) in zip(document["embeddings"], seen, strict=True):
        model = torchvision.models.get_model(network, weights=None).eval()
        weights = random_weights(0, find_architecture(f"torchvision:{network}"))
        model.load_state_dict({name: torch.tensor(tensor) for name, tensor in weights.tensors.items()}, strict=False)
        model.set_submodule("classifier" if network.startswith("mobile") else "fc", torch.nn.Identity())
        of_channel = (1, 3, *(1,) * (given.ndim - 2))
        with torch.no_grad():
            stock = model((given - torch.tensor(mean).view(of_channel)) / torch.tensor(std).view(of_channel)).numpy()
        rows = [row for row in rows_of(store, told["spec_id"]) if row["roi_key"] == roi["roi_key"]]
        rows.sort(key=lambda row: row["slice_index"])  # type: ignore[arg-type, return-value]
        values = np.array([row["embedding"] for row in rows])
        assert [row["slice_index"] for row in rows] == index
        assert (np.linalg.norm(values - stock, axis=1) / np.linalg.norm(stock, axis=1)).max() <= 1e-5, network
        assert (told["rois"], told["backbone"]) == (1, f"torchvision:{network}")


def test_together_they_give_the_rows_of_each_alone_and_read_slices_once(
    archive: Path, extracted: Path, tmp_path: Path, block_means: type[BlockMeans], prepared: list[tuple[object, ...]]
) -> None:
    sections = ({"backbone": "torchvision:resnet101"}, SMALL, WINDOWS, BOX | {"slices": "largest"})
    together = copied(extracted, tmp_path / "together")
    document = run(archive, together, *sections)
    # Of two outlines: the slices of the first two networks, of the windows, and the box.
    assert len(prepared) == len(set(prepared)) == 2 * 3
    told = document["embeddings"]
    assert document["embedding_spec_id"] == told[0]["spec_id"]
    assert (document["computed"], [one["rois"] for one in told]) == (2, [2, 2, 2, 2])
    alone = copied(extracted, tmp_path / "alone")
    for section, one in zip(sections, told, strict=True):
        single = run(archive, alone, section)
        assert single["embeddings"]["spec_id"] == single["embedding_spec_id"] == one["spec_id"]
        assert rows_of(alone, one["spec_id"]) == rows_of(together, one["spec_id"]) != []
    # All rows of a box are one, that is whole: it pools, and a later run with all slices adds none.
    opened, box = FeatureStore(str(together)), told[3]["spec_id"]
    assert opened.wide(columns=["embedding_area_mean"], spec=[box], pooling=Pooling.AREA_MEAN).num_rows == 2
    assert appended(run(archive, together, *sections[:3], BOX)) == {}
    status = json.loads(CliRunner().invoke(cli, ["status", "--store", str(together), "--json"]).stdout)
    assert contracts.problems_of(status, "commands/status.json") == []
    assert status["cases"]["done"] == 2
    current = {spec["spec_id"] for spec in status["specs"] if spec["kind"] == "embedding" and spec["current"]}
    assert current == {one["spec_id"] for one in told}
    newest = opened.runs().to_pylist()[0]
    assert newest["embedding_spec_id"] == told[0]["spec_id"]
    assert [one["backbone"] for one in json.loads(newest["embeddings"])] == [one["backbone"] for one in told]
    assert [one["slices"] for one in json.loads(newest["job"])["embedding"]] == ["all"] * 4


def test_one_that_is_added_and_one_that_failed_leave_the_others_alone(
    archive: Path, extracted: Path, tmp_path: Path, block_means: type[BlockMeans], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copied(extracted, tmp_path / "store")
    first = run(archive, store, SMALL)
    before, computed = rows_of(store, first["embedding_spec_id"]), block_means.embedded
    plan = run(archive, store, SMALL, WINDOWS, more=("--dry-run",))
    assert plan["plan"] == [{"reason": "no embeddings under this specification", "cases": 2}]
    genuine = block_means.embed

    def broken(self: BlockMeans, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        return (values * np.nan if self.values == 512 else values for values in genuine(self, batches))

    monkeypatch.setattr(block_means, "embed", broken)
    failed = run(archive, store, SMALL, WINDOWS, code=3)
    assert (failed["failed"], [one["rois"] for one in failed["embeddings"]]) == (2, [0, 0])
    status = json.loads(CliRunner().invoke(cli, ["status", "--store", str(store), "--json"]).stdout)
    assert (status["cases"]["failed"], status["cases"]["done"]) == (2, 0)
    monkeypatch.setattr(block_means, "embed", genuine)
    mended = run(archive, store, SMALL, WINDOWS, more=("--retry-failed",))
    assert [one["rois"] for one in mended["embeddings"]] == [0, 2]
    assert FeatureStore(str(store)).failures().num_rows == 0
    assert rows_of(store, first["embedding_spec_id"]) == before
    # What the first network computed, it computed once.
    assert block_means.embedded == 3 * computed


@pytest.mark.parametrize(
    ("sections", "kind", "told"),
    [
        ([SMALL, SMALL], "bad_embeddings", "two sections are one specification, torchvision:mobilenet_v3_small"),
        ([SMALL, WINDOWS | {"device": "auto"}], "bad_embeddings", "name several devices"),
        ([SMALL, WINDOWS | {"windows": ["brain", "bone"]}], "bad_windows", "names 2, and the network has 3"),
        ([SMALL, BOX | {"weights": "imagenet"}], "bad_weights", "torchvision has none for r3d_18: take kinetics"),
    ],
)
def test_sections_that_do_not_go_together_are_refused_before_any_work(
    sections: list[dict[str, object]], kind: str, told: str, archive: Path, extracted: Path
) -> None:
    command = ["extract", str(archive), "--store", str(extracted), "--set", as_override(*sections)]
    error = CliRunner().invoke(cli, [*command, "--only", "embeddings", "--dry-run"]).exception
    assert isinstance(error, InputError)
    assert (error.kind, told in error.message) == (kind, True)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "embedding=[{weigths: none}]",
            "unknown key embedding.0.weigths; the nearest valid one is embedding.0.weights",
        ),
        ("embedding=[]", "[] has 0 entries: at least 1 are wanted"),
        ("embedding.windows=[brian, bone, blood]", "'brian' is not one of brain, blood, subdural, bone"),
        ("embedding.windows=[[40, 0], bone, blood]", "0 is out of range: it has to be above 0"),
    ],
)
def test_what_the_contract_does_not_allow_of_a_list_is_named(override: str, told: str, archive: Path) -> None:
    result = cvtbatch("extract", archive, "--store", archive.parent / "none", "--set", override)
    assert result.returncode != 0
    assert told in result.stderr.replace("\n", " ")
