"""`agreement` on a store: what two readers' outlines of the same cases have in common, held to what others compute."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner
from sklearn.metrics import cohen_kappa_score

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.errors import InputError
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import fill
from tests.support.second_readers import add_reader, set_mask
from tests.support.store_rows import GRID

FOUND = "blast-ct:1a2b3c4d"
SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
MODELS = ("Rad", "DL", "DLR", "DLRN")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def key(case: str, reader: str) -> str:
    return f"{case}/hematoma/{reader}/1"


def masks(number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    first, second = (rng.uniform(size=(2, *GRID.shape_zyx)) < [[[[0.6]]], [[[0.4]]]]).astype(np.uint8)
    return first, second


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which two methods have outlined cases of C2, and a bundle that is fitted on reader A's outlines of C1."""
    folder = tmp_path_factory.mktemp("agreement")
    store = fill(folder / "store")
    add_reader(store, FOUND, ["C2"], spread=4, most="012", outline_spec_id="out-1a2b3c4d", flags=["auto"])
    add_reader(
        store, "threshold:99aabbcc", ["C2"], most="004", outline_spec_id="out-99aabbcc", flags=["not_for_inference"]
    )
    for number in range(12):
        for reader, mask in zip(("A", FOUND), masks(number), strict=True):
            set_mask(store, key(f"C2/{number:03d}", reader), mask)
    run("fit", "--store", folder / "store", *SETS, "--out", folder / "bundle")
    return folder


@pytest.fixture(scope="module")
def document(archive: Path) -> dict[str, object]:
    text = run(
        "agreement", "--store", archive / "store", "--readers", "A,blast-ct", "--center", "C2", "--bundle", archive / "bundle",
        "--out", archive / "out", "--json",
    )  # fmt: skip
    found: dict[str, object] = json.loads(text)
    assert contracts.problems_of(found, "commands/agreement.json") == []
    assert json.loads((archive / "out" / "agreement.json").read_text(encoding="utf-8")) == found
    assert found["perturbations"] is None
    comparison: dict[str, object] = found["comparison"]
    return comparison


def read_csv(archive: Path, name: str) -> list[dict[str, str]]:
    with (archive / "out" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def values_of(archive: Path, reader: str) -> dict[str, dict[str, object]]:
    rows = FeatureStore(str(archive / "store")).wide(primary_reader=reader).to_pylist()
    return {row["case_key"]: row for row in rows if row["case_key"] in {f"C2/{number:03d}" for number in range(12)}}


def test_the_icc_is_that_of_the_sums_of_squares(archive: Path, document: dict[str, object]) -> None:
    """By McGraw and Wong's formula, written out for two readings; R's values are held in tests/unit/validation."""
    assert (document["kind"], document["first"], document["second"]) == (
        "method-reader", "A, reading 1", f"{FOUND}, reading 1",
    )  # fmt: skip
    assert (document["cases"], document["left_out"]) == (
        12, {"only_first": 2, "only_second": 0, "several_outlines": 0, "further_scans": 0},
    )  # fmt: skip
    first, second = values_of(archive, "A"), values_of(archive, FOUND)
    table = {row["feature"]: row for row in read_csv(archive, "features.csv")}
    names = contracts.feature_names()
    assert list(table) == list(names)
    for name in names[::60]:
        pairs = np.array([[first[case][name], second[case][name]] for case in sorted(first)])
        n, grand = len(pairs), pairs.mean()
        rows = 2 * ((pairs.mean(axis=1) - grand) ** 2).sum() / (n - 1)
        columns = n * ((pairs.mean(axis=0) - grand) ** 2).sum()
        rest = ((pairs - pairs.mean(axis=1)[:, None] - pairs.mean(axis=0) + grand) ** 2).sum() / (n - 1)
        expected = (rows - rest) / (rows + rest + 2 * (columns - rest) / n)
        assert float(table[name]["icc"]) == pytest.approx(expected, rel=1e-9)
        assert float(table[name]["lower"]) <= expected <= float(table[name]["upper"])
        assert (table[name]["class"], table[name]["n"]) == (name.split("_")[1], "12")
    weak = [name for name, row in table.items() if not float(row["icc"]) > 0.8]
    assert document["weak_features"] == weak
    assert 0 < len(weak) < len(names)
    used = set(load_bundle(archive / "bundle").model.radiomics)
    assert document["weak_features_in_use"] == [name for name in weak if name in used]
    classes = read_csv(archive, "classes.csv")
    for row in classes:
        own = [float(entry["icc"]) for entry in table.values() if entry["class"] == row["class"]]
        assert float(row["median_icc"]) == pytest.approx(np.median(own))
        assert float(row["share_above_0.80"]) == pytest.approx(np.mean(np.array(own) > 0.8))
    assert sum(int(row["features"]) for row in classes) == len(names)


def test_of_a_patient_s_scans_one_is_compared(archive: Path, tmp_path: Path) -> None:
    shutil.copytree(archive / "store", tmp_path / "store")
    cases = FeatureStore(str(tmp_path / "store")).table("cases")
    known = {row["case_key"]: row for row in cases.current().to_pylist()}
    hours = {"C2/003": 5.0, "C2/004": 2.0, "C2/005": None}
    cases.append(
        [{**known[key], "patient": "P", "onset_to_ct_h": value, "clinical_digest": key} for key, value in hours.items()]
    )
    run(
        "agreement",
        "--store",
        tmp_path / "store",
        "--readers",
        "A,blast-ct",
        "--center",
        "C2",
        "--out",
        tmp_path / "out",
    )
    found = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))["comparison"]
    assert (found["cases"], found["left_out"]["further_scans"]) == (10, 2)
    compared = {row["case_key"] for row in read_csv(tmp_path, "cases.csv")}
    assert compared & hours.keys() == {"C2/004"}


def test_overlap_is_simpleitks_and_volume_bias_that_of_bland_and_altman(
    archive: Path, document: dict[str, object]
) -> None:
    cases = read_csv(archive, "cases.csv")
    measure, shares, volumes = sitk.LabelOverlapMeasuresImageFilter(), [], []
    for number, row in enumerate(cases):
        first, second = masks(number)
        measure.Execute(sitk.GetImageFromArray(first), sitk.GetImageFromArray(second))
        shares.append(measure.GetDiceCoefficient(1))
        volumes.append((float(second.sum()) - float(first.sum())) * 0.5 * 0.5 * 5 / 1000)
        assert (row["case_key"], row["first_roi_key"]) == (f"C2/{number:03d}", key(f"C2/{number:03d}", "A"))
        assert float(row["dice"]) == pytest.approx(shares[-1], rel=1e-12)
    dice = document["dice"]
    assert [dice[name] for name in ("median", "lowest", "highest")] == pytest.approx(  # type: ignore[index]
        [np.median(shares), min(shares), max(shares)]
    )
    mean, spread = np.mean(volumes), np.std(volumes, ddof=1)
    found = document["volume_ml"]
    assert [found[name] for name in ("mean", "low", "high")] == pytest.approx(  # type: ignore[index]
        [mean, mean - 1.959963984540054 * spread, mean + 1.959963984540054 * spread]
    )


def test_scores_and_flips_are_those_of_the_bundle(archive: Path, document: dict[str, object]) -> None:
    bundle, store = load_bundle(archive / "bundle"), FeatureStore(str(archive / "store"))
    cases = read_csv(archive, "cases.csv")
    scored = []
    for reader in ("A", FOUND):
        wide = store.wide(primary_reader=reader).sort_by("roi_key")
        scored.append({row["case_key"]: row for row in bundle.score(wide).to_pylist()})
    flips = 0
    for told in document["scores"]:  # type: ignore[attr-defined]
        model = told["model"].lower()
        pairs = [[side[row["case_key"]][model] for side in scored] for row in cases]
        classes = [[side[row["case_key"]][f"{model}_youden"] for side in scored] for row in cases]
        both = [place for place, pair in enumerate(pairs) if None not in pair]
        flipped = [classes[place][0] != classes[place][1] for place in both]
        assert (told["n"], told["changed_decisions"]) == (len(both), sum(flipped))
        shifts = [pairs[place][1] - pairs[place][0] for place in both]
        assert told["differences"]["mean"] == pytest.approx(np.mean(shifts))
        assert told["largest"] == pytest.approx(np.abs(shifts).max())
        for place, flip in zip(both, flipped, strict=True):
            row = cases[place]
            assert [float(row[f"{told['model']}_{side}"]) for side in ("first", "second")] == pairs[place]
            assert row[f"{told['model']}_flips"] == str(int(flip))
        if isinstance(told["kappa"], float):
            assert told["kappa"] == pytest.approx(cohen_kappa_score(*zip(*(classes[p] for p in both), strict=True)))
        flips += sum(flipped)
    assert [told["model"] for told in document["scores"]] == list(MODELS)  # type: ignore[attr-defined]
    assert flips > 0
    # Epilepsy of case 2 is unknown: no DLRN, and so no flip.
    assert [cases[2][f"DLRN_{part}"] for part in ("first", "second", "flips")] == ["", "", ""]


def test_without_a_bundle_people_are_told_what_the_document_says(archive: Path, tmp_path: Path) -> None:
    command = ("agreement", "--store", archive / "store", "--workers", 0)
    told = run(*command, "--readers", "threshold,A", "--out", tmp_path / "t")
    assert "threshold:99aabbcc, reading 1 against A, reading 1: 4 cases; left out: only second 53" in told
    assert "Not for inference: 4 and 0 outlines" in told
    found = json.loads((tmp_path / "t" / "agreement.json").read_text(encoding="utf-8"))
    assert found["bundle_digest"] is None
    found = found["comparison"]
    assert (found["scores"], found["weak_features_in_use"], found["not_for_inference"]) == ([], [], [4, 0])
    assert "not_computable" in found["dice"]
    weak = found["weak_features"]
    assert f"{len(weak)} of {len(contracts.feature_names())} features have no ICC above 0.80" in told
    methods = json.loads(run(*command, "--readers", "threshold,blast-ct", "--out", tmp_path / "m", "--json"))[
        "comparison"
    ]
    assert (methods["kind"], methods["cases"]) == ("inter-method", 4)
    people = json.loads(run(*command, "--readers", "A,B", "--out", tmp_path / "p", "--json"))["comparison"]
    assert (people["kind"], people["cases"]) == ("inter-reader", 12)


def test_who_cannot_be_compared_is_told_who_is_there(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    for name in ("blast-ct:1", "blast-ct:2"):
        add_reader(store, name, ["C2"], outline_spec_id=name)

    def refused(folder: Path, *arguments: object) -> tuple[str, str]:
        command = ["agreement", "--store", folder / "store", "--out", tmp_path / "out", *arguments]
        error = CliRunner().invoke(cli, [*map(str, command)]).exception
        assert isinstance(error, InputError), error
        return error.kind, error.message

    there = "A, reading 1 (58), B, reading 1 (12), blast-ct:1, reading 1 (14), blast-ct:2, reading 1 (14)"
    assert refused(tmp_path, "--readers", "A,nobody") == (
        "no_such_reader", f"there is no outline of a reader 'nobody'; there are those of {there}",
    )  # fmt: skip
    # A person is nobody's method.
    assert refused(tmp_path, "--readers", "A,blast-ct", "--center", "C1")[0] == "no_such_reader"
    assert refused(tmp_path, "--readers", "A")[0] == refused(tmp_path, "--readers", "A,A")[0] == "not_two_readers"
    kind, message = refused(tmp_path, "--readers", "B,blast-ct:1")
    assert (kind, message.split(" ")[0]) == ("too_few_pairs", "0")
    assert not (tmp_path / "out").exists()
