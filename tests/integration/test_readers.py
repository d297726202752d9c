"""Outlines of another reader than the bundle's, a person or a method: fitted on, scored, judged, and never taken for another's."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.store import FeatureStore
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import fill
from tests.support.second_readers import add_reader
from tests.support.store_rows import VOLUME_SPEC
from tests.support.store_rows import row as row_of

pytestmark = pytest.mark.usefixtures("blank_figures")

FOUND, SIMPLE = "blast-ct:1a2b3c4d", "threshold:99aabbcc"


def run(*arguments: object) -> dict[str, object]:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    document: dict[str, object] = json.loads(result.stdout)
    assert contracts.problems_of(document, f"commands/{arguments[0]}.json") == []
    return document


def refused(*arguments: object) -> InputError:
    error = CliRunner().invoke(cli, [*map(str, arguments)]).exception
    assert isinstance(error, InputError), error
    return error


def fit(folder: Path, name: str, *overrides: str) -> Path:
    jobs = (*SMALLEST_JOB, "cohort.training_centers=[C1]", *overrides)
    sets = [argument for value in jobs for argument in ("--set", value)]
    run("fit", "--store", folder / "store", *sets, "--out", folder / name)
    return folder / name


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a method has outlined anew, and another method some cases of C2, with a bundle fitted on reader A."""
    folder = tmp_path_factory.mktemp("readers")
    store = fill(folder / "store")
    add_reader(store, FOUND, ["C1", "C2"], spread=1, outline_spec_id="out-1a2b3c4d", flags=["auto"])
    unfit = ["auto", "not_for_inference"]
    add_reader(store, SIMPLE, ["C2"], spread=9, most="008", outline_spec_id="out-99aabbcc", flags=unfit)
    # Of C2, whose cases from 008 on the simple method has not outlined: nothing found, its outline failed or its search did, or
    # only another's.
    keys = [{"case_key": f"C2/{number:03d}", "center": "C2", "case_id": f"{number:03d}"} for number in range(9, 14)]
    store.table("outlines").append(
        [
            row_of(
                "outlines",
                **keys[0],
                outline_spec_id="out-99aabbcc",
                volume_spec_id=VOLUME_SPEC.spec_id,
                image_digest="image-C2-9",
                reader=SIMPLE,
                method="threshold",
                state="no_hemorrhage",
            )
        ]
    )
    failing = {"scope": "extraction", "kind": "empty_mask", "resolved": False}
    what = (
        {"roi_key": f"C2/010/hematoma/{SIMPLE}/1", "spec_id": "rad-1"},
        {"roi_key": "C2/011/hematoma/B/1", "spec_id": "rad-1"},
        {"roi_key": "", "spec_id": "out-99aabbccddee", "kind": "time_limit"},
        {"roi_key": "", "spec_id": "out-1a2b3c4dddee", "kind": "time_limit"},
    )
    store.table("failures").append(
        [row_of("failures", **{**key, **failing, **own}) for key, own in zip(keys[1:], what, strict=True)]
    )
    fit(folder, "bundle")
    return folder


def scores(archive: Path, reader: str, bundle: Path | None = None) -> dict[str, dict[str, object]]:
    rows = FeatureStore(str(archive / "store")).current("scores").to_pylist()
    digest = load_bundle(bundle or archive / "bundle").digest
    return {row["case_key"]: row for row in rows if (row["reader"], row["bundle_digest"]) == (reader, digest)}


def score(archive: Path, *arguments: object) -> dict[str, object]:
    return run("score", "--store", archive / "store", "--bundle", archive / "bundle", *arguments)


@pytest.fixture(scope="module")
def scored(archive: Path) -> dict[str, dict[str, object]]:
    """What `score` told, by reader: first of the bundle's, then of the methods."""
    return {
        "A": score(archive, "--explain"),
        FOUND: score(archive, "--reader", "blast-ct", "--explain"),
        SIMPLE: score(archive, "--reader", SIMPLE),
    }


def test_each_readers_scores_stand_beside_the_others_with_their_name(
    archive: Path, scored: dict[str, dict[str, object]]
) -> None:
    told = {reader: (found["fitted_reader"], found["reader"], found["scored"]) for reader, found in scored.items()}
    assert told == {"A": ("A", "A", 57), FOUND: ("A", FOUND, 57), SIMPLE: ("A", SIMPLE, 8)}
    bundle, store = load_bundle(archive / "bundle"), FeatureStore(str(archive / "store"))
    for reader in scored:
        wide = store.wide(primary_reader=reader)
        expected = {row["case_key"]: row for row in bundle.score(wide).to_pylist()}
        found = scores(archive, reader)
        assert found.keys() == expected.keys()
        for case, row in found.items():
            assert [row[str(model)] for model in Model] == [expected[case][str(model)] for model in Model]
            assert (row["fitted_reader"], row["reader"]) == ("A", reader)
            assert row["roi_key"] == f"{case}/hematoma/{reader}/1"
            assert ("not_for_inference" in row["flags"]) == (reader == SIMPLE)  # type: ignore[operator]
    assert scores(archive, FOUND)["C2/000"]["rad"] is not None
    explained = store.current("explanations").to_pylist()
    assert {row["reader"] for row in explained} == {"A", FOUND}
    assert scored[SIMPLE]["flags"]["not_for_inference"] == 8  # type: ignore[index]
    again = score(archive, "--reader", FOUND)
    assert (again["scored"], again["already_scored"]) == (0, 57)


def test_a_report_says_whom_the_bundle_was_fitted_on_and_whom_it_is_applied_to(
    archive: Path, tmp_path: Path, scored: dict[str, dict[str, object]]
) -> None:
    command = ("validate", "--store", archive / "store", "--bundle", archive / "bundle", "--center", "C2")
    told = run(*command, "--reader", "blast-ct", "--out", tmp_path / "found")
    assert (told["fitted_reader"], told["reader"], told["reading"], told["cases"]) == ("A", FOUND, 1, 14)
    outcome = {row["case_key"]: row["cvt"] for row in FeatureStore(str(archive / "store")).current("cases").to_pylist()}
    own = [row for row in scores(archive, FOUND).values() if row["center"] == "C2" and row["dlrn"] is not None]
    assert told["auc"] == pytest.approx(
        roc_auc_score([outcome[row["case_key"]] for row in own], [r["dlrn"] for r in own])
    )
    report = json.loads((tmp_path / "found" / "report.json").read_text(encoding="utf-8"))
    origin = report["provenance"]
    assert (origin["fitted_reader"], origin["applied_reader"], origin["unfit_outlines"]) == (
        "A, reading 1", f"{FOUND}, reading 1", 0,
    )  # fmt: skip
    page = (tmp_path / "found" / "report.html").read_text(encoding="utf-8")
    first_screen = page[: page.index("<nav")]
    assert f"Fitted on A, reading 1, applied to {FOUND}, reading 1" in first_screen
    assert "demos" not in first_screen
    text = (tmp_path / "found" / "results.md").read_text(encoding="utf-8")
    assert f"What the model is worth on outlines by A, reading 1, on which it was fitted: these are by {FOUND}" in text
    # Training's values are those of the reader that the bundle was fitted on, the centre's those of the other.
    store, trained = FeatureStore(str(archive / "store")), {f"C1/{number:03d}" for number in range(40)}
    for row in report["shift"]["features"]:
        if row["feature"] in contracts.feature_names():
            for mean, reader, cases in (
                (row["training_mean"], "A", trained),
                (row["center_mean"], FOUND, {entry["case_key"] for entry in own} | {"C2/002"}),
            ):
                wide = store.wide(primary_reader=reader, columns=["case_key", row["feature"]]).to_pylist()
                values = [entry[row["feature"]] for entry in wide if entry["case_key"] in cases]
                assert mean == pytest.approx(np.mean(values), rel=1e-9)
    studies = [(row["kind"], row["first"], row["second"], row["cases"]) for row in report["readers"]]
    assert studies == [
        ("method-reader", "A, reading 1", f"{FOUND}, reading 1", 14),
    ]
    assert "Features without an ICC above 0.80" in page

    run(*command, "--reader", "threshold", "--out", tmp_path / "simple")
    report = json.loads((tmp_path / "simple" / "report.json").read_text(encoding="utf-8"))
    assert [(row["kind"], row["second"], row["cases"]) for row in report["readers"]] == [
        ("method-reader", f"{SIMPLE}, reading 1", 8)
    ]
    assert report["provenance"]["unfit_outlines"] == 8
    assert {row["kind"]: row["cases"] for row in report["flags"]}["not_for_inference"] == 8
    left = report["flow"][2]["excluded"]
    assert left == [
        ["failed: empty mask", 1],
        ["failed: time limit", 1],
        [f"no hemorrhage found by {SIMPLE}, reading 1", 1],
        [f"no outline by {SIMPLE}, reading 1", 3],
    ]
    page = (tmp_path / "simple" / "report.html").read_text(encoding="utf-8")
    assert f"8 of 8 outlines, by {SIMPLE}, reading 1, come from a method" in page[: page.index("<nav")]


def test_by_default_the_bundles_reader_is_read_and_nothing_is_said(
    archive: Path, tmp_path: Path, scored: dict[str, dict[str, object]]
) -> None:
    command = ("validate", "--store", archive / "store", "--bundle", archive / "bundle", "--center", "C2")
    told = run(*command, "--out", tmp_path / "report")
    assert (told["reader"], told["cases"]) == ("A", 14)
    # A reader study is of people: nobody else has outlined C2.
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["readers"] == []
    assert "Other outlines." not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_a_reader_who_is_not_there_is_refused_with_those_who_are(archive: Path, tmp_path: Path) -> None:
    there = f"A, reading 1 (14), {FOUND}, reading 1 (14), {SIMPLE}, reading 1 (8)"
    command = ("--store", archive / "store", "--bundle", archive / "bundle", "--center", "C2", "--reader", "B")
    for arguments in (("score", *command), ("validate", *command, "--out", tmp_path / "report")):
        error = refused(*arguments)
        assert error.kind == "no_such_reader"
        assert there in error.message
    command = ("review", "--store", archive / "store", "--center", "C2", "--reader", "B", "--out", tmp_path / "review")
    error = refused(*command)
    assert (error.kind, there in error.message) == ("no_such_reader", True)


def test_a_method_stands_for_the_reader_of_its_newest_outlines(archive: Path, tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    for name in ("blast-ct:2", "blast-ct:1"):
        add_reader(store, name, ["C2"], outline_spec_id=name)
    # A person whose name begins so is no method's reader.
    add_reader(store, "blast-ct:person", ["C2"])
    command = ("score", "--store", tmp_path / "store", "--bundle", archive / "bundle", "--reader")
    for name, reader in (("blast-ct", "blast-ct:1"), ("blast-ct:2", "blast-ct:2"), ("blast-ct:person",) * 2):
        told = run(*command, name)
        assert (told["reader"], told["scored"]) == (reader, 14)
    assert refused(*command, "blast").kind == "no_such_reader"


def test_a_bundle_is_fitted_on_a_methods_outlines_and_names_its_reader(archive: Path, tmp_path: Path) -> None:
    bundle = fit(archive, "found", "cohort.primary_reader=blast-ct")
    told = load_bundle(bundle).description
    assert told.primary == Reading(FOUND, 1)
    assert told.job["cohort"]["primary_reader"] == FOUND
    assert told.remarks == ()
    document = run("score", "--store", archive / "store", "--bundle", bundle, "--center", "C2")
    assert (document["fitted_reader"], document["reader"], document["scored"]) == (FOUND, FOUND, 14)
    other = run("score", "--store", archive / "store", "--bundle", bundle, "--center", "C2", "--reader", "A")
    assert (other["fitted_reader"], other["reader"], other["scored"]) == (FOUND, "A", 14)
    # No person is the second reader of a method, unless the job says so.
    error = refused_fit(archive, "cohort.primary_reader=blast-ct", "fit.selection.icc_minimum=0.8")
    assert (error.kind, "by people" in error.message) == ("no_reader_study", True)


def refused_fit(archive: Path, *overrides: str) -> InputError:
    sets = [part for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]", *overrides) for part in ("--set", value)]
    return refused("fit", "--store", archive / "store", *sets, "--out", archive / "refused")


def test_a_fit_on_outlines_that_are_not_for_inference_says_so(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    add_reader(store, SIMPLE, ["C1"], outline_spec_id="out-99aabbcc", flags=["auto", "not_for_inference"])
    [remark] = load_bundle(fit(tmp_path, "bundle", "cohort.primary_reader=threshold")).description.remarks
    assert (remark.message, remark.cases) == ("the model was fitted on outlines that are marked not for inference", 40)


def counts(bundle: Path) -> int:
    return load_bundle(bundle).description.signatures[Model.RAD].counts["agreement"]


def test_agreement_is_that_of_people_unless_the_job_lists_readers(archive: Path) -> None:
    """B agrees on 900 features, of which one is constant and another may follow the processor; the method moves all by 1 of 10."""
    people = fit(archive, "people", "fit.selection.icc_minimum=0.95")
    assert 890 <= counts(people) <= 910
    listed = fit(archive, "listed", "fit.selection.icc_minimum=0.95", "fit.selection.icc_readers=[blast-ct]")
    assert counts(listed) > 1700
    both = fit(archive, "both", "fit.selection.icc_minimum=0.95", "fit.selection.icc_readers=[B, blast-ct]")
    assert counts(both) <= counts(people)
    told = load_bundle(listed).description
    assert told.job["fit"]["selection"]["icc_readers"] == [FOUND]
    # Found outlines in the store change nothing of a fit on people's.
    assert (
        load_bundle(people).document["cohort"]["digest"] == load_bundle(archive / "bundle").document["cohort"]["digest"]
    )
    assert (
        refused_fit(archive, "fit.selection.icc_minimum=0.9", "fit.selection.icc_readers=[C]").kind == "no_such_reader"
    )
    assert refused_fit(archive, "fit.selection.icc_readers=[B]").kind == "bad_job"


def test_a_table_of_icc_filters_as_the_second_outlines_that_it_was_made_of(archive: Path, tmp_path: Path) -> None:
    command = ("agreement", "--store", archive / "store", "--readers", "A,B", "--center", "C1")
    run(*command, "--out", tmp_path / "agreement")
    table = tmp_path / "agreement" / "features.csv"
    given = ("fit.selection.icc_minimum=0.95", f"fit.selection.icc_table={table}")
    by_table, by_readers = fit(archive, "table", *given), fit(archive, "again", "fit.selection.icc_minimum=0.95")
    first, second = (load_bundle(bundle) for bundle in (by_table, by_readers))
    assert first.description.files["arrays.safetensors"] == second.description.files["arrays.safetensors"]
    assert counts(by_table) == counts(by_readers)
    assert first.description.signatures == second.description.signatures
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    assert first.description.job["fit"]["selection"]["icc_table"] == sha256
    assert str(tmp_path) not in json.dumps(first.document)
    lines = table.read_text(encoding="utf-8").splitlines()
    for text, says in (
        ("\n".join(lines[:-3]), "lacks 3 of "),
        ("\n".join([*lines, lines[1]]), "twice"),
        ("feature,n\n", "no column icc"),
        ("\n".join([lines[0], lines[1].split(",")[0] + ",shape,nan,,,12"]), "'nan' for"),
    ):
        table.write_text(text, encoding="utf-8")
        error = refused_fit(archive, *given)
        assert (error.kind, says in error.message) == ("bad_icc_table", True), error.message
    table.unlink()
    error = refused_fit(archive, *given)
    assert (error.kind, str(table) in error.message) == ("bad_icc_table", False)
    assert refused_fit(archive, *given, "fit.selection.icc_readers=[B]").kind == "bad_job"
