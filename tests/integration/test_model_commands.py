"""`fit` and `score` on a store: from a snapshot to a bundle, from a bundle to rows."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.description import Outlines
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError, InternalError, ProblemsError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.models import score
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.fit import fit_bundle
from cvtbatch.pipelines.models.score import score_store
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.pipelines.models.tuning_cohort import read_tuning_cohort
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore, automatic_snapshot, wide_rows
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import EMBEDDING_SPEC, TUNED_SPEC, fill
from tests.support.store_rows import RADIOMICS_SPEC

SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
HERE = Cluster(None, "inline", threads=None)


def run(*arguments: object, code: int = 0) -> dict[str, object]:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    document: dict[str, object] = json.loads(result.stdout)
    assert contracts.problems_of(document, f"commands/{arguments[0]}.json") == []
    return document


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a snapshot and the bundle that was fitted on it."""
    folder = tmp_path_factory.mktemp("model")
    fill(folder / "store")
    result = CliRunner().invoke(cli, ["snapshot", "create", "paper-1", "--store", str(folder / "store")])
    assert result.exit_code == 0, result.output
    fitted = run("fit", "--store", folder / "store", "--snapshot", "paper-1", *SETS, "--out", folder / "bundle")
    assert fitted["bundle_digest"] == load_bundle(folder / "bundle").digest
    return folder


def scores(folder: Path, name: str = "scores") -> pa.Table:
    return FeatureStore(str(folder / "store")).current(name).sort_by("roi_key")


def test_the_bundle_says_what_it_was_fitted_on(archive: Path) -> None:
    document = load_bundle(archive / "bundle").document
    cohort = document["cohort"]
    assert (cohort["cases"], cohort["patients"], cohort["positive"]) == (40, 40, 20)
    assert cohort["excluded"] == {"no_embedding": 1, "no_features": 1, "no_outcome": 1, "traumatic": 1}
    assert cohort["training_centers"] == ["C1"]
    assert len(cohort["image_digests"]) == 40
    assert "image-C1-0" in cohort["image_digests"]
    assert document["specs"]["radiomics_spec_id"] == RADIOMICS_SPEC.spec_id
    assert document["specs"]["embedding_spec_id"] == EMBEDDING_SPEC.spec_id
    assert document["weights"]["sha256"] == "a" * 64
    assert document["snapshot"]["name"] == "paper-1"
    assert document["embedding_components"]["slices"] == 160
    assert document["dlrn"]["epilepsy_unknown"] == 1
    usable = len(contracts.feature_names()) - len(contracts.processor_bound_features()) - 1  # one is constant
    assert document["signatures"]["rad"]["counts"]["screening"] == usable
    assert str(archive) not in json.dumps(document)


def test_the_bundle_says_whose_outlines_it_was_fitted_on_and_sums_up_its_cohort(archive: Path) -> None:
    told = load_bundle(archive / "bundle").description
    assert told.outlines == Outlines("A", 1, None, None)
    assert told.cohort_summary is not None
    assert told.cohort_summary.levels["epilepsy"].known == told.cohort.cases - 1
    assert set(told.cohort_summary.features) == {*told.columns.radiomics, *told.columns.components}
    assert set(told.votes) == set(SIGNATURES)


def test_found_outlines_are_told_with_their_method_and_specification(tmp_path: Path) -> None:
    store, reader = fill(tmp_path / "store"), "blast-ct:0a1b2c3d"
    for name in ("rois", "radiomics", "embeddings"):
        rows = store.current(name)
        rows = rows.filter(pc.and_(pc.equal(rows["center"], "C1"), pc.equal(rows["reader"], "A"))).to_pylist()
        for entry in rows:
            entry |= {"reader": reader, "roi_key": entry["roi_key"].replace("/A/1", f"/{reader}/1")}
            entry["input_digest"] = entry["input_digest"].replace("-A", "-found")
            entry |= {"outline_spec_id": "out-0a1b2c3d0000"} if name == "rois" else {}
        store.table(name).append(rows)
    run("snapshot", "create", "found", "--store", tmp_path / "store")
    source = CohortSource(str(tmp_path / "store"), "found", ("C1",), Reading(reader, 1), (), reviewed=False)
    assert read_training(source).outlines == Outlines(reader, 1, "blast-ct", "out-0a1b2c3d0000")


def test_scores_are_those_of_the_bundle_and_a_second_run_adds_nothing(archive: Path) -> None:
    bundle = load_bundle(archive / "bundle")
    first = run("score", "--store", archive / "store", "--bundle", archive / "bundle", "--center", "C2")
    assert (first["outlines"], first["scored"], first["already_scored"]) == (14, 14, 0)
    second = run("score", "--store", archive / "store", "--bundle", archive / "bundle", "--snapshot", "paper-1")
    assert (second["outlines"], second["scored"], second["already_scored"]) == (57, 43, 14)
    assert second["computed"] == {"rad": 43, "dl": 42, "dlr": 42, "dlrn": 41}
    assert second["flags"]["excluded_traumatic"] == 1  # type: ignore[index]
    third = run("score", "--store", archive / "store", "--bundle", archive / "bundle", "--explain")
    assert third["rows"] == {"scores": 0, "explanations": 57}
    assert run("score", "--store", archive / "store", "--bundle", archive / "bundle", "--explain")["scored"] == 0
    stored = scores(archive)
    assert len(stored) == 57
    wide = FeatureStore(str(archive / "store")).wide().sort_by("roi_key")
    expected = bundle.score(wide)
    for name in ("rad", "dl", "dlr", "dlrn", "dlrn_youden", "points_total", "distance", "outside_features"):
        assert stored[name].to_pylist() == expected[name].to_pylist(), name
    assert {*stored["bundle_digest"].to_pylist()} == {bundle.digest}
    gone = stored.filter(pc.equal(stored["embedding_digest"], ""))
    assert gone["case_key"].to_pylist() == ["C1/042"]
    assert gone["dlr"].to_pylist() == [None]
    assert "no_embedding" in gone["flags"].to_pylist()[0]
    reasons = scores(archive, "explanations").to_pylist()
    for found, why in zip(stored.to_pylist(), reasons, strict=True):
        if found["dlr"] is not None:
            total = why["base"] + sum(why["top_contributions"]) + why["other_contributions"]
            assert total == pytest.approx(found["dlr"], abs=1e-12)


def test_a_corrected_epilepsy_value_gives_a_new_row_and_another_bundle_its_own(archive: Path, tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    report = score_store(str(tmp_path / "store"), archive / "bundle", None, (), HERE, explain=False)
    assert report.rows["scores"] == 57
    corrected = next(case for case in store.table("cases").current().to_pylist() if case["case_key"] == "C2/002")
    assert corrected["epilepsy"] is None
    store.table("cases").append([{**corrected, "epilepsy": 1, "clinical_digest": "corrected"}])
    again = score_store(str(tmp_path / "store"), archive / "bundle", None, (), HERE, explain=False)
    assert (again.scored, again.already_scored) == (1, 56)
    both = [entry for entry in scores(tmp_path).to_pylist() if entry["case_key"] == "C2/002"]
    assert sorted(entry["dlrn"] is None for entry in both) == [False, True]
    assert len({entry["dlr"] for entry in both}) == 1
    other = fit_job(tmp_path, "fit.seed=5")
    second = score_store(str(tmp_path / "store"), other, None, ("C2",), HERE, explain=False)
    assert second.scored == 14
    assert len({*scores(tmp_path)["bundle_digest"].to_pylist()}) == 2


def fit_job(folder: Path, *overrides: str, name: str = "other") -> Path:
    job = read_job("fit", None, [*SMALLEST_JOB, "cohort.training_centers=[C1]", *overrides])
    fit_bundle(job, str(folder / "store"), None, (), folder / name, HERE)
    return folder / name


def test_a_fit_on_workers_is_the_same_bundle(archive: Path, tmp_path: Path) -> None:
    here = load_bundle(archive / "bundle").digest
    command = ("fit", "--store", archive / "store", "--snapshot", "paper-1", *SETS, "--out", tmp_path / "b.tar")
    assert run(*command, "--workers", 1)["bundle_digest"] == here


def test_what_cannot_be_fitted_on_is_refused_with_what_to_do(archive: Path, tmp_path: Path) -> None:
    store = str(archive / "store")
    for overrides, kind in (
        ((), "no_training_centers"),
        (("cohort.training_centers=[C9]",), "no_such_center"),
        (("cohort.training_centers=[C2]", "fit.selection.lasso_folds=10"), "too_few_patients"),
    ):
        job = read_job("fit", None, [*SMALLEST_JOB, *overrides])
        with pytest.raises(InputError) as caught:
            fit_bundle(job, store, "paper-1", (), tmp_path / "new", HERE)
        assert caught.value.kind == kind
    job = read_job("fit", None, [*SMALLEST_JOB, "cohort.training_centers=[C1]"])
    with pytest.raises(InputError) as caught:
        fit_bundle(job, store, "paper-1", (), archive / "bundle", HERE)
    assert caught.value.kind == "bundle_exists"
    assert not (tmp_path / "new").exists()
    result = CliRunner().invoke(cli, ["score", "--store", store, "--bundle", str(archive / "bundle"), "--center", "C9"])
    assert isinstance(result.exception, InputError)
    assert result.exception.kind == "no_such_center"


def test_a_training_centre_that_is_spelled_in_two_ways_is_refused(tmp_path: Path) -> None:
    store = fill(tmp_path / "store", more={"c1": 2})
    with pytest.raises(InputError, match="'C1', 'c1' differ by capitals, blanks or Unicode form alone") as caught:
        fit_job(tmp_path)
    assert caught.value.kind == "twin_centers"
    assert not (tmp_path / "other").exists()
    job = read_job("finetune", None, ["cohort.training_centers=[c1]"])
    snapshot = automatic_snapshot(FeatureStore.open_for_writing(store.location.url, existing=True), "finetune")
    with pytest.raises(InputError, match="'c1', 'C1' differ") as caught:
        read_tuning_cohort(snapshot.view(store), job)
    assert caught.value.kind == "twin_centers"


def test_a_tuned_backbone_marks_and_one_image_under_two_patients_is_refused(tmp_path: Path) -> None:
    store = fill(tmp_path / "store", TUNED_SPEC)
    bundle = load_bundle(fit_job(tmp_path))
    assert [entry.models for entry in bundle.description.marks] == [(Model.DL, Model.DLR, Model.DLRN)]
    with pytest.raises(ProblemsError, match=r"backbone_saw_outsiders: the backbone was tuned on 40 .*: C1/000, "):
        fit_job(tmp_path, "cohort.training_centers=[C2]", "fit.selection.lasso_folds=3", name="reversed")
    volume = next(entry for entry in store.table("volumes").current().to_pylist() if entry["case_key"] == "C2/000")
    roi = next(entry for entry in store.table("rois").current().to_pylist() if entry["case_key"] == "C2/000")
    same = {"image_digest": "image-C1-5", "generation": 2}
    store.table("volumes").append([{**volume, **same}])
    store.table("rois").append([{**roi, **same}])
    with pytest.raises(ProblemsError, match=r"same_voxels.*C1/005/hematoma/A/1, C2/000"):
        fit_job(tmp_path, name="leaking")


def test_readers_who_do_not_agree_take_features_out(archive: Path, tmp_path: Path) -> None:
    job = read_job("fit", None, [*SMALLEST_JOB, "cohort.training_centers=[C1]", "fit.selection.icc_minimum=0.95"])
    report = fit_bundle(job, str(archive / "store"), "paper-1", (), tmp_path / "bundle", HERE)
    counts = report.bundle.description.signatures[Model.RAD].counts
    # 900 less the constant one; of 934 columns of noise, few look like agreement.
    assert 899 <= counts["agreement"] <= 910


def test_the_tables_of_people_name_what_was_found(archive: Path, tmp_path: Path) -> None:
    command = ["fit", "--store", archive / "store", "--snapshot", "paper-1", *SETS, "--set", "fit.seed=9"]
    command += ["--out", tmp_path / "b"]
    text = CliRunner().invoke(cli, [str(part) for part in command]).output
    for words in ("Columns left by each step", "Selected for dlr", "odds ratio", "study protocol", "traumatic"):
        assert words in text
    text = CliRunner().invoke(cli, ["score", "--store", str(archive / "store"), "--bundle", str(tmp_path / "b")]).output
    assert "57 outlines" in text
    assert "epilepsy_unknown" in text


def test_outlines_that_are_not_found_again_end_a_scoring(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a portion is to score was read a moment ago, at the same snapshot."""
    fill(tmp_path / "store")
    monkeypatch.setattr(score, "wide_rows", lambda *rows, **named: wide_rows(*rows, **named).slice(1))
    with pytest.raises(InternalError, match="not those that were to be scored"):
        score_store(str(tmp_path / "store"), archive / "bundle", None, (), HERE, explain=False)
    assert scores(tmp_path).num_rows == 0
