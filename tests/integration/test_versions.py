"""Snapshots, specifications, exports and erasure at the command line."""

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.store import FeatureStore
from tests.support.store_rows import (
    EMBEDDING_SPEC,
    RADIOMICS_SPEC,
    VOLUME_SPEC,
    Row,
    add_cases,
    add_specs,
    case_rows,
    feature_values,
    radiomics_spec_of,
)

OTHER_SPEC = radiomics_spec_of(binWidth=10)
NAMES = contracts.feature_names()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store in which B/1 has the image of A/0, B/3 the patient of A/2, and some values of another specification moved."""
    store = FeatureStore.open_for_writing(str(tmp_path_factory.mktemp("made") / "store"))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, OTHER_SPEC, EMBEDDING_SPEC)
    specs = (RADIOMICS_SPEC, OTHER_SPEC)
    cases = [case_rows(store, 0, "A", "same", specs), case_rows(store, 1, "B", "same", specs)]
    cases += [case_rows(store, 2, "A", specs=specs), case_rows(store, 3, "B")]
    for case, patient in zip(cases, ("0", "0", "twin", "twin"), strict=True):
        case["cases"][0]["patient"] = patient
    for number, case in enumerate(cases[:3]):
        _moved(case["radiomics"][1], number)
    add_cases(store, *cases)
    return store.location.path


def _moved(row: Row, number: int) -> None:
    """Double one feature, and reverse the order of another."""
    row[NAMES[100]] = 2 * feature_values(number)[NAMES[100]]
    row[NAMES[40]] = -feature_values(number)[NAMES[40]]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def document(schema: str, *arguments: object, code: int = 0) -> dict[str, object]:
    """Run a command with --json, and return its document once it keeps its contract."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert contracts.problems_of(found, f"commands/{schema}.json") == []
    return dict(found)


def test_snapshots_at_the_command_line(url: str) -> None:
    made = document("snapshot", "snapshot", "create", "one", "--store", url, "--center", "A")
    assert made["created"]
    assert made["snapshot"]["tables"]["radiomics"]["rows"] == 4
    assert not document("snapshot", "snapshot", "create", "one", "--store", url, "--center", "A")["created"]
    whole = document("snapshot", "snapshot", "create", "whole", "--store", url)
    assert whole["duplicates"] == {
        "same_image": [{"cases": ["A/0", "B/1"], "across_centers": True}],
        "same_patient_text": [{"cases": ["A/2", "B/3"]}],
    }
    listed = document("snapshot", "snapshot", "list", "--store", url)["snapshots"]
    assert {"one", "whole"} <= {entry["name"] for entry in listed}
    assert document("snapshot", "snapshot", "show", "one", "--store", url)["snapshot"] == made["snapshot"]
    assert document("snapshot", "snapshot", "verify", "one", "--store", url, "--checksums")["verified"]
    assert document("status", "status", "--store", url)["duplicates"] == whole["duplicates"]
    for arguments in (("list",), ("show", "one"), ("verify", "one"), ("create", "one", "--center", "A")):
        result = run("snapshot", *arguments, "--store", url)
        assert result.exit_code == 0
        assert "one" in result.stdout
    assert "the same image, across centres: A/0, B/1" in run("status", "--store", url).stdout


def test_specifications_at_the_command_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = RADIOMICS_SPEC.spec_id, OTHER_SPEC.spec_id
    specs = document("spec", "spec", "list", "--store", url)["specs"]
    assert {spec["spec_id"]: spec["rows"] for spec in specs} == {
        VOLUME_SPEC.spec_id: 4,
        first: 4,
        second: 3,
        EMBEDDING_SPEC.spec_id: 8,
    }
    told = document("spec", "spec", "diff", first, second, "--store", url)["differences"]
    assert told == [{"setting": "radiomics.settings.binWidth", "first": "5", "second": "10"}]
    drift = document("spec", "spec", "drift", first, second, "--store", url)
    counts = ("rois", "rois_only_first", "rois_only_second", "rois_with_other_input")
    assert [drift[name] for name in counts] == [3, 1, 0, 0]
    worst = {row["feature"]: row for row in drift["worst_features"][:2]}
    assert list(worst) == [NAMES[40], NAMES[100]]
    assert worst[NAMES[40]]["largest"] == 2
    np.testing.assert_allclose(worst[NAMES[40]]["rank_correlation"], -1)
    assert (worst[NAMES[100]]["median"], worst[NAMES[100]]["largest"]) == (0.5, 0.5)
    assert sum(row["features"] for row in drift["classes"]) == len(NAMES)
    assert sum(row["features"] - row["unchanged"] for row in drift["classes"]) == 2
    monkeypatch.setattr("cvtbatch.pipelines.stores.specs.GROUP_BYTES", 3 * 8 * 100)
    assert document("spec", "spec", "drift", first, second, "--store", url) == drift
    for arguments in (("list",), ("diff", first, second), ("drift", first, second)):
        result = run("spec", *arguments, "--store", url)
        assert result.exit_code == 0, result.exception
        assert second in result.stdout
    wrong = run("spec", "drift", first, VOLUME_SPEC.spec_id, "--store", url)
    assert wrong.exception.kind == "no_such_spec"


def test_exports_read_a_snapshot(url: str, tmp_path: Path) -> None:
    out = tmp_path / "wide.parquet"
    spec = RADIOMICS_SPEC.spec_id
    result = run("export", "wide", "--store", url, "--out", out, "--spec", spec)
    assert result.exit_code == 0, result.exception
    rows = pq.read_table(out)
    assert rows["roi_key"].to_pylist() == [f"{key}/hematoma/A/1" for key in ("A/0", "A/2", "B/1", "B/3")]
    for number, values in zip((0, 2, 1, 3), rows.select(NAMES).to_pylist(), strict=True):
        assert repr(values) == repr(feature_values(number))
    origin = json.loads(rows.schema.metadata[b"cvtbatch"])
    recorded = FeatureStore(url).table("snapshots").read(["name", "content_digest", "made_by"]).to_pylist()
    assert {
        "name": origin["snapshot"],
        "content_digest": origin["content_digest"],
        "made_by": "export wide",
    } in recorded
    assert rows.schema.field(NAMES[8]).metadata[b"unit"] == b"mm3"
    csv = tmp_path / "few.csv"
    columns = f"case_id,age,{NAMES[30]},{NAMES[31]},embedding"
    command = ("export", "wide", "--store", url, "--out", csv, "--spec", spec, "--columns", columns)
    run("snapshot", "create", "for-export", "--store", url)
    assert run(*command, "--snapshot", "for-export").output == (
        "embeddings in 8 columns, emb_0000 to emb_0007; --without-embedding leaves them out\n"
        f"4 rows: {csv} (snapshot for-export)\n"
    )
    table = pa_csv.read_csv(csv)
    *others, _ = columns.split(",")
    assert table.column_names == [*others, *(f"emb_000{place}" for place in range(8))]
    first = (
        FeatureStore(url)
        .at("for-export")
        .embeddings(["roi_key", "embedding"], spec=spec, where=pc.field("is_largest"))
        .sort_by("roi_key")
    )
    assert [table[f"emb_000{place}"][0].as_py() for place in range(8)] == pytest.approx(first["embedding"][0].as_py())
    assert csv.read_text().splitlines()[1].startswith('"0",40,nan,-0,')
    for arguments, kind in (
        (("radiomics", "--out", out), "several_specs"),
        (("radiomics", "--out", out, "--columns", "nothing"), "no_such_column"),
        (("cases", "--out", out, "--snapshot", "none"), "no_such_snapshot"),
    ):
        assert run("export", *arguments, "--store", url).exception.kind == kind
    assert run("export", "rois", "--store", url, "--out", tmp_path / "rois.csv", "--spec", spec).exit_code == 0
    assert (
        run("export", "specs", "--store", url, "--out", tmp_path / "specs.csv").output
        == f"4 rows: {tmp_path / 'specs.csv'}\n"
    )


def test_a_case_is_forgotten_at_the_command_line(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    store = FeatureStore.open_for_writing(url)
    add_specs(store, VOLUME_SPEC, EMBEDDING_SPEC)
    add_cases(store, case_rows(store, 0, specs=()), case_rows(store, 1, specs=()))
    run("snapshot", "create", "one", "--store", url)
    kept = document("forget", "forget", "A/0", "--store", url)
    assert kept["kept_by"] == ["one"]
    gone = document("forget", "forget", "A/0", "--store", url, "--from-snapshots")
    assert (gone["changed_snapshots"], gone["volumes"]) == (["one"], 2)
    assert "1 erased" in run("snapshot", "list", "--store", url).stdout
    result = run("forget", "A/1", "--store", url, "--from-snapshots")
    assert "none tells of the case" in result.stdout
    assert run("forget", "A/1", "--store", url).exception.kind == "no_such_case"
