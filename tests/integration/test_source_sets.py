"""Feature sets that are computed on the source's own grid: values as of the files, and what that takes of the sources."""

import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk
import yaml

import cvtbatch as package
from cvtbatch.pipelines.stores.status import read_status
from cvtbatch.radiomics.audit import deviation
from cvtbatch.store import FeatureStore
from tests.support.archives import skulled_archive, tiny_archive
from tests.support.commands import appended, extract_json

# Rounded where an image of integers is resampled, and normalised by the whole image: other values on the stored grid.
PARAMETERS = {
    "imageType": {"Original": {}, "Wavelet": {}},
    "featureClass": {"shape": None, "firstorder": None, "glcm": ["JointEntropy", "Imc1"]},
    "setting": {"binWidth": 5, "resampledPixelSpacing": [1.5, 1.5, 3], "voxelArrayShift": 300},
}
WHOLE = {"featureClass": {"firstorder": ["Mean"]}, "setting": {"normalize": True, "preCrop": True}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases in a store, without sets: the mask of one runs the other way, that of the other has its own grid."""
    folder = tmp_path_factory.mktemp("source")
    tiny_archive(folder / "archive", 2)
    for number, change in enumerate((_turned, _finer)):
        path = str(folder / "archive" / f"mask{number}.nii.gz")
        sitk.WriteImage(change(sitk.ReadImage(path)), path)
    for name, parameters in (("own", PARAMETERS), ("whole", WHOLE)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False))
    extract_json(folder / "archive" / "manifest.csv", folder / "store")
    return folder


def _turned(mask: sitk.Image) -> sitk.Image:
    return sitk.Flip(mask, (True, False, True))


def _finer(mask: sitk.Image) -> sitk.Image:
    return sitk.Expand(mask, (2, 2, 1), sitk.sitkNearestNeighbor)


def _files(folder: Path) -> tuple[sitk.Image, sitk.Image]:
    """Image and mask of the first case, on one grid."""
    ct, mask = (sitk.ReadImage(str(folder / "archive" / f"{name}0.nii.gz")) for name in ("ct", "mask"))
    return ct, _turned(mask)


def _extract(folder: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    return extract_json(folder / "archive" / "manifest.csv", folder / "store", *arguments, code=code)


def _values(folder: Path, name: str) -> dict[str, dict[str, float]]:
    store = FeatureStore(str(folder / "store"))
    names = store.features_of(name).features
    return {row["case_id"]: {column: row[column] for column in names} for row in store.features(name).to_pylist()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the way in which PyRadiomics loads its classes
def test_values_are_those_of_the_files_as_they_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit those of `extract_features`, and stock PyRadiomics' within the contract; the outlines are stored before."""
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    sets = [argument for name in ("own", "whole") for argument in ("--source-params", copied / f"{name}.yaml")]
    featureextractor = pytest.importorskip("radiomics.featureextractor", reason="the extra stock is not installed")
    monkeypatch.setattr("cvtbatch.radiomics.check_stock", lambda _: None)  # which takes seconds
    document = _extract(copied, *sets, "--audit", 1, code=3)
    assert appended(document) == {"features_own": 1, "features_whole": 1, "failures": 2}
    assert (document["decoded"], document["failed"], document["audit"]["rois"]) == (2, 1, 2)  # type: ignore[index]
    ct, mask = _files(copied)
    for name in ("own", "whole"):
        assert _values(copied, name) == {"000": package.extract_features(ct, mask, params=copied / f"{name}.yaml")}
    stock = featureextractor.RadiomicsFeatureExtractor(str(copied / "own.yaml")).execute(ct, mask)
    own = _values(copied, "own")["000"]
    assert list(own) == [column for column in stock if not column.startswith("diagnostics")]
    assert max(deviation(value, float(stock[column])) for column, value in own.items()) <= 1


def test_one_run_over_all_gives_the_same_rows(folder: Path, tmp_path: Path) -> None:
    """A new case has its sources at hand; what fails does so for the set alone, and stands until it is tried again."""
    copied = Path(shutil.copytree(folder, tmp_path / "copied", ignore=shutil.ignore_patterns("store")))
    given = ("--source-params", copied / "own.yaml", "--params", f"stored={copied / 'own.yaml'}")
    document = _extract(copied, *given, code=3)
    assert appended(document)["features_own"] == 1
    assert appended(document)["features_stored"] == appended(document)["radiomics"] == 2
    assert document["failures"] == [{"stage": "radiomics", "kind": "grid_mismatch", "cases": 1}]
    [failure] = FeatureStore(str(copied / "store")).failures().to_pylist()
    assert failure["spec_id"] == document["feature_sets"]["own"]  # type: ignore[index]
    assert (
        "has 128 x 128 x 12 voxels from [-32.25, -32.25, -30.0] mm (LPS), the image 64 x 64 x 12" in failure["message"]
    )
    own, stored = _values(copied, "own"), _values(copied, "stored")
    assert own["000"] == package.extract_features(*_files(copied), params=copied / "own.yaml")
    assert own["000"].keys() == stored["000"].keys()
    assert own["000"]["original_shape_MeshVolume"] != stored["000"]["original_shape_MeshVolume"]
    for again in ((), ("--verify-inputs",)):
        document = _extract(copied, *given, *again, code=3)
        assert (appended(document).get("features_own"), document["failed"]) == (None, 1)


def test_outlines_that_a_method_finds_have_no_source(tmp_path: Path) -> None:
    """They lie on the stored grid: such a set is of drawn outlines alone, and a case without it is done."""
    skulled_archive(tmp_path / "archive", 1)
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"featureClass": {"firstorder": ["Mean"]}}))
    found = ("--set", "outline.method=threshold")
    document = _extract(tmp_path, *found, "--source-params", file, "--params", f"stored={file}")
    assert (appended(document)["features_stored"], document["computed"]) == (1, 1)
    assert "features_own" not in appended(document)
    assert read_status(str(tmp_path / "store"))["cases"]["done"] == 1  # type: ignore[index]


def test_a_name_stands_for_one_set(folder: Path) -> None:
    file = folder / "own.yaml"
    with pytest.raises(package.CvtbatchError, match=r"'own' cannot name a feature set: the job has another set own"):
        package.extract(
            folder / "archive" / "manifest.csv",
            folder / "store",
            workers=0,
            settings={"radiomics.sets": {"own": str(file)}, "radiomics.source_sets": {"own": str(file)}},
        )
