"""Regions of outlines in a store: their voxels and values, who takes them for outlines (nobody), and how they are kept current."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pa_csv
import pytest
import SimpleITK as sitk
import yaml
from scipy import ndimage
from scipy.spatial.distance import cdist

from cvtbatch import contracts
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.embedding.architectures import DEFAULT
from cvtbatch.errors import InputError, StorageError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.manifest import Reading
from cvtbatch.outlining.skull import Inside, find_inside
from cvtbatch.pipelines.cases import case_inputs
from cvtbatch.pipelines.cases.case_inputs import Network, Recipe, read_inputs
from cvtbatch.pipelines.cases.case_source import CaseSource
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.radiomics import PROFILES, load_feature_set, load_profile
from cvtbatch.radiomics.audit import deviation
from cvtbatch.radiomics.extract import roi_features
from cvtbatch.regions.rules import rules_of
from cvtbatch.store import FeatureStore, StoredArray
from cvtbatch.store.known_rows import Row
from cvtbatch.store.tables import Table
from tests.support.archives import skulled_archive, write_rows
from tests.support.commands import appended, cvtbatch, extract_json, reasons

COARSE = ("--set", "volume.spacing_mm=[2,2,5]")
REGIONS = ("--set", "regions=[rim5,core2,part2]")
SET = {"imageType": {"Original": {}}, "featureClass": {"firstorder": ["Mean", "Entropy"], "glcm": ["Contrast"]}}
CASES, PER_CASE = 2, 3
KEYS = [f"R/{number:03d}/hematoma{suffix}/A/1" for number in range(CASES) for suffix in (".core2", ".rim5", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases in a store, first without regions and then with three of each, which are derived by themselves."""
    folder = tmp_path_factory.mktemp("regions")
    rows = skulled_archive(folder / "archive", CASES)
    for number, row in enumerate(rows):
        row |= {"mask": f"mask{number}.nii.gz", "etiology": "CVT", "age": 50 + number}
    write_rows(folder / "archive" / "manifest.csv", rows)
    (folder / "set.yaml").write_text(yaml.safe_dump(SET), encoding="utf-8")
    extract(folder)
    document = extract(folder, *REGIONS)
    assert reasons(document) == {"no region under this specification": CASES}
    assert appended(document) == {"rois": 4, "regions": 6, "radiomics": 4}
    assert (document["decoded"], document["computed"], document["continued"]) == (0, CASES, CASES)
    told = {name: (found["derived"], found["empty"]) for name, found in dict(document["regions"]).items()}  # type: ignore[call-overload]
    assert told == {"rim5": (2, {}), "core2": (2, {}), "part2": (0, {"no_such_part": 2})}
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(folder, tmp_path / "regions"))


def extract(folder: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    return extract_json(folder / "archive" / "manifest.csv", folder / "store", *COARSE, *arguments, code=code)


def opened(folder: Path) -> FeatureStore:
    return FeatureStore(str(folder / "store"))


def arrays(store: FeatureStore, case_id: str) -> tuple[Grid, dict[str, np.ndarray]]:
    """Return the grid of a case, its voxels under "", and its masks by the names of their ROIs."""
    [volume] = [row for row in store.current("volumes").to_pylist() if row["case_id"] == case_id]
    grid = Grid(*(tuple(volume[name]) for name in ("size_xyz", "spacing_mm", "origin_mm", "direction")))
    rows = {"": volume, **{row["roi"]: row for row in store.rois(where=f"case_id = '{case_id}'").to_pylist()}}
    return grid, {name: store.read_array(StoredArray(row["path"], row["checksum"])) for name, row in rows.items()}


def test_masks_are_those_of_the_rules_by_brute_force(folder: Path) -> None:
    grid, voxels = arrays(opened(folder), "000")
    spacing = grid.spacing_mm[::-1]
    outline = voxels["hematoma"] > 0
    inside = find_inside(voxels[""], spacing)
    assert isinstance(inside, Inside)
    # What lies farther away than a box around it is in no rim.
    near_box = ndimage.binary_dilation(outline, np.ones((3, 7, 7)))
    here, around = np.argwhere(outline), np.argwhere(near_box & ~outline)
    distances = cdist(here * spacing, around * spacing)
    may = [inside.mask_zyx[place] and 0 <= voxels[""][place] <= 80 for place in map(tuple, around)]
    rim = around[(distances.min(axis=0) <= 5) & may]
    assert np.argwhere(voxels["hematoma.rim5"]).tolist() == rim.tolist()
    deep = distances.min(axis=1) > 2
    assert np.argwhere(voxels["hematoma.core2"]).tolist() == here[deep].tolist()
    assert 0 < deep.sum() < len(here)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the way in which PyRadiomics loads its classes
def test_values_are_those_of_the_mask_and_of_stock_pyradiomics(copied: Path) -> None:
    """Of the study's features to the last bit those of the derived mask; a set's are stock PyRadiomics' and audited by it."""
    document = extract(copied, *REGIONS, "--params", copied / "set.yaml", "--audit", 1)
    assert appended(document) == {"features_set": len(KEYS)}
    pytest.importorskip("radiomics", reason="the extra stock is not installed")
    assert document["audit"]["rois"] == len(KEYS)  # type: ignore[index]
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    store, columns = opened(copied), list(load_feature_set(copied / "set.yaml").names())
    of_set = {row["roi_key"]: row for row in store.features("set").to_pylist()}
    study = {row["roi_key"]: row for row in store.radiomics().to_pylist()}
    for case_id in ("000", "001"):
        grid, voxels = arrays(store, case_id)
        ct = to_image(voxels[""], grid)
        for region in ("rim5", "core2"):
            key, mask = f"R/{case_id}/hematoma.{region}/A/1", to_image(voxels[f"hematoma.{region}"], grid)
            values = roi_features(ct, mask, PROFILES["cvt-1834"], "fast").values
            assert all(np.array_equal(study[key][name], value, equal_nan=True) for name, value in values.items())
            stock = RadiomicsFeatureExtractor(str(copied / "set.yaml")).execute(sitk.Cast(ct, sitk.sitkFloat64), mask)
            assert max(deviation(of_set[key][name], float(stock[name])) for name in columns) <= 1
            assert of_set[key]["region"] == study[key]["region"] == region


def test_rows_say_what_a_region_is_of_and_how_much_is_left(folder: Path) -> None:
    store = opened(folder)
    rois = {row["roi_key"]: row for row in store.rois().to_pylist()}
    assert sorted(rois) == sorted(KEYS)
    found = {row["roi_key"]: row for row in store.current("regions").to_pylist()}
    assert len(found) == CASES * PER_CASE
    rim, parent = found["R/000/hematoma.rim5/A/1"], rois["R/000/hematoma/A/1"]
    assert (rim["parent_roi_key"], rim["parent_digest"]) == (parent["roi_key"], parent["input_digest"])
    left = rois[rim["roi_key"]]
    cut = rim["beyond_volume"] + rim["outside_skull"] + rim["outside_window"]
    assert rim["ring_voxels"] - cut == left["voxels"]
    assert rim["share_left"] == pytest.approx(left["voxels"] / rim["ring_voxels"])
    assert (left["input_digest"], left["region"], left["flags"]) == (rim["input_digest"], "rim5", [])
    spec = store.view().specs()[rim["region_spec_id"]]
    assert (spec.kind, spec.parent_id) == ("region", parent["volume_spec_id"])
    assert {name: spec.content()[name] for name in ("region", "rule", "mm", "hu")} == {
        **{"region": "rim5", "rule": "rim", "mm": 5.0, "hu": [0, 80]}
    }
    empty = found["R/001/hematoma.part2/A/1"]
    assert (empty["state"], empty["reason"], empty["ring_voxels"]) == ("empty", "no_such_part", None)
    for name in ("rois", "regions", "radiomics"):
        assert store.current(name).schema == contracts.table(name).arrow()


def test_nobody_takes_a_region_for_an_outline(folder: Path, tmp_path: Path) -> None:
    store, url = opened(folder), folder / "store"
    outlines = [key for key in KEYS if "." not in key]
    assert sorted(store.view().outlines()["roi_key"].to_pylist()) == outlines
    assert dict(read_readings(store.view()).outlines) == {Reading("A", 1): CASES}
    assert sorted(store.wide(columns=["roi_key"])["roi_key"].to_pylist()) == outlines
    assert store.X_y("age")[0].index.tolist() == outlines
    x, y, _ = store.X_y("age", region="rim5")
    assert (x.index.tolist(), y.tolist()) == ([key for key in KEYS if "rim5" in key], [50, 51])
    with pytest.raises(InputError, match="no region hull of an outline of A, reading 1 has features"):
        store.X_y("age", region="hull")
    status = json.loads(cvtbatch("status", "--store", url, "--json", check=True).stdout)
    assert contracts.problems_of(status, "commands/status.json") == []
    assert (status["cases"]["done"], status["cases"]["incomplete"]) == (CASES, 0)
    assert [(row["region"], row["derived"]) for row in status["regions"]] == [("core2", 2), ("part2", 0), ("rim5", 2)]
    pages = cvtbatch("review", "pages", "--store", url, "--out", tmp_path / "pages", "--json", check=True)
    assert json.loads(pages.stdout)["outlines"] == CASES
    cvtbatch("picture", "R/000", "--store", url, "--out", tmp_path / "outline.png", check=True)
    written = cvtbatch("export-case", "R/000", "--store", url, "--manifest", folder / "archive" / "manifest.csv",
        "--out", tmp_path / "case", "--json", check=True)  # fmt: skip
    assert [row["roi"] for row in json.loads(written.stdout)["outlines"]] == ["hematoma"]


def test_a_changed_outline_takes_its_regions_with_it(copied: Path) -> None:
    """Until they are derived anew, regions of what is no more are not current; those of other outlines are left alone."""
    path = str(copied / "archive" / "mask1.nii.gz")
    mask = sitk.ReadImage(path)
    sitk.WriteImage(sitk.BinaryErode(mask, [2, 2, 1]), path)
    extract(copied)
    store = opened(copied)
    of_others = [key for key in KEYS if "001" not in key]
    assert sorted(store.rois()["roi_key"].to_pylist()) == sorted([*of_others, "R/001/hematoma/A/1"])
    assert store.radiomics(columns=["roi_key"]).num_rows == len(of_others) + 1
    document = extract(copied, *REGIONS)
    assert appended(document) == {"rois": 2, "regions": 3, "radiomics": 2}
    assert sorted(store.radiomics(columns=["roi_key"])["roi_key"].to_pylist()) == sorted(KEYS)


def test_a_run_that_stops_between_the_tables_is_continued(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks were committed, and what became of their regions was not: they are nobody's until the next run says it."""
    append, more = Table.append, ("--set", "regions=[hull]")

    def full(table: Table, rows: Sequence[Row]) -> int:
        if table.contract.name == "regions":
            raise StorageError("store_full", "no room")
        return append(table, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Table, "append", full)
        manifest, store = copied / "archive" / "manifest.csv", copied / "store"
        settings = (*COARSE, *more, "--set", "embedding.weights=none")
        stopped = cvtbatch("extract", manifest, "--store", store, "--workers", 0, *settings)
        assert (stopped.returncode, "no room" in stopped.stderr) == (1, True)
    assert opened(copied).rois().num_rows == len(KEYS)
    assert appended(extract(copied, *more)) == {"regions": 2, "radiomics": 2}
    assert opened(copied).rois().num_rows == len(KEYS) + 2


def test_a_lost_mask_is_written_anew_and_a_lost_outline_is_told(copied: Path) -> None:
    store = opened(copied)
    rows = {row["roi_key"]: row for row in store.rois().to_pylist()}
    shutil.rmtree(copied / "store" / rows["R/000/hematoma.rim5/A/1"]["path"])
    assert appended(extract(copied, *REGIONS, "--verify-inputs")) == {"rois": 1}
    arrays(store, "000")
    shutil.rmtree(copied / "store" / rows["R/001/hematoma/A/1"]["path"])
    document = extract(copied, "--set", "regions=[hull]", code=3)
    assert document["failures"] == [{"stage": "region", "kind": "volume_missing", "cases": 1}]
    assert extract(copied)["failed"] == 0, "what is not asked for has not failed"


def test_snapshots_exports_and_erasure_know_regions(copied: Path, tmp_path: Path) -> None:
    url, store = copied / "store", opened(copied)
    cvtbatch("snapshot", "create", "before", "--store", url, check=True)
    frozen = ("--store", url, "--snapshot", "before", "--out")
    cvtbatch("export", "regions", *frozen, tmp_path / "regions.csv", check=True)
    assert pa_csv.read_csv(tmp_path / "regions.csv").num_rows == CASES * PER_CASE
    cvtbatch("export", "wide", *frozen, tmp_path / "wide.csv", "--columns", "roi_key", check=True)
    assert pa_csv.read_csv(tmp_path / "wide.csv").num_rows == CASES
    cvtbatch("forget", "R/000", "--store", url, "--from-snapshots", check=True)
    for name in ("regions", "rois", "radiomics"):
        assert set(store.at("before").rows(name)["case_id"].to_pylist()) == {"001"}
        assert set(store.current(name)["case_id"].to_pylist()) == {"001"}
    for file in (url / "tables").rglob("*"):
        assert not file.is_file() or b"R/000" not in file.read_bytes()
    cvtbatch("snapshot", "verify", "before", "--store", url, check=True)


def test_regions_that_cannot_be_are_refused_before_any_work(folder: Path, copied: Path) -> None:
    manifest, store = folder / "archive" / "manifest.csv", folder / "store"
    refused = cvtbatch("extract", manifest, "--store", store, "--workers", 0, "--set", "regions=[rim5,edge]")
    assert (refused.returncode, "'edge' is no region: there are rim and core" in refused.stderr) == (1, True)
    text = "center,case_id,image,mask,roi\n" + "".join(
        f"R,000,ct0.nii.gz,mask{number}.nii.gz,{roi}\n" for number, roi in enumerate(("hematoma", "hematoma.rim5"))
    )
    (copied / "archive" / "manifest.csv").write_text(text)
    taken = cvtbatch("extract", copied / "archive" / "manifest.csv", "--store", store, "--workers", 0, *REGIONS)
    assert taken.returncode == 1
    assert "row 2, column roi: 'hematoma.rim5' is how regions are named" in taken.stderr


def test_one_case_by_itself_has_the_stores_regions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, names = read_job("extract"), ("rim5", "core2", "part2")
    profile, embedding = load_profile(job.radiomics.profile), job.embeddings[0]
    # Nothing is embedded.
    no_weights: Any = None
    network = Network(embedding.preprocessing(DEFAULT.taken), no_weights, embedding.compute())
    parts = ((network,), Pooling.LARGEST, rules_of(names))
    monkeypatch.setattr(case_inputs, "_embed", lambda *_: np.zeros(3, np.float32))
    source = CaseSource(folder / "archive" / "ct0.nii.gz", folder / "archive" / "mask0.nii.gz")
    own = read_inputs(source, Recipe((2.0, 2.0, 5.0), profile, "fast", *parts))
    stored = opened(folder).wide(regions=names, where="case_id = '000'").to_pylist()[0]
    of_regions = [name for name in own.features if not name.startswith("part2:")]
    assert len(of_regions) == 3 * len(contracts.feature_names())
    assert {name: own.features[name] for name in of_regions} == {name: stored[name] for name in of_regions}
    assert stored["part2:region_spec_id"] is None
    assert all(np.isnan(value) for name, value in own.features.items() if name.startswith("part2:"))
    assert "part2_no_such_part" in own.flags
