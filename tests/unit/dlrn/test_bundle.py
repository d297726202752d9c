"""Bundles: what is written is what was fitted, what is read is what was written, and anything else is an error."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, save

from cvtbatch import contracts
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.bundle_files import ARRAYS, DOCUMENT, FILES, GOLDEN, SELECTION
from cvtbatch.errors import FormatError, InputError
from tests.support.cohorts import SPECS, as_table, small_fit, write
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    write(out, small_fit()[1])
    return out


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


def copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    for name in (DOCUMENT, *FILES):
        (to / name).write_bytes((folder / name).read_bytes())
    return to


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and its hash, as somebody would who knows how."""
    (folder / name).write_bytes(data)
    document = json.loads((folder / DOCUMENT).read_text())
    document["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / DOCUMENT).write_text(json.dumps(document))


def test_a_written_bundle_scores_as_the_fit_did(bundle: Bundle) -> None:
    cohort, fit = small_fit()
    scored = bundle.score(as_table(cohort))
    assert scored["bundle_digest"].unique().to_pylist() == [bundle.digest]
    from cvtbatch.dlrn.scoring import score_batch

    expected = score_batch(fit.model, SPECS, as_table(cohort), explain=False)
    assert scored.drop_columns(["bundle_digest"]).equals(expected)


def test_golden_rows_go_in_as_they_are_and_hold_the_odd_ones(bundle: Bundle, folder: Path) -> None:
    golden = pq.read_table(folder / GOLDEN)
    assert set(bundle.needed_columns()) <= set(golden.column_names)
    scored = bundle.score(golden)
    for name in ("rad", "dl", "dlr"):
        assert scored[name].to_pylist() == golden[f"expected_{name}"].to_pylist()
    both = zip(scored["dlrn"].to_pylist(), golden["expected_dlrn"].to_pylist(), strict=True)
    assert all(
        (own is None) == (expected is None) and abs((own or 0) - (expected or 0)) <= 1e-12 for own, expected in both
    )
    assert golden["epilepsy"].null_count > 0
    assert golden["embedding"].null_count == 1
    flags = set(scored["flags"].combine_chunks().flatten().to_pylist())
    assert flags == {"epilepsy_unknown", "no_embedding", "feature_missing", "outside_training_range"}
    assert len(set(scored["dlr"].drop_null().to_pylist())) > 10


def test_a_tar_is_the_same_bundle(folder: Path, tmp_path: Path, bundle: Bundle) -> None:
    assert write(tmp_path / "bundle.tar", small_fit()[1]) == bundle.digest
    assert load_bundle(tmp_path / "bundle.tar").digest == bundle.digest
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(folder, "some/folder")
    assert load_bundle(tmp_path / "other.tar").digest == bundle.digest


def test_nothing_in_a_bundle_is_code_or_a_time(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted([DOCUMENT, *FILES])
    text = (folder / DOCUMENT).read_text()
    assert "202" not in "".join(part for part in text.split('"') if "T" in part and ":" in part)
    assert str(ROOT) not in text


def test_another_document_is_another_bundle_or_none(folder: Path, tmp_path: Path, bundle: Bundle) -> None:
    other = copy(folder, tmp_path / "other")
    text = (folder / DOCUMENT).read_text()
    (other / DOCUMENT).write_text(text.replace('"intended_use": "tests"', '"intended_use": "test"'))
    assert load_bundle(other).digest != bundle.digest
    (other / DOCUMENT).write_text(text.replace('"format_version"', '"format_versiom"'))
    with pytest.raises(FormatError, match="format_versiom"):
        load_bundle(other)
    (other / DOCUMENT).write_text(text[:-5])
    with pytest.raises(FormatError, match="no JSON"):
        load_bundle(other)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_an_error_wherever_it_is(folder: Path, tmp_path: Path, name: str) -> None:
    changed = copy(folder, tmp_path / "changed")
    data = bytearray((changed / name).read_bytes())
    data[len(data) // 2] ^= 1
    (changed / name).write_bytes(bytes(data))
    with pytest.raises(FormatError, match=f"{name} is not what was written") as caught:
        load_bundle(changed)
    assert caught.value.kind == "bundle_damaged"


def test_a_missing_file_a_newer_format_and_an_unknown_key_are_errors(folder: Path, tmp_path: Path) -> None:
    (copy(folder, tmp_path / "a") / SELECTION).unlink()
    with pytest.raises(FormatError, match=r"selection\.parquet is missing"):
        load_bundle(tmp_path / "a")
    document = json.loads((folder / DOCUMENT).read_text())
    for place, changed in enumerate(({"format_version": 4}, {"surprise": 1})):
        other = copy(folder, tmp_path / f"b{place}")
        (other / DOCUMENT).write_text(json.dumps({**document, **changed}))
        with pytest.raises(FormatError, match=["format version 4", "surprise"][place]) as caught:
            load_bundle(other)
        assert caught.value.kind == ["bundle_too_new", "bundle_damaged"][place]
    with pytest.raises(InputError, match="no bundle"):
        load_bundle(tmp_path)
    with pytest.raises(InputError) as missing:
        load_bundle(tmp_path / "nowhere")
    assert missing.value.kind == "no_bundle"


def test_a_model_that_scores_its_golden_rows_otherwise_is_refused(folder: Path, tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    arrays = load((other / ARRAYS).read_bytes())
    arrays["terms"] = arrays["terms"] + np.array([0, 1e-9, 0])
    rewrite(other, ARRAYS, save(arrays))
    with pytest.raises(FormatError, match="golden rows: dlrn differs") as caught:
        load_bundle(other)
    assert caught.value.kind == "bundle_changed"
    arrays = load((folder / ARRAYS).read_bytes())
    arrays["dlr.share"] = np.nextafter(arrays["dlr.share"], 2)
    rewrite(other, ARRAYS, save(arrays))
    with pytest.raises(FormatError, match="golden rows: dlr differs"):
        load_bundle(other)


def test_a_number_that_no_golden_row_sees_is_held_too(folder: Path, tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    arrays = load((other / ARRAYS).read_bytes())
    # The share of an inner node decides no vote.
    arrays["rad.share"] = np.concatenate([[0.123], arrays["rad.share"][1:]])
    rewrite(other, ARRAYS, save(arrays))
    with pytest.raises(FormatError, match="scored with another model"):
        load_bundle(other)


GOLDEN_CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "do not have every expected_ column": lambda rows: rows.drop_columns(["expected_distance"]),
    "do not have every expected_ column ": lambda rows: rows.select(
        [name for name in rows.column_names if not name.startswith("expected_")]
    ),
    "each once": lambda rows: rows.append_column("expected_dlr", rows["expected_dlr"]),
    "dlr differs by nan": lambda rows: replaced(
        rows, "expected_dlr", pc.if_else(rows["expected_dlr"].is_valid(), float("nan"), None)
    ),
    "dlr is missing where it was not": lambda rows: replaced(
        rows, "expected_dlr", pa.array([None, *rows["expected_dlr"].to_pylist()[1:]])
    ),
    "dlr holds no number": lambda rows: replaced(rows, "expected_dlr", pa.nulls(len(rows), pa.float64())),
    "dlrn holds no number": lambda rows: replaced(rows, "expected_dlrn", pa.array(["0.5"] * len(rows))),
    "0 rows": lambda rows: rows.slice(0, 0),
    "6400 rows": lambda rows: pa.concat_tables([rows] * 200),
    "values: these are no golden rows": lambda rows: replaced(
        rows, "embedding", pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(len(rows) << 20, np.float32)), 1 << 20)
    ),
    "the table lacks: epilepsy": lambda rows: rows.drop_columns(["epilepsy"]),
    "31 numbers": lambda rows: replaced(rows, "embedding", pa.array([[0.0] * 31] * len(rows))),
}


def replaced(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


@pytest.mark.parametrize("said", GOLDEN_CHANGES)
def test_golden_rows_that_vouch_for_nothing_are_refused(folder: Path, tmp_path: Path, said: str) -> None:
    other = copy(folder, tmp_path / "other")
    buffer = io.BytesIO()
    pq.write_table(GOLDEN_CHANGES[said](pq.read_table(folder / GOLDEN)), buffer)
    rewrite(other, GOLDEN, buffer.getvalue())
    with pytest.raises(FormatError, match=said.strip()):
        load_bundle(other)


def test_what_only_looks_like_a_file_of_a_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    for name in (ARRAYS, GOLDEN):
        rewrite(other, name, b"\xff\xff\xff\xff\xff\0\0\0 not what it says")
        with pytest.raises(FormatError, match=name) as caught:
            load_bundle(other)
        assert caught.value.kind == "bundle_damaged"
        rewrite(other, name, (folder / name).read_bytes())
    assert load_bundle(other)
    text = (folder / DOCUMENT).read_text()
    zero = '"zero": 0.0'
    assert zero in text
    for wrong in (
        "[" * 100_000,
        text.replace(zero, '"zero": NaN'),
        text.replace(zero, '"zero": 1e999'),
        '"\\ud800"',
        "7",
    ):
        (other / DOCUMENT).write_text(wrong)
        with pytest.raises(FormatError, match="no JSON"):
            load_bundle(other)
    # A hole: it is large, and takes nothing.
    with (other / DOCUMENT).open("r+b") as file:
        file.truncate(17 << 20)
    with pytest.raises(FormatError, match="larger than 16 MB"):
        load_bundle(other)


def packed(folder: Path, tar: Path, change: Callable[[tarfile.TarInfo], None], more: int = 0) -> Path:
    with tarfile.open(tar, "w") as file:
        for name in (DOCUMENT, *FILES):
            entry = file.gettarinfo(folder / name, name)
            change(entry)
            file.addfile(entry, io.BytesIO((folder / name).read_bytes()))
        for number in range(more):
            file.addfile(tarfile.TarInfo(f"._{number}"))
    return tar


def test_a_tar_is_read_as_a_bundle_and_as_nothing_else(folder: Path, tmp_path: Path, bundle: Bundle) -> None:
    def outside(entry: tarfile.TarInfo) -> None:
        entry.name = f"../{entry.name}"

    def absolute(entry: tarfile.TarInfo) -> None:
        entry.name = f"/etc/{entry.name}"

    def link(entry: tarfile.TarInfo) -> None:
        if entry.name == GOLDEN:
            entry.type, entry.linkname, entry.size = tarfile.SYMTYPE, "/etc/passwd", 0

    def twice(entry: tarfile.TarInfo) -> None:
        entry.name = DOCUMENT

    def nothing(entry: tarfile.TarInfo) -> None:
        pass

    assert load_bundle(packed(folder, tmp_path / "mac.tar", nothing, more=4)).digest == bundle.digest
    for change, said, more in (
        (outside, "outside its folder", 0),
        (absolute, "outside its folder", 0),
        (link, "is a link", 0),
        (twice, "is in the tar twice", 0),
        (nothing, "more than 256 files", 300),
    ):
        with pytest.raises(FormatError, match=said) as caught:
            load_bundle(packed(folder, tmp_path / "odd.tar", change, more))
        assert caught.value.kind == "bundle_damaged"
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(InputError, match="neither a folder nor a tar"):
        load_bundle(tmp_path / "pipe.tar")


def test_missing_columns_and_other_specifications_are_errors(bundle: Bundle) -> None:
    table = as_table(small_fit()[0])
    name = bundle.model.radiomics[0]
    for column in (name, "embedding", "epilepsy"):
        with pytest.raises(InputError, match=f"lacks: {column}") as caught:
            bundle.score(table.drop_columns([column]))
        assert caught.value.kind == "missing_column"
    for column in (name, "roi_key"):
        with pytest.raises(InputError, match=f"column {column} 2 times") as caught:
            bundle.score(table.append_column(column, table[column]))
        assert caught.value.kind == "bad_column"
    for column in ("radiomics_spec_id", "embedding_spec_id"):
        own = table.append_column(column, pa.array([None, *[getattr(SPECS, column)] * (len(table) - 1)]))
        assert bundle.score(own).num_rows == len(table)
        with pytest.raises(InputError, match="rad-other") as caught:
            bundle.score(own.set_column(own.num_columns - 1, column, pa.array(["rad-other"] * len(table))))
        assert caught.value.kind == "other_spec"
    short = pa.array([[0.0] * 31] * len(table), pa.list_(pa.float32()))
    with pytest.raises(InputError, match="31 numbers; the bundle takes 32"):
        bundle.score(table.set_column(table.column_names.index("embedding"), "embedding", short))
    for column, values, kind in (
        (name, ["x"], "bad_column"),
        ("epilepsy", [2], "bad_value"),
        ("embedding", [1.0], "bad_column"),
    ):
        place = table.column_names.index(column)
        with pytest.raises(InputError) as caught:
            bundle.score(table.set_column(place, column, pa.array(values * len(table))))
        assert caught.value.kind == kind


def test_a_bundle_is_written_whole_once_and_by_its_contract(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is something already"):
        write(folder, small_fit()[1])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file" / "bundle", small_fit()[1])


def test_the_selection_table_has_a_verdict_and_a_reason_for_every_column(folder: Path) -> None:
    cohort, fit = small_fit()
    table = pq.read_table(folder / SELECTION)
    kept = fit.document["embedding_components"]["kept"]  # type: ignore[index]
    assert len(table) == 2 * (len(cohort.radiomics_names) + kept)
    rows = table.to_pylist()
    assert all(bool(row["reason"]) == (row["left_at"] != "selected") or row["reason"] == "smallest P" for row in rows)
    selected = [row for row in rows if row["left_at"] == "selected"]
    for name in ("rad", "dl", "dlr"):
        own = {row["feature"]: row["importance"] for row in selected if row["signature"] == name}
        said = {entry["feature"]: entry["importance"] for entry in fit.document["signatures"][name]["selected"]}  # type: ignore[index]
        assert own == said
        assert sum(own.values()) == pytest.approx(1)
        assert all(0 <= row["stability"] <= 1 for row in selected)


def test_scoring_needs_neither_torch_nor_scikit_learn(folder: Path) -> None:
    code = (
        "import sys\n"
        "from cvtbatch.dlrn import load_bundle\n"
        "import pyarrow.parquet as pq\n"
        f"table = load_bundle({str(folder)!r}).score(pq.read_table({str(folder / GOLDEN)!r}), explain=True)\n"
        "heavy = {'torch', 'sklearn', 'imblearn', 'statsmodels', 'dask', 'threadpoolctl'}\n"
        "print('ROWS', table.num_rows, 'LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "ROWS 32 LOADED []"


def test_documents_have_no_nan(folder: Path) -> None:
    json.loads((folder / DOCUMENT).read_text(), parse_constant=lambda text: pytest.fail(text))
    for name in (GOLDEN, SELECTION):
        table = pq.read_table(io.BytesIO((folder / name).read_bytes()))
        for field in table.schema:
            if pa.types.is_floating(field.type):
                assert not np.isnan(table[field.name].drop_null().to_numpy()).any()


FOLD = {"columns": {"radiomics": [], "components": []}, "nomogram": {"axes": [], "intercept": 0, "per_point": 1}}
LATER = {
    "outcome": {"column": "etiology", "classes": ["HP", "CAA", "CVT"]},
    "clinical_terms": [{"name": "age", "kind": "fractional", "low": 18, "high": 95}],
    "pooling": {"kind": "transformer", "components": "of_pooled"},
    "regions": [{"name": "hematoma.rim5", "region_spec_id": "reg-1", "columns": ["a"]}],
    "feature_sets": [{"table": "signs", "spec_id": "sig-1", "columns": ["satellites"]}],
    "backbones": [
        {"name": "timm:x", "embedding_spec_id": "e", "length": 8, "sha256": "", "licence": "MIT", "source": "hub"}
    ],
    "harmonisation": {
        "method": "longitudinal",
        "centers": ["C1"],
        "reference": "C1",
        "columns": ["a"],
        "new_centers": "own_cases",
    },
    "prediction_sets": {"method": "later", "alpha": 0.1, "by_class": True, "bound": 0.8, "folds": [FOLD, FOLD]},
}


def test_what_the_contract_foresees_is_described_and_refused(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / DOCUMENT).read_text())
    assert set(LATER) == set(contracts.defaults_of("bundle.json"))
    for name, value in LATER.items():
        changed = {**document, name: value}
        assert contracts.problems_of(changed, "bundle.json") == [], name
        assert contracts.problems_of({**document, name: 5}, "bundle.json") != [], name
        other = copy(folder, tmp_path / name)
        (other / DOCUMENT).write_text(json.dumps(changed))
        with pytest.raises(FormatError, match=f"made for a later version: {name};") as caught:
            load_bundle(other)
        assert caught.value.kind == "bundle_too_new"


def test_what_the_contract_foresees_may_stand_at_its_default(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / DOCUMENT).read_text())
    defaults = contracts.defaults_of("bundle.json")
    assert not set(defaults) & set(document)
    assert contracts.problems_of({**document, **defaults}, "bundle.json") == []
    other = copy(folder, tmp_path / "told")
    (other / DOCUMENT).write_text(json.dumps({**document, **defaults}))
    assert load_bundle(other).model.thresholds == load_bundle(folder).model.thresholds
