"""`add-center`: an archive becomes a report in one command, under the bundle's own specifications, and again with nothing to do."""

import json
from pathlib import Path

import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.embedding.weights import random_weights, to_bytes
from cvtbatch.store import FeatureStore
from tests.cohorts import SMALL_JOB
from tests.stand_ins import BlockMeans, block_means  # noqa: F401
from tests.support import tiny_head, write_rows

FIT = (
    *SMALL_JOB,
    "fit.components=8",
    "fit.crossfit_folds=2",
    "fit.forest.trees=10",
    "fit.nested.repeats=0",
)
CPU = ("--set", "embedding.device=cpu")
KINDS = ("CVT", "HP", "HP")


def make_archive(folder: Path, center: str, cases: int) -> Path:
    """Write heads of one centre, a CVT in three with a larger hematoma, and return the manifest."""
    folder.mkdir()
    rows = []
    for number in range(cases):
        kind = KINDS[number % 3]
        seed = number + 1000 * int(center[1:])
        ct, mask = tiny_head(seed, 8.0 + 1.6 * (kind == "CVT") + 0.3 * (number % 5))
        sitk.WriteImage(ct, str(folder / f"ct{number}.nii.gz"))
        sitk.WriteImage(mask, str(folder / f"mask{number}.nii.gz"))
        row: dict[str, object] = {"center": center, "case_id": f"{number:03d}", "etiology": kind, "age": 40 + number}
        row |= {"image": f"ct{number}.nii.gz", "mask": f"mask{number}.nii.gz", "epilepsy": int(number % 4 == 0)}
        rows.append(row)
    return write_rows(folder / "manifest.csv", rows)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def failing(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 1
    return str(result.exception)


@pytest.fixture
def trained(tmp_path: Path, block_means: type[BlockMeans]) -> Path:  # noqa: F811
    """A store with an extracted first centre, a bundle fitted on it, and an archive of a second one."""
    make_archive(tmp_path / "first", "C1", 18)
    make_archive(tmp_path / "second", "C2", 7)
    store, weights = tmp_path / "store", tmp_path / "weights.safetensors"
    weights.write_bytes(to_bytes(random_weights(3)))
    named = ("--set", f"embedding.weights={weights}", *CPU)
    run("extract", tmp_path / "first" / "manifest.csv", "--store", store, "--workers", 0, *named)
    # From here on the store's own copy has to do.
    weights.unlink()
    sets = [argument for value in (*FIT, "cohort.training_centers=[C1]") for argument in ("--set", value)]
    run("fit", "--store", store, *sets, "--out", tmp_path / "bundle")
    return tmp_path


def test_a_centre_is_added_in_one_command_and_a_second_run_does_nothing(trained: Path) -> None:
    command = ("add-center", trained / "second" / "manifest.csv", "--store", trained / "store")
    options = ("--bundle", trained / "bundle", "--out", trained / "report", "--workers", 0, "--json", *CPU)
    # Whatever the job file says of specifications gives way.
    first = json.loads(run(*command, *options, "--set", "radiomics.profile=onekey-1834"))
    assert contracts.problems_of(first, "commands/add-center.json") == []
    for stage in ("extract", "score", "validate"):
        assert contracts.problems_of(first[stage], f"commands/{stage}.json") == []
    assert (first["center"], first["checked"], first["problems"]) == ("C2", 7, [])
    assert first["extract"]["computed"] == first["score"]["scored"] == first["validate"]["cases"] == 7
    page = trained / "report" / "report.html"
    assert first["validate"]["report"] == str(page)
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg") == 7
    assert "Not for inference" in text
    store = FeatureStore(str(trained / "store"))
    assert len(set(store.current("radiomics")["radiomics_spec_id"].to_pylist())) == 1
    assert set(store.current("embeddings")["weights"].to_pylist()) == {"file"}
    before = {name: store.current(name).num_rows for name in ("radiomics", "embeddings", "scores", "explanations")}
    page.unlink()

    again = json.loads(run(*command, *options))
    assert (again["checked"], again["extract"]["already_done"], again["extract"]["computed"]) == (0, 7, 0)
    assert (again["score"]["scored"], again["score"]["already_scored"]) == (0, 7)
    assert again["snapshot"] == first["snapshot"]
    assert page.is_file()
    after = {name: FeatureStore(str(trained / "store")).current(name).num_rows for name in before}
    assert after == before

    refused = [
        (("--set", "embedding.weights=random:1"), "embedding.weights.sha256"),
        (("--set", "embedding.weights=none"), "cannot be none"),
    ]
    for override, says in refused:
        assert says in failing(*command, *options, *override)
    first_center = ("add-center", trained / "first" / "manifest.csv", "--store", trained / "store", *options)
    assert "trained on centre 'C1'" in failing(*first_center)
