"""Perturbed outlines of a store: ICC by feature against an analysis of variance, failures by name, workers as the inline run."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import f_oneway

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.engine import LocalWorkers, open_cluster
from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.manifest import Reading
from cvtbatch.outlining.perturbation import draw_perturbations, perturb
from cvtbatch.pipelines.centers.perturbation_study import PerturbationStudy, study_perturbations
from cvtbatch.radiomics import PROFILES, roi_features
from cvtbatch.store import FeatureStore, StoredArray
from cvtbatch.validation.icc_table import parse_icc_table
from cvtbatch.validation.readers import feature_class
from cvtbatch.validation.values import Estimate, NotComputable
from tests.support.archives import tiny_archive
from tests.support.commands import extract_json
from tests.support.second_readers import add_reader

CASES, COUNT = 5, 3
A1 = Reading("A", 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perturbed")
    tiny_archive(folder, CASES)
    extract_json(folder / "manifest.csv", folder / "store", "--set", "volume.spacing_mm=[1, 1, 5]")
    return folder / "store"


def study(store: Path, workers: int = 0, **changes: object) -> PerturbationStudy:
    given = {"count": COUNT, "reading": A1, "centers": [], "snapshot": None, "spec_ids": [], **changes}
    with open_cluster(LocalWorkers(workers)) as cluster:
        return study_perturbations(str(store), cluster=cluster, **given)


@pytest.fixture(scope="module")
def found(store: Path) -> PerturbationStudy:
    return study(store)


def test_icc_is_that_of_an_analysis_of_variance_of_features_computed_one_by_one(store: Path, found) -> None:
    opened = FeatureStore(str(store))
    volumes = {row["case_key"]: row for row in opened.current("volumes").to_pylist()}
    readings = []
    for roi in sorted(opened.current("rois").to_pylist(), key=lambda row: row["case_key"]):
        volume = volumes[roi["case_key"]]
        hu, mask = (opened.read_array(StoredArray(row["path"], row["checksum"])) for row in (volume, roi))
        grid = Grid(*(tuple(volume[name]) for name in ("size_xyz", "spacing_mm", "origin_mm", "direction")))
        ct = to_image(np.asarray(hu), grid)
        changed = [perturb(mask, hu, grid.spacing_mm[::-1], how) for how in draw_perturbations(roi["roi_key"], COUNT)]
        features = [
            roi_features(ct, to_image(other.astype(np.uint8), grid), PROFILES["cvt-1834"], "fast").values
            for other in changed
        ]
        readings.append([[values[name] for name in contracts.feature_names()] for values in features])
    assert [row.feature for row in found.features] == list(contracts.feature_names())
    values = np.array(readings)
    checked = 0
    for place, row in enumerate(found.features):
        if (values[:, :, place] == values[:, :1, place]).all():
            assert isinstance(row.icc, NotComputable) or row.icc.value == 1
            continue
        if isinstance(row.icc, NotComputable):
            assert np.isnan(values[:, :, place]).any()
            continue
        ratio = f_oneway(*values[:, :, place]).statistic
        assert row.icc.value == pytest.approx((ratio - 1) / (ratio + COUNT - 1), rel=1e-6, abs=1e-9)
        checked += 1
    assert checked > 1700


def test_the_study_tells_what_it_is_of(store: Path, found: PerturbationStudy) -> None:
    assert (found.reading, found.perturbations, found.several_outlines, found.failed) == (A1, COUNT, 0, ())
    assert found.cases == tuple(f"A/{number:03d}" for number in range(CASES))
    assert found.snapshot_digest
    assert found.radiomics_spec_id.startswith("rad-")
    assert all(0.7 < share < 1 for share in found.dice)
    by_name = {row.feature: row.icc for row in found.features}
    surface, mean = by_name["original_shape_MeshVolume"], by_name["original_firstorder_90Percentile"]
    assert isinstance(surface, Estimate)
    assert isinstance(mean, Estimate)
    assert surface.value <= 1
    assert surface.interval.low < surface.value < surface.interval.high


def test_the_command_writes_the_study_of_one_reader_as_a_table_that_a_fit_takes(
    store: Path, found: PerturbationStudy, tmp_path: Path
) -> None:
    command = ["agreement", "--store", store, "--readers", "A", "--perturbations", COUNT, "--snapshot", found.snapshot]
    result = CliRunner().invoke(cli, [*map(str, command), "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/agreement.json") == []
    assert json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8")) == document
    assert (document["comparison"], document["specs"]) == (None, [found.radiomics_spec_id])
    told = document["perturbations"]
    names = ("reader", "reading", "perturbations", "cases", "several_outlines", "failed")
    assert [told[name] for name in names] == ["A", 1, COUNT, CASES, 0, []]
    icc = [None if isinstance(row.icc, NotComputable) else row.icc.value for row in found.features]
    table = (tmp_path / "out" / "perturbed_features.csv").read_bytes()
    assert parse_icc_table(table, contracts.feature_names()).icc == tuple(icc)
    weak = [row.feature for row, value in zip(found.features, icc, strict=True) if value is None or value <= 0.8]
    assert 0 < len(weak) < len(icc)
    assert told["weak_features"] == weak
    with (tmp_path / "out" / "perturbed_classes.csv").open(encoding="utf-8", newline="") as file:
        classes = {row["class"]: row for row in csv.DictReader(file)}
    for name, row in classes.items():
        own = [
            v for f, v in zip(found.features, icc, strict=True) if v is not None and feature_class(f.feature) == name
        ]
        assert float(row["median_icc"]) == pytest.approx(np.median(own))
    assert not (tmp_path / "out" / "features.csv").exists()


def test_two_readers_are_compared_and_the_first_ones_outlines_perturbed(
    store: Path, found: PerturbationStudy, tmp_path: Path
) -> None:
    shutil.copytree(store, tmp_path / "store")
    method = "blast-ct:1a2b3c4d"
    add_reader(
        FeatureStore.open_for_writing(str(tmp_path / "store"), existing=True), method, ["A"], outline_spec_id="o"
    )
    command = ["agreement", "--store", tmp_path / "store", "--readers", "A,blast-ct", "--perturbations", 2]
    result = CliRunner().invoke(cli, [*map(str, command), "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/agreement.json") == []
    compared, perturbed = document["comparison"], document["perturbations"]
    assert (compared["kind"], compared["second"], compared["cases"]) == ("method-reader", f"{method}, reading 1", CASES)
    # The method's masks are A's own, its features are moved.
    assert compared["dice"] == {"n": CASES, "median": 1, "lowest": 1, "highest": 1}
    assert (perturbed["reader"], perturbed["perturbations"], perturbed["cases"]) == ("A", 2, CASES)
    tables = {path.name for path in (tmp_path / "out").iterdir()}
    assert tables == {
        *("agreement.json", "features.csv", "classes.csv", "cases.csv"),
        *("perturbed_features.csv", "perturbed_classes.csv"),
    }


def test_workers_find_what_the_inline_run_finds(store: Path, found: PerturbationStudy) -> None:
    assert study(store, workers=1, snapshot=found.snapshot) == found


def test_a_damaged_outline_is_named_and_no_part_of_the_study(
    store: Path, found: PerturbationStudy, tmp_path: Path
) -> None:
    roi = FeatureStore(str(store)).current("rois").to_pylist()[0]
    chunk = max(
        (path for path in (store / roi["path"]).rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-4] + bytes(4))
    command = ["agreement", "--store", store, "--readers", "A", "--perturbations", 2, "--out", tmp_path / "out"]
    try:
        damaged = study(store)
        told = CliRunner().invoke(cli, [*map(str, command)])
    finally:
        chunk.write_bytes(whole)
    assert told.exit_code == 3
    assert f"{roi['roi_key']}: {damaged.failed[0].kind}: " in told.stderr
    assert f"A, reading 1, perturbed 2 times: {CASES - 1} cases" in told.stdout
    assert "features have no ICC above 0.80, the weakest " in told.stdout
    assert [failure.roi_key for failure in damaged.failed] == [roi["roi_key"]]
    assert damaged.failed[0].kind in {"array_damaged", "checksum_mismatch", "store_damaged", "volume_damaged"}
    assert damaged.cases == tuple(case for case in found.cases if case != roi["case_key"])


def test_what_cannot_be_studied_is_refused(store: Path, found: PerturbationStudy) -> None:
    with pytest.raises(InputError, match="1 perturbations"):
        study(store, count=1)
    with pytest.raises(InputError, match="0 cases of B, reading 1 have features"):
        study(store, reading=Reading("B", 1))
    with pytest.raises(InputError, match="0 cases of A, reading 1"):
        study(store, centers=["nowhere"])


def test_values_of_another_revision_are_not_compared(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvtbatch.spec.RADIOMICS_REVISION", -1)
    with pytest.raises(InputError, match="another revision") as refused:
        study(store)
    assert refused.value.kind == "other_revision"
