"""`add-center`: an archive becomes a report in one command, under the bundle's own specifications, and again with nothing to do."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.weights import random_weights, to_bytes
from cvtbatch.store import FeatureStore
from tests.support.archives import KINDS, center_archive, skulled_archive, write_rows
from tests.support.cohorts import SMALL_JOB
from tests.support.second_readers import add_reader
from tests.support.stand_ins import BlockMeans, standing_in

pytestmark = pytest.mark.usefixtures("blank_figures")

FIT = (
    *SMALL_JOB,
    "fit.components=8",
    "fit.crossfit_folds=2",
    "fit.forest.trees=10",
    "fit.nested.repeats=0",
)
CPU = ("--set", "embedding.device=cpu")
# Not the default, which a job has that names none.
NETWORK = "torchvision:resnet18"
# Of neither profile, and with PyRadiomics' own default where it is silent.
PARAMETERS = "setting: {binWidth: 8, voxelArrayShift: 300, preCrop: true, padDistance: 10, minimumROISize: 30}"


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def failing(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 1
    return str(result.exception)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with an extracted first centre, a bundle fitted on it, and an archive of a second one."""
    folder = tmp_path_factory.mktemp("add-center")
    with standing_in():
        center_archive(folder / "first", "C1", 18)
        center_archive(folder / "second", "C2", 7)
        store, weights = folder / "store", folder / "weights.safetensors"
        weights.write_bytes(to_bytes(random_weights(3, find_architecture(NETWORK))))
        (folder / "own.yaml").write_text(PARAMETERS, encoding="utf-8")
        named = ("--set", f"embedding.weights={weights}", "--set", f"radiomics.profile={folder / 'own.yaml'}", *CPU)
        named += ("--set", f"embedding.backbone={NETWORK}")
        named += ("--set", "embedding.level_hu=45", "--set", "embedding.field=roi", "--set", "embedding.margin_mm=12")
        run("extract", folder / "first" / "manifest.csv", "--store", store, "--workers", 0, *named)
        # From here on the store's own copy has to do.
        weights.rename(folder / "kept.safetensors")
        (folder / "own.yaml").unlink()
        sets = [argument for value in (*FIT, "cohort.training_centers=[C1]") for argument in ("--set", value)]
        run("fit", "--store", store, *sets, "--out", folder / "bundle")
        yield folder


def test_a_registry_without_an_outline_comes_to_scores_in_one_command(trained: Path) -> None:
    rows = skulled_archive(trained / "registry", 4, bloodless=[3])
    known = [
        {**row, "etiology": KINDS[number % 3], "epilepsy": number % 2, "age": 50} for number, row in enumerate(rows)
    ]
    manifest = write_rows(trained / "registry" / "manifest.csv", known)
    outlined = ("--set", "outline.method=threshold", "--reader", "threshold")
    command = (
        "add-center",
        manifest,
        "--store",
        trained / "registry-store",
        "--bundle",
        trained / "bundle",
        *outlined,
        *CPU,
    )
    weights = ("--set", f"embedding.weights={trained / 'kept.safetensors'}")
    report = json.loads(run(*command, *weights, "--out", trained / "registry-report", "--workers", 0, "--json"))
    counts = {name: report["extract"][name] for name in ("computed", "no_hemorrhage", "awaiting_mask", "failed")}
    assert counts == {"computed": 3, "no_hemorrhage": 1, "awaiting_mask": 0, "failed": 0}
    store = FeatureStore(str(trained / "registry-store"))
    [reader] = set(store.current("outlines")["reader"].to_pylist())
    scores = store.current("scores").to_pylist()
    assert len(scores) == 3
    assert {(row["reader"], row["fitted_reader"]) for row in scores} == {(reader, "A")}
    assert all(row["roi_key"].split("/")[-2] == reader for row in scores)
    assert f"applied to {reader}" in (trained / "registry-report" / "report.html").read_text(encoding="utf-8")


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
    embeddings = store.current("embeddings").to_pylist()
    assert {row["weights"] for row in embeddings} == {"file"}
    assert {len(row["embedding"]) for row in embeddings} == {512}
    # Of the first centre's hematomas all slices, of the second's what the bundle takes.
    assert [row["is_largest"] for row in embeddings if row["center"] == "C2"] == [True] * 7
    assert sum(not row["is_largest"] for row in embeddings if row["center"] == "C1") > 18
    before = {name: store.current(name).num_rows for name in ("radiomics", "embeddings", "scores", "explanations")}
    page.unlink()

    again = json.loads(run(*command, *options))
    assert (again["checked"], again["extract"]["already_done"], again["extract"]["computed"]) == (0, 7, 0)
    assert (again["score"]["scored"], again["score"]["already_scored"]) == (0, 7)
    assert again["snapshot"] == first["snapshot"]
    assert page.is_file()
    after = {name: FeatureStore(str(trained / "store")).current(name).num_rows for name in before}
    assert after == before

    add_reader(FeatureStore.open_for_writing(str(trained / "store"), existing=True), "B", ["C2"])
    other = json.loads(run(*command, *options, "--reader", "B"))
    assert (other["score"]["fitted_reader"], other["score"]["reader"], other["score"]["scored"]) == ("A", "B", 7)
    assert (other["validate"]["reader"], other["validate"]["cases"]) == ("B", 7)
    assert (first["score"]["others"], other["score"]["others"]) == ({}, {"A, reading 1": 7})
    written = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    assert written["others"] == [{"reader": "A, reading 1", "outlines": 7, "shared": 7}]
    assert "there, and not scored here: 7 outlines by A, reading 1" in page.read_text(encoding="utf-8")
    assert "Fitted on A, reading 1, applied to B, reading 1" in page.read_text(encoding="utf-8")

    refused = [
        (("--set", "embedding.weights=random:1"), "embedding.weights.sha256"),
        (("--set", "embedding.weights=none"), "cannot be none"),
    ]
    for override, says in refused:
        assert says in failing(*command, *options, *override)
    first_center = ("add-center", trained / "first" / "manifest.csv", "--store", trained / "store", *options)
    assert "trained on centre 'C1'" in failing(*first_center)

    _check_a_missing_file(trained, command, options)

    values = FeatureStore(str(trained / "store")).wide(spec=spec_ids(trained / "bundle"))
    own = values.filter(pc.equal(values["center"], "C2")).sort_by("roi_key")
    _check_an_empty_store(trained, own)


def _check_a_missing_file(trained: Path, command: tuple[object, ...], options: tuple[object, ...]) -> None:
    """One file that is not there is a problem of the check and a failure of its case; the rest goes its way.

    What its row lacks is told before anything else.
    """
    manifest = trained / "second" / "manifest.csv"
    text = manifest.read_text(encoding="utf-8")
    added = text.splitlines()[1].replace("000", "gone").replace("ct0", "absent").replace("CVT", "")
    manifest.write_text(f"{text}{added}\n", encoding="utf-8")
    result = CliRunner().invoke(cli, [*map(str, command), *(str(option) for option in options if option != "--json")])
    assert result.exit_code == 3, (result.output, result.exception)
    told = result.stdout
    assert result.stderr.startswith(
        "lacking: the bundle needs cvt or etiology to validate: 1 of 8 cases lack it (first: row 8)\n"
    )
    assert "check: 1 case read, 1 problem (missing_file 1)" in told
    assert "extract: 0 computed by this run, 7 by earlier runs, of 8; 1 failed" in told
    assert "Centre C2: 7 cases" in told
    manifest.write_text(text, encoding="utf-8")


def spec_ids(bundle: Path) -> list[str]:
    specs = load_bundle(bundle).specs
    return [specs.radiomics_spec_id, specs.embedding_spec_id]


def _check_an_empty_store(trained: Path, expected: pa.Table) -> None:
    """A store that has nothing of the bundle's extracts under its settings all the same, and reports what can be said."""
    command = ("add-center", trained / "second" / "manifest.csv", "--store", trained / "new", "--workers", 0, *CPU)
    options = ("--bundle", trained / "bundle", "--out", trained / "report-new")
    assert "name their file with --set embedding.weights=FILE" in failing(*command, *options)
    given = ("--set", f"embedding.weights={trained / 'kept.safetensors'}")
    old = copy_without_settings(trained / "bundle", trained / "old")
    told = failing(*command, *given, "--bundle", old, "--out", trained / "none")
    assert "the bundle does not carry its settings, and the store does not know" in told
    assert "--job or --set radiomics.profile" in told
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvtbatch.spec.RADIOMICS_REVISION", 99)
        told = failing(*command, *given, *options)
    assert "made at radiomics.engine_revision 1, and this version of cvtbatch" in told
    assert not (trained / "new").exists()

    run(*command, *given, *options)
    values = FeatureStore(str(trained / "new")).wide(spec=spec_ids(trained / "bundle")).sort_by("roi_key")
    for name in (*contracts.feature_names()[::100], "embedding"):
        assert values[name].to_pylist() == expected[name].to_pylist(), name
    runs = json.dumps(FeatureStore(str(trained / "new")).current("runs").to_pylist(), default=str)
    assert '\\"profile\\":\\"parameter file\\"' in runs
    assert "cvtbatch-add-center" not in runs
    written = json.loads((trained / "report-new" / "report.json").read_text(encoding="utf-8"))
    _check_what_lies_outside(written, load_bundle(trained / "bundle"), values)
    # Fewer than 20 cases were trained on.
    assert written["shift"]["features"] == {"not_computable": "the bundle keeps nothing of so few training cases"}
    assert written["baseline_against_training"][0]["variable"] == "cvt"
    assert written["shift"]["support"]["far"]["value"] >= 0
    assert len(written["shift"]["scores"]["rows"]) == 12


def _check_what_lies_outside(written: dict[str, Any], bundle: Bundle, values: pa.Table) -> None:
    """How far a feature lies outside the training range is what its value and the range's ends say."""
    rows, seen = {row["case_key"]: row for row in values.to_pylist()}, 0
    for case in written["cases"]:
        assert set(case["beyond"]) <= set(case["outside"])
        for place, name in enumerate(bundle.model.radiomics):
            value, low, high = rows[case["key"]][name], bundle.model.low[place], bundle.model.high[place]
            end = min((low, high), key=lambda end: abs(value - end))
            expected = 0.0 if low <= value <= high else (value - end) / (high - low)
            assert case["beyond"].get(name, 0.0) == pytest.approx(expected)
            seen += expected != 0
    assert seen
    empty = [row["name"] for row in written["flow"] if row["unrecorded"]]
    assert empty == ["eligible"]


def test_a_bundle_of_two_networks_adds_a_centre_under_both(trained: Path) -> None:
    own = {
        "backbone": NETWORK,
        "weights": str(trained / "kept.safetensors"),
        "level_hu": 45,
        "field": "roi",
        "margin_mm": 12,
        "device": "cpu",
    }
    store, other = trained / "store", {"weights": "random:0", "device": "cpu"}
    networks = ("--set", f"embedding={json.dumps([own, other])}")
    first = trained / "first" / "manifest.csv"
    embedded = run("extract", first, "--store", store, "--only", "embeddings", "--workers", 0, *networks, "--json")
    fused = "+".join(one["spec_id"] for one in json.loads(embedded)["embeddings"])
    sets = [argument for value in (*FIT, "cohort.training_centers=[C1]") for argument in ("--set", value)]
    bundle = trained / "fused"
    run("fit", "--store", store, *sets, "--set", f"fit.embedding_spec={fused}", "--out", bundle)
    command = ("add-center", trained / "second" / "manifest.csv", "--bundle", bundle, "--workers", 0, "--json")
    added = json.loads(run(*command, *CPU, "--store", store, "--out", trained / "fused-report"))
    assert (added["extract"]["embeddings"][1]["weights"], added["score"]["computed"]["dlrn"]) == ("random:0", 7)
    page = (trained / "fused-report" / "report.html").read_text(encoding="utf-8")
    assert f"{NETWORK}, weights file, SHA-256" in page
    assert "licence not known; torchvision:resnet101, weights random:0" in page
    # The largest slice of both is what `wide` has of both.
    rows = FeatureStore(str(store)).wide(
        columns=["case_key", "embedding"], where=pc.field("center") == "C2", spec=fused
    )
    assert [len(values) for values in rows["embedding"].to_pylist()] == [512 + 2048] * 7
    elsewhere = ("--store", trained / "fused-store", "--out", trained / "fused-report-2")
    assert "torchvision:resnet18 are not in this store" in failing(*command, *CPU, *elsewhere)
    one = ("--set", f"embedding.weights={trained / 'kept.safetensors'}")
    assert "the bundle has 2 image networks" in failing(*command, *elsewhere, *one)
    again = json.loads(run(*command, *elsewhere, *networks))
    assert again["score"]["computed"]["dlrn"] == 7
    of_bundle = pc.field("bundle_digest") == again["score"]["bundle_digest"]
    here, there = (
        {row["case_id"]: row["dlrn"] for row in FeatureStore(str(place)).scores(where=of_bundle).to_pylist()}
        for place in (store, trained / "fused-store")
    )
    assert here == there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvtbatch.embedding.backbone.Backbone", BlockMeans)
        image, mask = (trained / "second" / f"{name}0.nii.gz" for name in ("ct", "mask"))
        case = ("predict", image, mask, "--bundle", bundle, "--epilepsy", 1)
        told = {card["name"]: card["score"] for card in json.loads(run(*case, *networks, "--json"))["models"]}
        assert told["DLRN"] == here["000"]
        assert "SHA-256" in failing(*case)


def copy_without_settings(bundle: Path, to: Path) -> Path:
    """Copy a bundle as former versions wrote it."""
    shutil.copytree(bundle, to)
    document = json.loads((to / "bundle.json").read_text(encoding="utf-8"))
    del document["spec_settings"]
    (to / "bundle.json").write_text(json.dumps({**document, "format_version": 1}), encoding="utf-8")
    return to
