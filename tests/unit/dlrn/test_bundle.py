"""Bundles: what is written is what was fitted, what is read is what was written, and anything else is an error."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, save

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import ARRAYS, DOCUMENT, FILES, GOLDEN, SELECTION, Bundle
from cvtbatch.errors import FormatError, InputError
from tests.cohorts import SPECS, as_table, small_fit, write
from tests.support import ROOT


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
    for place, changed in enumerate(({"format_version": 3}, {"surprise": 1})):
        other = copy(folder, tmp_path / f"b{place}")
        (other / DOCUMENT).write_text(json.dumps({**document, **changed}))
        with pytest.raises(FormatError, match=["format version 3", "surprise"][place]) as caught:
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


def test_missing_columns_and_other_specifications_are_errors(bundle: Bundle) -> None:
    table = as_table(small_fit()[0])
    name = bundle.model.radiomics[0]
    for column in (name, "embedding", "epilepsy"):
        with pytest.raises(InputError, match=f"lacks: {column}") as caught:
            bundle.score(table.drop_columns([column]))
        assert caught.value.kind == "missing_column"
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
