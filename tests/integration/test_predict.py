"""`predict`: one case by itself has the values of the store's route, and no number outside the training range."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from click.testing import CliRunner, Result
from scipy.special import expit, logit

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.description import Term, VoteRecalibration
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.embedding.weights import random_weights, to_bytes
from cvtbatch.ingest.writing import SeriesTags, write_mask_file, write_series
from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.cases.case_inputs import CaseInputs, read_inputs, resolve_recipe
from cvtbatch.pipelines.cases.case_source import CaseSource
from cvtbatch.pipelines.cases.predict import Prediction, predict_case
from cvtbatch.pipelines.centers.bundle_facts import training_ranges
from cvtbatch.pipelines.shared import archive_images
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore
from cvtbatch.validation.nomogram import TrainingRange
from cvtbatch.validation.report.card import card_lines
from cvtbatch.validation.values import NotComputable
from tests.support.archives import tiny_head, write_rows
from tests.support.cohorts import SMALLEST_JOB
from tests.support.dicomweb_server import serve_dicomweb
from tests.support.mask_files import ball
from tests.support.stand_ins import BlockMeans, standing_in

Cases = dict[str, dict[str, object]]
CENTERS = {"C1": 18, "C2": 6}
NOT_FOR_CARE = "not for the care of patients"


def _archive(folder: Path) -> Cases:
    """Write heads of two centres, a CVT in three with a larger hematoma, and return the manifest's rows by case_key."""
    folder.mkdir()
    rows: Cases = {}
    for center, count in CENTERS.items():
        for number in range(count):
            cvt = number % 3 == 0
            ct, mask = tiny_head(number + 1000 * int(center[1]), 8.0 + 1.6 * cvt + 0.3 * (number % 5))
            names = {"image": f"ct-{center}-{number}.nii.gz", "mask": f"mask-{center}-{number}.nii.gz"}
            for image, name in zip((ct, mask), names.values(), strict=True):
                sitk.WriteImage(image, str(folder / name))
            key = {"center": center, "case_id": f"{number:03d}"}
            seizure = "" if number == 4 else int(number % 4 == 0)
            told = {"etiology": "CVT" if cvt else "HP", "epilepsy": seizure, "x_third": "abc"[number % 3]}
            rows[f"{center}/{number:03d}"] = {**key, **names, **told}
    write_rows(folder / "manifest.csv", list(rows.values()))
    return rows


def _run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def _given(epilepsy: object) -> dict[str, str]:
    return {} if epilepsy is None else {"epilepsy": str(epilepsy)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with both centres extracted and scored by a bundle of the first one; block means are the backbone throughout."""
    folder = tmp_path_factory.mktemp("predict")
    with standing_in(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvtbatch.embedding.backbone.Backbone", BlockMeans)
        _archive(folder / "archive")
        weights = ("--set", "embedding.weights=random:3")
        _run("extract", folder / "archive" / "manifest.csv", "--store", folder / "store", "--workers", 0, *weights)
        sets = [
            word
            for value in (*SMALLEST_JOB, "fit.firth=true", "cohort.training_centers=[C1]")
            for word in ("--set", value)
        ]
        _run("fit", "--store", folder / "store", *sets, "--out", folder / "bundle")
        _run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--explain")
        yield folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder / "bundle")


@pytest.fixture(scope="module")
def inputs(folder: Path, bundle: Bundle) -> dict[str, CaseInputs]:
    recipe = resolve_recipe(bundle, read_job("extract"), given=False)
    archive = folder / "archive"
    return {
        f"{center}/{number:03d}": read_inputs(
            CaseSource(archive / f"ct-{center}-{number}.nii.gz", archive / f"mask-{center}-{number}.nii.gz"), recipe
        )
        for center, count in CENTERS.items()
        for number in range(count)
    }


def _rows(folder: Path, table: str) -> dict[str, dict[str, object]]:
    return {row["case_key"]: row for row in FeatureStore(str(folder / "store")).current(table).to_pylist()}


@pytest.fixture(scope="module")
def predictions(folder: Path, bundle: Bundle, inputs: dict[str, CaseInputs]) -> dict[str, Prediction]:
    epilepsy = {key: row["epilepsy"] for key, row in _rows(folder, "cases").items()}
    return {key: predict_case(bundle, own, _given(epilepsy[key])) for key, own in inputs.items()}


def test_both_routes_have_equal_numbers_bit_for_bit(folder: Path, predictions: dict[str, Prediction]) -> None:
    compared = 0
    for table in ("scores", "explanations"):
        stored = _rows(folder, table)
        assert stored.keys() == predictions.keys()
        for key, row in stored.items():
            own = predictions[key].row
            for name in row.keys() & own.keys() - {"flags", "center", "radiomics_spec_id", "embedding_spec_id"}:
                assert own[name] == row[name], (key, name)
                compared += 1
            assert set(own["flags"]) <= set(row.get("flags", own["flags"]))  # type: ignore[call-overload]
    # Every score, decision and contribution of every case was among them.
    names = {*map(str, Model), "points_total", "distance", "outside_features", "top_contributions", "dlrn_youden"}
    assert all(names <= found.row.keys() for found in predictions.values())
    assert compared > 25 * len(predictions)


def test_inputs_and_their_triage_are_the_stores(folder: Path, inputs: dict[str, CaseInputs]) -> None:
    features, rois, volumes = (_rows(folder, name) for name in ("radiomics", "rois", "volumes"))
    embeddings = FeatureStore(str(folder / "store")).current("embeddings").to_pylist()
    largest = {row["case_key"]: row["embedding"] for row in embeddings if row["is_largest"]}
    for key, own in inputs.items():
        assert list(own.features.values()) == [features[key][name] for name in contracts.feature_names()]
        assert own.embedding.tolist() == largest[key]
        assert own.input_digest == rois[key]["input_digest"]
        assert own.volume_ml == rois[key]["volume_ml"]
        assert list(own.flags) == list(dict.fromkeys([*volumes[key]["flags"], *rois[key]["flags"]]))  # type: ignore[misc]


def test_no_number_stands_outside_the_training_range(bundle: Bundle, predictions: dict[str, Prediction]) -> None:
    limits = training_ranges(bundle)["dlr"]
    assert isinstance(limits, TrainingRange)
    seen = set()
    columns = np.asarray(bundle.model.columns, dtype=object)
    for found in predictions.values():
        row, card = found.row, found.card
        models = {model.name: model for model in card.models}
        outside = {
            model: bool(set(columns[bundle.model.used[model]]) & set(row["outside_features"])) for model in SIGNATURES
        }
        beyond = not limits.low <= row["dlr"] <= limits.high
        for model, name in ((Model.RAD, "Rad"), (Model.DL, "DL")):
            assert isinstance(models[name].score, NotComputable) == outside[model]
        assert isinstance(models["DLR"].score, NotComputable) == (outside[Model.DLR] or beyond)
        withheld = outside[Model.DLR] or beyond or row["dlrn"] is None
        assert isinstance(models["DLRN"].score, NotComputable) == withheld
        if not withheld:
            assert (models["DLRN"].score, card.total_points) == (row["dlrn"], row["points_total"])
        if outside[Model.DLR] or beyond:
            assert isinstance(card.moved, NotComputable)
            assert isinstance(card.total_points, NotComputable)
            text = "\n".join(card_lines(card))
            assert "outside the training range" in text
            assert "dl_" not in text
            shown = json.dumps(found.to_document())
            assert row["dlrn"] is None or repr(row["dlrn"]) not in shown
        assert [column.column for column in card.outside] == row["outside_features"]
        seen.add((withheld, outside[Model.DLR] or beyond))
    # Cases of each sort were among them: with a number, without for lack of epilepsy or of range.
    assert {(False, False), (True, True)} <= seen


def _with_votes(bundle: Bundle, votes: dict[Model, VoteRecalibration]) -> Bundle:
    return replace(
        bundle, model=replace(bundle.model, votes=votes), description=replace(bundle.description, votes=votes)
    )


def test_votes_stand_beside_the_probabilities_that_the_bundle_makes_of_them(
    bundle: Bundle, inputs: dict[str, CaseInputs]
) -> None:
    terms = [Term(value, value - 1, value + 1) for value in (-0.7, 0.8)]
    calibrated = _with_votes(bundle, dict.fromkeys(SIGNATURES, VoteRecalibration(18, 6, *terms, "")))
    shown = withheld = 0
    for own in inputs.values():
        found = predict_case(calibrated, own, _given(0))
        *signatures, dlrn = found.card.models
        assert (dlrn.scale, dlrn.probability) == ("probability", dlrn.score)
        for model, told in zip(SIGNATURES, signatures, strict=True):
            assert told.scale == "recalibrated votes"
            if isinstance(told.score, NotComputable):
                assert told.probability == told.score
                withheld += 1
                continue
            trees = len(bundle.model.forests[model].roots)
            expected = float(expit(-0.7 + 0.8 * logit((told.score * trees + 0.5) / (trees + 1))))
            assert told.probability == pytest.approx(expected, rel=1e-12)
            words = f"(a share of the forest's votes); probability {expected:.3f} (recalibrated votes)"
            assert f"{told.name}: {told.score:.3f} {words}" in list(card_lines(found.card))
            shown += 1
    assert shown
    assert withheld


def test_a_bundle_that_does_not_recalibrate_votes_says_so(
    bundle: Bundle, inputs: dict[str, CaseInputs], predictions: dict[str, Prediction]
) -> None:
    key = next(key for key, found in predictions.items() if not isinstance(found.card.models[-1].score, NotComputable))
    found, newer = (predict_case(of, inputs[key], _given(0)) for of in (_with_votes(bundle, {}), bundle))
    assert [model.score for model in found.card.models] == [model.score for model in newer.card.models]
    *signatures, dlrn = found.card.models
    assert dlrn == newer.card.models[-1]
    for told in signatures:
        assert told.scale == "uncalibrated votes"
        assert told.probability == NotComputable("votes are uncalibrated") or isinstance(told.score, NotComputable)
    dlr = signatures[-1]
    assert f"DLR: {dlr.score:.3f} (uncalibrated votes, no probability)" in list(card_lines(found.card))
    assert "votes of Rad, DL and DLR are uncalibrated" in " ".join(found.card.cautions)
    document = json.loads(json.dumps(found.to_document()))
    assert contracts.problems_of(document, "commands/predict.json") == []


def test_the_sides_of_the_training_range_are_told(bundle: Bundle, inputs: dict[str, CaseInputs]) -> None:
    own = next(iter(inputs.values()))
    name = bundle.model.radiomics[0]
    low, high = (float(side[0]) for side in (bundle.model.low, bundle.model.high))
    for value, side in ((low - 1 - abs(low), "below"), (high + 1 + abs(high), "above")):
        changed = replace(own, features={**own.features, name: value})
        [found] = [row for row in predict_case(bundle, changed, _given(0)).card.outside if row.column == name]
        assert (found.side, found.training) == (side, TrainingRange(low, high))
    # What can be mended at once is said first.
    alone = {model.name: model.score for model in predict_case(bundle, changed, {}).card.models}["DLRN"]
    assert isinstance(alone, NotComputable)
    assert alone.reason.startswith("epilepsy is not known, and an input lies outside the training range (")


def _command(folder: Path, key: str, *more: object) -> tuple[object, ...]:
    center, number = key.split("/")
    archive = folder / "archive"
    files = [archive / f"{kind}-{center}-{int(number)}.nii.gz" for kind in ("ct", "mask")]
    return ("predict", *files, "--bundle", folder / "bundle", *more)


def test_the_command_prints_a_card_and_writes_a_page(
    folder: Path, tmp_path: Path, predictions: dict[str, Prediction]
) -> None:
    key = next(key for key, found in predictions.items() if not isinstance(found.card.models[-1].score, NotComputable))
    found = predictions[key]
    seizure = ("--epilepsy", int(found.card.terms[1].value))  # type: ignore[arg-type]
    document = json.loads(_run(*_command(folder, key, *seizure, "--json")).stdout)
    assert contracts.problems_of(document, "commands/predict.json") == []
    assert document == json.loads(json.dumps(found.to_document()))
    assert document["models"][-1]["score"] == found.row["dlrn"]
    text = _run(*_command(folder, key, *seizure, "--html", tmp_path / "card.html")).stdout
    assert text.splitlines() == list(card_lines(found.card))
    assert max(line.count("training range") for line in text.splitlines()) == 1
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    shown = f"{found.row['dlrn']:.3f}"
    for words in (NOT_FOR_CARE, "training range", "Not for inference".lower(), shown):
        assert words in text, words
        assert words in page, words
    assert page.count("data:image/jpeg") == 1
    for private in (str(folder), "nii.gz", "ct-C"):
        assert private not in text + page + json.dumps(document)


def test_a_training_image_is_called_one(predictions: dict[str, Prediction]) -> None:
    for key, found in predictions.items():
        said = any("its scores are in sample" in caution for caution in found.card.cautions)
        assert said == key.startswith("C1/")


def test_epilepsy_that_is_not_given_leaves_the_dlrn_out(folder: Path, predictions: dict[str, Prediction]) -> None:
    key = next(key for key, found in predictions.items() if not isinstance(found.card.models[2].score, NotComputable))
    document = json.loads(_run(*_command(folder, key, "--json")).stdout)
    assert document["models"][-1]["score"] == {"not_computable": "epilepsy is not known"}
    assert document["total_points"] == {"not_computable": "epilepsy is not known"}
    assert "epilepsy_unknown" in document["flags"]


def test_several_classes_have_a_card_of_the_stores_numbers(folder: Path, tmp_path: Path) -> None:
    several = ("fit.outcome=x_third", "fit.classes=[a, b, c]", "fit.clinical.terms=[epilepsy]", "fit.firth=true")
    sets = (word for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]", *several) for word in ("--set", value))
    _run("fit", "--store", folder / "store", *sets, "--out", tmp_path / "thirds")
    bundle = load_bundle(tmp_path / "thirds")
    of_store = {row["case_key"]: row for row in bundle.score(FeatureStore(str(folder / "store")).wide()).to_pylist()}
    seen = set()
    for key in ("C1/000", "C1/001", "C1/004", "C2/000", "C2/001", "C2/002"):
        row, number = of_store[key], int(key[-3:])
        seizure = () if number == 4 else ("--epilepsy", int(number % 4 == 0))
        command = (*_command(folder, key, *seizure)[:4], tmp_path / "thirds", *seizure)
        document = json.loads(_run(*command, "--json").stdout)
        assert contracts.problems_of(document, "commands/predict.json") == []
        assert document["classes"] == ["a", "b", "c"]
        assert document["prediction_set"] is None
        *_, dlr, dlrn = document["models"]
        columns = np.asarray(bundle.model.columns, dtype=object)[bundle.model.used[Model.DLR]]
        beyond = sorted(set(columns) & set(row["outside_features"]))
        for found, own in ((dlr, row["dlr_by_class"]), (dlrn, row["dlrn_by_class"])):
            if beyond or own is None:
                assert "not_computable" in found["by_class"]
                assert found["told"] is None
            else:
                assert list(found["by_class"].values()) == own
                assert found["told"] == "abc"[int(np.argmax(own))]
        if beyond or row["dlrn_by_class"] is None:
            assert document["conclusion"].startswith("No conclusion: DLRN gives no probabilities: ")
        else:
            assert document["conclusion"].startswith(f"DLRN: class {row['predicted_class']}, of 3 the likeliest, with ")
        seen.add((bool(beyond), row["dlrn_by_class"] is None))
        text = _run(*command, "--html", tmp_path / "card.html").stdout
        page = (tmp_path / "card.html").read_text(encoding="utf-8")
        for words in (NOT_FOR_CARE, "6 a, 6 b, 6 c", *(() if beyond else (f"a {dlr['by_class']['a']:.3f}, b ",))):
            assert words in text, words
            assert words in page, words
        assert "None" not in text + page
        assert "points" not in text + page
    assert {(False, False), (False, True)} <= seen


def test_an_outline_is_chosen_as_in_a_manifest(folder: Path, tmp_path: Path) -> None:
    archive = folder / "archive"
    mask = sitk.ReadImage(str(archive / "mask-C2-0.nii.gz"))
    several = sitk.GetArrayFromImage(mask) * 2
    several[0, 0, 0] = 7
    image = sitk.GetImageFromArray(several)
    image.CopyInformation(mask)
    sitk.WriteImage(image, str(tmp_path / "several.nii.gz"))
    command = (
        "predict",
        archive / "ct-C2-0.nii.gz",
        tmp_path / "several.nii.gz",
        "--bundle",
        folder / "bundle",
        "--json",
    )
    assert "mask_label" in str(_run(*command, code=1).exception)
    chosen = json.loads(_run(*command, "--mask-label", 2).stdout)
    own = json.loads(_run(*_command(folder, "C2/000", "--json")).stdout)
    assert chosen["models"] == own["models"]
    _run(*command, "--mask-label", 2, "--segment", "blood", code=2)


def test_weights_of_a_file_are_asked_for_by_their_hash(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder / "bundle", own)
    document = json.loads((own / "bundle.json").read_text(encoding="utf-8"))
    document["weights"]["name"] = "file"
    (own / "bundle.json").write_text(json.dumps(document), encoding="utf-8")
    command = [own if word == folder / "bundle" else word for word in _command(folder, "C2/000", "--json")]
    told = str(_run(*command, code=1).exception)
    assert document["weights"]["sha256"] in told
    assert "--set embedding.weights=FILE" in told
    (tmp_path / "kept.safetensors").write_bytes(to_bytes(random_weights(3)))
    (tmp_path / "other.safetensors").write_bytes(to_bytes(random_weights(4)))
    given = json.loads(_run(*command, "--set", f"embedding.weights={tmp_path / 'kept.safetensors'}").stdout)
    named = json.loads(_run(*_command(folder, "C2/000", "--json")).stdout)
    assert given["models"] == named["models"]
    refused = _run(*command, "--set", f"embedding.weights={tmp_path / 'other.safetensors'}", code=1)
    assert "embedding.weights.sha256" in str(refused.exception)


def test_an_image_in_an_archive_is_that_of_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_images, "Retries", lambda: Retries(attempts=2, first_s=0.01))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    head = ball((5.0,) * 8)
    write_series(tmp_path / "ct", head.hu(), head.stack, SeriesTags("Secret", "axial", 0.0))
    write_mask_file(tmp_path / "mask.nii.gz", head.mask(), head.stack)
    paths = sorted((tmp_path / "ct").iterdir())
    header = pydicom.dcmread(paths[0])
    named = (tmp_path / "mask.nii.gz", "--bundle", folder / "bundle", "--json")
    with serve_dicomweb({str(pydicom.dcmread(path).SOPInstanceUID): path.read_bytes() for path in paths}) as served:
        image = f"{served.url}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
        of_archive = _run("predict", image, *named)
        assert of_archive.stdout == _run("predict", tmp_path / "ct", *named).stdout
        assert [*(tmp_path / "scratch").iterdir()] == []
        served.busy = [(503, "")] * 10
        away = _run("predict", image, *named, code=1)
        assert "cannot be had from its archive: the archive is busy or away" in str(away.exception)
        asked = len(served.requests)
        open_line = _run("predict", image.replace("127.0.0.1", "0.0.0.0"), *named, code=1)
        assert "--plain-http" in str(open_line.exception)
        assert "/studies/UID/series/UID" in str(_run("predict", served.url, *named, code=1).exception)
        assert len(served.requests) == asked
