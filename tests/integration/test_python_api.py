"""`import cvtbatch`: what a notebook does, from a manifest to features and scores, by the values of the command line."""

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import cvtbatch
from cvtbatch import contracts
from cvtbatch.errors import CvtbatchError
from cvtbatch.pipelines.extraction.report import Progress
from tests.support import users_script
from tests.support.archives import tiny_archive, tiny_head, write_rows
from tests.support.parity import skip_without_pyradiomics
from tests.support.paths import ROOT

NO_EMBEDDINGS = {"embedding.weights": "none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an archive of two heads, one of them without its mask's file, and the run that extracted it."""
    folder = tmp_path_factory.mktemp("api")
    rows = tiny_archive(folder / "archive", 2)
    write_rows(folder / "archive" / "manifest.csv", [*rows, {**rows[1], "case_id": "gone", "mask": "gone.nii.gz"}])
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[cvtbatch.Extraction, list[Progress]]:
    told: list[Progress] = []

    def on_progress(progress: Progress) -> None:
        told.append(Progress(progress.total, progress.done, progress.failed, progress.stage))

    manifest = folder / "archive" / "manifest.csv"
    done = cvtbatch.extract(
        manifest, folder / "store", workers=0, settings=NO_EMBEDDINGS, log=folder / "log", on_progress=on_progress
    )
    return done, told


def test_a_run_tells_how_it_goes_and_what_failed(run: tuple[cvtbatch.Extraction, list[Progress]]) -> None:
    done, told = run
    assert contracts.problems_of(done.report.to_document(), "commands/extract.json") == []
    assert (done.report.computed, done.report.failed) == (2, 1)
    assert (told[-1].done, told[-1].total, told[-1].failed) == (3, 3, 1)
    failures = done.failures()
    assert failures.select(["case_key", "stage", "kind"]).to_pylist() == [
        {"case_key": "A/gone", "stage": "mask", "kind": "missing_file"}
    ]
    assert repr(done).startswith(f"<Extraction {done.report.run_id}: 3 cases (2 computed, 1 failed) in ")


def test_a_second_run_has_nothing_to_do_says_what_it_begins_and_what_failed_still_stands(
    folder: Path, run: tuple[cvtbatch.Extraction, list[Progress]], capsys: pytest.CaptureFixture[str]
) -> None:
    again = cvtbatch.extract(
        folder / "archive" / "manifest.csv",
        str(folder / "store"),
        workers=0,
        settings={"embedding": {"weights": "none"}, "run": {"commit_cases": 7}},
        log=folder / "log",
    )
    assert (again.report.already_done, again.report.computed) == (2, 0)
    told = capsys.readouterr().err.splitlines()
    assert (told[0], told[-1]) == ("reading the manifest", "planning")
    assert again.failures()["case_key"].to_pylist() == ["A/gone"]


def test_centres_that_are_perhaps_one_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"center": center, "case_id": "1", "image": "ct0.nii.gz", "mask": ""} for center in ("Aachen", "aachen")]
    manifest = write_rows(folder / "archive" / "twins.csv", rows)
    done = cvtbatch.extract(manifest, folder / "twins", workers=0, settings=NO_EMBEDDINGS, log=folder / "log")
    assert done.report.cases == 2
    assert "\nwarning: the centres 'Aachen', 'aachen' differ by capitals" in capsys.readouterr().err


def _stored(run: tuple[cvtbatch.Extraction, list[Progress]]) -> dict[str, float]:
    [row] = run[0].store.radiomics(where="case_id = '001'").to_pylist()
    return {name: row[name] for name in contracts.feature_names()}


def _bits(values: dict[str, float]) -> list[bytes | None]:
    return [None if math.isnan(value) else np.float64(value).tobytes() for value in values.values()]


def test_features_of_files_and_images_are_those_of_the_store_to_the_last_bit(
    folder: Path, run: tuple[cvtbatch.Extraction, list[Progress]], tmp_path: Path
) -> None:
    stored = _stored(run)
    ct, mask = folder / "archive" / "ct1.nii.gz", folder / "archive" / "mask1.nii.gz"
    found = cvtbatch.extract_features(ct, str(mask))
    assert list(found) == list(contracts.feature_names())
    assert _bits(found) == _bits(stored)
    assert _bits(cvtbatch.extract_features(sitk.ReadImage(str(ct)), sitk.ReadImage(str(mask)))) == _bits(stored)


def test_the_volume_of_a_store_is_made_by_hand_as_resample_volume_says() -> None:
    ct, mask = tiny_head(1)
    hu, outline = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(mask)
    z, y, x = np.argwhere(outline)[0]
    # Metal in air beside the outline, below which a spline swings.
    hu[z - 1 : z + 2, y - 1 : y + 1, x - 6 : x - 3], hu[z - 1 : z + 2, y - 3 : y - 1, x - 6 : x - 3] = -1024, 1500
    ct = sitk.GetImageFromArray(hu)
    ct.CopyInformation(mask)
    resample_volume = cvtbatch.imaging.resample_volume
    placed = resample_volume(mask, interpolator="nearest")
    swinging = resample_volume(ct)
    [by_hand] = re.findall(r"`(sitk\.Clamp\([^`]*)`", str(resample_volume.__doc__))
    stored = eval(by_hand, {"sitk": sitk, "resample_volume": resample_volume, "ct": ct})
    assert sitk.GetArrayViewFromImage(swinging).min() < -1024
    expected = _bits(cvtbatch.extract_features(ct, mask))
    assert _bits(cvtbatch.radiomics.extract_features(stored, placed)) == expected
    assert _bits(cvtbatch.radiomics.extract_features(swinging, placed)) != expected


def test_values_on_the_grid_as_given_say_that_they_are_not_the_stores(
    folder: Path, run: tuple[cvtbatch.Extraction, list[Progress]]
) -> None:
    ct, mask = tiny_head(1)
    with pytest.warns(cvtbatch.GivenGridWarning, match="not those that a store holds"):
        given = cvtbatch.extract_features(ct, mask, grid="given")
    assert given == pytest.approx(cvtbatch.radiomics.extract_features(ct, mask), abs=0, nan_ok=True)
    assert _bits(given) != _bits(_stored(run))


def test_an_outline_on_other_voxels_than_the_images_is_told() -> None:
    """It lies within the head, and may be another patient's."""
    ct, mask = tiny_head(1)
    thinner = sitk.Resample(
        mask,
        [64, 64, 23],
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        mask.GetOrigin(),
        (1, 1, 2.5),
        mask.GetDirection(),
    )
    with pytest.warns(cvtbatch.OtherGridWarning, match="make sure that it is this image's"):
        cvtbatch.extract_features(ct, thinner)


def test_a_parameter_file_is_computed_as_pyradiomics_does(tmp_path: Path) -> None:
    skip_without_pyradiomics()
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    params, (ct, mask) = tmp_path / "params.yaml", tiny_head(1)
    params.write_text(
        "imageType: {Original: {}}\nfeatureClass: {firstorder: [Mean, Entropy]}\nsetting: {binWidth: 7}\n"
    )
    files = [str(tmp_path / name) for name in ("ct.nii.gz", "mask.nii.gz")]
    for image, file in zip((ct, mask), files, strict=True):
        sitk.WriteImage(image, file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = RadiomicsFeatureExtractor(str(params), additionalInfo=False).execute(*files)
    stock = {name: float(value) for name, value in found.items()}
    assert cvtbatch.extract_features(*files, params=params) == pytest.approx(stock, rel=1e-9)
    assert cvtbatch.extract_features(ct, mask, params=str(params)) == pytest.approx(stock, rel=1e-9)
    on_stored_grid = cvtbatch.extract_features(ct, mask, params=params, grid="stored")
    assert on_stored_grid["original_firstorder_Mean"] != pytest.approx(stock["original_firstorder_Mean"])


CT, MASK = tiny_head(1)
MOVED = sitk.Image(MASK)
MOVED.SetOrigin((500.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "told"),
    [
        (("ct.nii.gz", MASK), {}, "missing_file", "^ct: there is no file or folder"),
        ((CT, "mask.nii.gz"), {}, "missing_file", "^mask: there is no file or folder"),
        ((sitk.GetArrayFromImage(CT), MASK), {}, "no_geometry", "^ct is an array, which says nothing of spacing"),
        ((CT, None), {}, "bad_argument", "^mask is a path or a SimpleITK image, not a NoneType"),
        ((CT, MOVED), {}, "mask_outside_image", "drawn on this series"),
        ((CT, MOVED), {"grid": "given"}, "grid_mismatch", "differ in origin"),
        ((CT, MASK), {"grid": "as given"}, "bad_argument", "give 'stored' or 'given'"),
        ((CT, MASK), {"engine": "slow"}, "bad_argument", "give 'fast' or 'pyradiomics'"),
        ((CT, MASK), {"profile": 5}, "bad_argument", "not a int"),
        ((CT, MASK), {"params": 5}, "bad_argument", "params is the path of a PyRadiomics parameter file, .*not a int"),
        ((CT, MASK), {"params": {"setting": {}}}, "bad_argument", "not a dict"),
        (
            (CT, MASK),
            {"params": "a.yaml", "profile": "onekey-1834"},
            "bad_argument",
            "profile and params are both given",
        ),
        ((CT, MASK), {"params": ROOT}, "no_parameter_file", "is a folder: name the parameter file in it"),
        ((ROOT, MASK), {"grid": "given"}, "bad_argument", 'a folder is read with grid="stored" alone'),
        ((CT, MASK), {"grid": "given", "segment": "x"}, "bad_argument", 'with grid="stored" alone'),
    ],
)
@pytest.mark.filterwarnings("ignore::cvtbatch.GivenGridWarning")
def test_wrong_images_are_refused(
    arguments: tuple[object, object], options: dict[str, object], kind: str, told: str
) -> None:
    with pytest.raises(CvtbatchError, match=told) as caught:
        cvtbatch.extract_features(*arguments, **options)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"manifest": "nothing.csv"}, "no_manifest"),
        ({"manifest": 5}, "bad_argument"),
        ({"store": None}, "bad_argument"),
        ({"workers": "many"}, "bad_argument"),
        ({"workers": -1}, "bad_argument"),
        ({"only": "features"}, "bad_argument"),
        ({"job": "nothing.yaml"}, "no_job"),
        ({"settings": {"embeding.weights": "none"}}, "bad_job"),
        ({"settings": {"embedding.weights": object()}}, "bad_argument"),
        ({"settings": ["embedding.weights=none"]}, "bad_argument"),
        ({"settings": {"radiomics.profile": Path("absent.yaml")}}, "no_profile"),
        ({"store": "archive"}, "not_a_store"),
        # Before weights are looked for.
        ({"store": "archive", "settings": {"embedding.weights": "nothing.safetensors"}}, "not_a_store"),
    ],
)
def test_wrong_arguments_of_a_run_are_refused(
    folder: Path, options: dict[str, object], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    known = {
        "manifest": "archive/manifest.csv",
        "store": "store",
        "workers": 0,
        "settings": NO_EMBEDDINGS,
        "log": "log",
    }
    arguments = {**known, **options}
    with pytest.raises(CvtbatchError) as caught:
        cvtbatch.extract(arguments.pop("manifest"), arguments.pop("store"), **arguments)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: cvtbatch.FeatureStore(None), "a store is named by its path or URL, not by a NoneType"),
        (lambda: cvtbatch.imaging.resample_volume("ct.nii.gz"), "image is a SimpleITK image .* not a str"),
        (lambda: cvtbatch.radiomics.audit_features(CT, MASK, "cvt-1834", {}), "feature_set is a FeatureSet, not a str"),
    ],
)
def test_arguments_of_another_kind_are_refused(call: Callable[[], object], told: str) -> None:
    with pytest.raises(CvtbatchError, match=told) as caught:
        call()
    assert caught.value.kind == "bad_argument"


def test_a_users_script_runs_and_is_typed(
    folder: Path, run: tuple[cvtbatch.Extraction, list[Progress]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its types are checked with those of the package (`modules` of mypy in pyproject.toml)."""
    assert (ROOT / "cvtbatch" / "py.typed").exists()
    monkeypatch.chdir(folder)
    found = users_script.work(folder / "archive", folder / "store", ROOT / "tests" / "compat" / "bundle-3")
    assert (found.outlines, found.computed, found.failures) == (2, 0, 1)
    assert found.kind == "missing_column"
    assert found.features == pytest.approx(_stored(run), abs=0, nan_ok=True)
    assert found.columns == ["age", "epilepsy"]
