"""Feature sets of a user's own in the store: PyRadiomics parameter files, each a table of its own."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pyarrow.csv as pa_csv
import pytest
import SimpleITK as sitk
import yaml

import cvtbatch as package
from cvtbatch.errors import InputError, StorageError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.pipelines.extraction.run_record import RunRecord
from cvtbatch.pipelines.extraction.run_report import RunReporter
from cvtbatch.radiomics import load_feature_set
from cvtbatch.radiomics.audit import deviation
from cvtbatch.store import FeatureStore, StoredArray, read_snapshots
from cvtbatch.store.known_rows import Row
from cvtbatch.store.tables import Table
from tests.support.archives import tiny_archive
from tests.support.commands import appended, cvtbatch, extract_json

# As PyRadiomics' exampleCT.yaml and exampleMR_NoResampling.yaml set things; fewer features, and in another order.
CT = {
    "imageType": {"Original": {}, "LoG": {"sigma": [3.0, 5.0]}},
    "featureClass": {"shape": None, "firstorder": [], "glcm": ["JointEntropy", "MCC", "Imc1"]},
    "setting": {
        **{"normalize": False, "interpolator": "sitkBSpline", "resampledPixelSpacing": [2, 2, 2]},
        **{"binWidth": 25, "voxelArrayShift": 1000, "label": 1},
    },
}
MR = {
    "imageType": {"Wavelet": {}, "Original": {}},
    "featureClass": {"glszm": ["ZoneEntropy"], "firstorder": ["Median", "10Percentile"]},
    "setting": {
        **{"normalize": True, "normalizeScale": 100, "interpolator": "sitkBSpline", "resampledPixelSpacing": None},
        **{"preCrop": True, "binWidth": 5, "voxelArrayShift": 300},
    },
}
KEYS = 19
MEAN = "original_firstorder_Mean"


def write(path: Path, parameters: object) -> Path:
    path.write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases in a store, first without sets and then with two, which are computed by themselves."""
    folder = tmp_path_factory.mktemp("sets")
    tiny_archive(folder / "archive", 2)
    extract_json(folder / "archive" / "manifest.csv", folder / "store")
    files = [write(folder / f"{name}.yaml", parameters) for name, parameters in (("ct", CT), ("MR", MR))]
    document = _extract(folder, *files)
    assert document["plan"] == [{"reason": "no features under this specification", "cases": 2}]
    assert appended(document) == {"features_ct": 2, "features_MR": 2}
    assert (document["decoded"], document["computed"]) == (0, 2)
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(folder, tmp_path / "sets"))


def _extract(folder: Path, *params: object, code: int = 0, audit: float = 0) -> dict[str, object]:
    arguments = [argument for file in params for argument in ("--params", file)] + ["--audit", audit]
    return extract_json(folder / "archive" / "manifest.csv", folder / "store", *arguments, code=code)


def _store(folder: Path) -> FeatureStore:
    return FeatureStore(str(folder / "store"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the way in which PyRadiomics loads its classes
@pytest.mark.parametrize("name", ["ct", "MR"])
def test_values_are_those_of_the_file_on_the_stored_grid(folder: Path, name: str) -> None:
    """To the last bit those of `extract_features`, and stock PyRadiomics' within the contract."""
    file, archive = folder / f"{name}.yaml", folder / "archive"
    rows = _store(folder).features(name)
    columns = list(load_feature_set(file).names())
    assert rows.column_names[KEYS:] == columns
    assert rows.column_names[:KEYS] == _store(folder).radiomics().column_names[:KEYS]
    row = rows.to_pylist()[0]
    number = int(row["case_id"])
    values = package.extract_features(
        archive / f"ct{number}.nii.gz", archive / f"mask{number}.nii.gz", params=file, grid="stored"
    )
    assert {column: row[column] for column in columns} == values
    ct, mask = _stored(_store(folder), row["roi_key"])
    featureextractor = pytest.importorskip("radiomics.featureextractor", reason="the extra stock is not installed")
    stock = featureextractor.RadiomicsFeatureExtractor(str(file)).execute(sitk.Cast(ct, sitk.sitkFloat64), mask)
    stock = {column: float(value) for column, value in stock.items() if not column.startswith("diagnostics")}
    assert list(stock) == columns
    assert max(deviation(row[column], stock[column]) for column in columns) <= 1


def _stored(store: FeatureStore, roi_key: str) -> tuple[sitk.Image, sitk.Image]:
    [roi] = store.rois(where=f"roi_key = '{roi_key}'").to_pylist()
    [volume] = [row for row in store.current("volumes").to_pylist() if row["case_key"] == roi["case_key"]]
    grid = Grid(
        tuple(volume["size_xyz"]), tuple(volume["spacing_mm"]), tuple(volume["origin_mm"]), tuple(volume["direction"])
    )
    arrays = (store.read_array(StoredArray(row["path"], row["checksum"])) for row in (volume, roi))
    ct, mask = (to_image(array, grid) for array in arrays)
    return ct, mask


def test_what_is_there_is_done_and_a_run_without_sets_leaves_them(folder: Path) -> None:
    assert _extract(folder, folder / "ct.yaml", folder / "MR.yaml")["already_done"] == 2
    document = _extract(folder)
    assert (document["already_done"], document["feature_sets"]) == (2, {})


def test_a_set_needs_no_file_later(folder: Path) -> None:
    store = _store(folder)
    field = store.features("ct").schema.field("log-sigma-3-0-mm-3D_firstorder_Mean")
    assert field.metadata == {b"feature_class": b"firstorder", b"image_type": b"log-sigma-3-0-mm-3D"}
    units = (store.features(name).schema.field("original_firstorder_Median").metadata for name in ("ct", "MR"))
    assert [found.get(b"unit") for found in units] == [b"HU", None]
    some = store.features("ct", columns=["roi_key", "original_glcm_MCC"], where="case_id = '001'")
    assert (some.column_names, some.num_rows) == (["roi_key", "original_glcm_MCC"], 1)
    with pytest.raises(InputError, match="no feature set 'CT'; did you mean 'ct'"):
        store.features("CT")
    [of_set] = store.features("ct")["radiomics_spec_id"].unique().to_pylist()
    with pytest.raises(InputError, match=r"is of feature set ct .* its features are not in radiomics"):
        store.radiomics(spec=of_set)


def test_a_set_makes_a_design_matrix(folder: Path) -> None:
    store = _store(folder)
    x, y, groups = store.X_y("age", "ct", where="original_shape_Sphericity > 0")
    rows = store.features("ct").sort_by("roi_key")
    assert (list(x.columns), list(x.index)) == (rows.column_names[KEYS:], rows["roi_key"].to_pylist())
    assert x["original_glcm_MCC"].tolist() == rows["original_glcm_MCC"].to_pylist()
    assert (y.tolist(), len(groups)) == ([40, 41], 2)
    with pytest.raises(InputError, match=r"features='cd' names none: .* the name of a feature set that the store has"):
        store.X_y("age", "cd")


def test_other_settings_lie_beside_and_other_columns_are_refused(copied: Path) -> None:
    file, store = copied / "ct.yaml", _store(copied)
    write(file, {**CT, "setting": {**CT["setting"], "binWidth": 10}})
    assert appended(_extract(copied, file)) == {"features_ct": 2}
    with pytest.raises(InputError, match=r"differ in radiomics.settings.binWidth: 1?\d.0|2") as raised:
        store.features("ct")
    assert raised.value.kind == "several_specs"
    old, new = sorted(
        (spec for spec in cvt_specs(copied) if spec["feature_set"] == "ct"),
        key=lambda spec: str(spec["spec_id"]) in raised.value.message.split(" and ")[0],
    )
    assert {store.features("ct", spec=str(spec["spec_id"])).num_rows for spec in (old, new)} == {2}
    drift = json.loads(
        cvtbatch(
            "spec", "drift", old["spec_id"], new["spec_id"], "--store", copied / "store", "--json", check=True
        ).stdout
    )
    classes = {row["feature_class"]: (row["features"], row["unchanged"]) for row in drift["classes"]}
    assert classes["shape"] == (14, 14)
    assert classes["glcm"][1] < classes["glcm"][0] == 9
    before = (copied / "store" / "tables" / "features_ct").stat().st_mtime_ns
    write(file, {**CT, "featureClass": {"shape": None}})
    manifest = copied / "archive" / "manifest.csv"
    refused = cvtbatch("extract", manifest, "--store", copied / "store", "--workers", 0, "--params", file)
    assert refused.returncode == 1
    assert (
        "the store has a feature set ct of 77 columns, and the file gives 14: it lacks original_firstorder"
        in refused.stderr
    )
    assert (copied / "store" / "tables" / "features_ct").stat().st_mtime_ns == before
    assert len(cvt_specs(copied)) == 5


def cvt_specs(folder: Path) -> list[dict[str, object]]:
    document = json.loads(cvtbatch("spec", "list", "--store", folder / "store", "--json", check=True).stdout)
    found: list[dict[str, object]] = document["specs"]
    return found


def test_a_set_that_fails_leaves_the_others(copied: Path) -> None:
    """Its failures stand under its own specification, and are tried again by themselves."""
    hard = write(copied / "hard.yaml", {"featureClass": {"shape": None}, "setting": {"minimumROISize": 10**6}})
    soft = write(copied / "soft.yaml", {"featureClass": {"shape": ["Sphericity"]}})
    document = _extract(copied, hard, soft, code=3)
    assert appended(document) == {"features_soft": 2, "failures": 2}
    assert document["failures"] == [{"stage": "radiomics", "kind": "roi_too_small", "cases": 2}]
    of_set = document["feature_sets"]["hard"]  # type: ignore[index]
    assert {row["spec_id"] for row in _store(copied).failures().to_pylist()} == {of_set}
    assert appended(_extract(copied, hard, soft, code=3)) == {}
    assert _extract(copied, soft)["failed"] == 0
    status = json.loads(cvtbatch("status", "--store", copied / "store", "--json", check=True).stdout)
    assert (status["cases"]["done"], status["cases"]["failed"]) == (2, 0)
    assert (status["rows"]["features_soft"], status["rows"].get("features_hard")) == (2, None)
    # A run without the set does not hide that it fails.
    assert status["lacking_sets"] == [{"feature_set": "hard", "cases": 2, "asked_for": False}]


def test_a_set_without_rows_is_named_and_leaves_its_name_to_another_file(copied: Path) -> None:
    """A mistyped file, of which every outline fails: the failure names the set, and the mended file may have other columns."""
    file = write(copied / "new.yaml", {"featureClass": {"shape": None}, "setting": {"minimumROISize": 10**6}})
    manifest, store = copied / "archive" / "manifest.csv", copied / "store"
    told = cvtbatch("extract", manifest, "--store", store, "--workers", 0, "--params", file)
    assert "A/000/hematoma/A/1: feature set new: radiomics: roi_too_small: " in told.stderr
    assert "+ 1 more of feature set new: roi_too_small" in told.stderr
    assert "Of the 2 failed cases 2 lack feature sets alone; all else of them is stored." in told.stdout
    for read in (lambda: _store(copied).features("new"), lambda: _store(copied).X_y("age", "new")):
        with pytest.raises(
            InputError, match="feature set 'new' has no rows yet: a run asked for it, and computed it of no"
        ):
            read()
    write(file, {"featureClass": {"firstorder": ["Mean"]}})
    document = _extract(copied, file)
    assert (appended(document)["features_new"], document["failed"], document["lacking_sets"]) == (2, 0, {})
    assert _store(copied).features("new").column_names[KEYS:] == [MEAN]
    write(file, {"featureClass": {"firstorder": ["Mean"]}, "setting": {"normalize": True}})
    told = cvtbatch("extract", manifest, "--store", store, "--params", file, "--dry-run", check=True)
    assert (
        "feature set new has other settings in the store than in the file (radiomics.settings.normalize: false | true)"
        in told.stderr
    )


def test_a_run_that_stops_between_the_tables_is_continued(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of one set were committed and those of another were not: the next run computes these, and no more."""
    append, file = Table.append, write(copied / "small.yaml", {"featureClass": {"firstorder": ["Mean"]}})

    def full(table: Table, rows: Sequence[Row]) -> int:
        if table.contract.name == "features_second":
            raise StorageError("store_full", "no room")
        return append(table, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Table, "append", full)
        manifest, store = copied / "archive" / "manifest.csv", copied / "store"
        sets = ("--params", f"first={file}", "--params", f"second={file}")
        assert cvtbatch("extract", manifest, "--store", store, "--workers", 0, *sets).returncode == 1
    opened = _store(copied)
    assert (opened.features("first").num_rows, opened.features("second").num_rows) == (2, 0)
    assert appended(_extract(copied, f"first={file}", f"second={file}")) == {"features_second": 2}
    first, second = (opened.features(name, columns=["roi_key", MEAN]).to_pylist() for name in ("first", "second"))
    assert sorted(first, key=str) == sorted(second, key=str)


def test_what_a_killed_run_committed_of_a_set_is_counted(copied: Path) -> None:
    file = write(copied / "small.yaml", {"featureClass": {"firstorder": ["Mean"]}})
    with mock.patch.object(RunRecord, "append_end"), mock.patch.object(RunReporter, "write", return_value=None):
        assert appended(_extract(copied, file)) == {"features_small": 2}
    status = json.loads(cvtbatch("status", "--store", copied / "store", "--json", check=True).stdout)
    assert (status["runs"][0]["state"], status["runs"][0]["committed"]["computed"]) == ("started", 2)


def test_snapshots_exports_and_erasure_know_the_sets(copied: Path) -> None:
    """An erased patient is in no set's table, not even in its history."""
    url, out = copied / "store", copied / "features.csv"
    cvtbatch("snapshot", "create", "before", "--store", url, check=True)
    exported = cvtbatch("export", "features_ct", "--store", url, "--out", out, check=True)
    assert "2 rows" in exported.stdout
    assert pa_csv.read_csv(out).column_names[KEYS:] == _store(copied).features("ct").column_names[KEYS:]
    assert "did you mean 'ct'" in cvtbatch("export", "features_Ct", "--store", url, "--out", out).stderr
    forgotten = cvtbatch("forget", "A/000", "--store", url, "--from-snapshots", "--json", check=True)
    assert json.loads(forgotten.stdout)["rows"]["features_ct"] == 1
    store = _store(copied)
    for name in ("ct", "MR"):
        assert store.features(name)["case_id"].to_pylist() == ["001"]
        assert store.features(name, snapshot="before")["case_id"].to_pylist() == ["001"]
    for file in (url / "tables").rglob("*"):
        assert not file.is_file() or b"A/000" not in file.read_bytes()
    [snapshot] = [found for found in read_snapshots(store) if found.name == "before"]
    assert snapshot.tables["features_ct"].rows == 1
    cvtbatch("snapshot", "verify", "before", "--store", url, check=True)
    cvtbatch("compact", "--store", url, check=True)
    cvtbatch("gc", "--store", url, "--older-than", "0", check=True)
    cvtbatch("snapshot", "verify", "before", "--store", url, check=True)


def test_values_of_a_set_are_audited(copied: Path) -> None:
    pytest.importorskip("radiomics", reason="the extra stock is not installed")
    file = write(copied / "small.yaml", {"featureClass": {"firstorder": ["Mean"], "glcm": ["Contrast"]}})
    document = _extract(copied, file, audit=1)
    assert document["audit"]["rois"] == 2  # type: ignore[index]
    assert set(document["audit"]["largest_deviation"]) == {"firstorder", "glcm"}  # type: ignore[index]


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ("wide={small}", "'wide' cannot name a feature set: wide is the name of a table"),
        ("a.b={small}", "'a.b' cannot name a feature set: a name has 1 to 64 letters"),
        ("labelled={label}", "feature set labelled: setting.label is 2, and in the masks of a store an outline is 1"),
        ("many={many}", "features (limit 10,000)"),
        ("Ct={small}", "the store has a feature set ct, and capitals do not tell tables apart everywhere"),
        ("absent.yaml", "there is no parameter file absent.yaml"),
    ],
)
def test_a_set_that_cannot_be_is_refused_before_any_work(folder: Path, tmp_path: Path, params: str, told: str) -> None:
    shape = {"featureClass": {"shape": ["Sphericity"]}}
    files = {
        "small": write(tmp_path / "small.yaml", shape),
        "label": write(tmp_path / "label.yaml", {**shape, "setting": {"label": 2}}),
        "many": write(tmp_path / "many.yaml", {"imageType": {"LoG": {"sigma": [1 + n / 100 for n in range(200)]}}}),
    }
    runs = len(_store(folder).runs())
    given = params.format(**files)
    manifest, store = folder / "archive" / "manifest.csv", folder / "store"
    refused = cvtbatch("extract", manifest, "--store", store, "--workers", 0, "--params", given)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert len(_store(folder).runs()) == runs
