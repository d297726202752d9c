"""The bundle that the first revision wrote: later ones load it, and score with it as it did."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cvtbatch.dlrn import load_bundle

FOLDER = Path(__file__).parent / "bundle-1"
# Made once, never again.
DIGEST = "237074604b848432f0b94147b20f7107ecd8a7b5abbee7d3bb10b5e0fee7d999"


def test_the_first_bundle_scores_as_it_did() -> None:
    bundle = load_bundle(FOLDER)
    assert bundle.digest == DIGEST
    golden = pq.read_table(FOLDER / "golden.parquet")
    scored = bundle.score(golden)
    expected = [name for name in golden.column_names if name.startswith("expected_")]
    assert len(expected) == 20
    for name in expected:
        own = scored[name.removeprefix("expected_")]
        if pa.types.is_integer(own.type) or name.removeprefix("expected_") in {"rad", "dl", "dlr"}:
            assert own.to_pylist() == golden[name].to_pylist(), name
            continue
        for found, value in zip(own.to_pylist(), golden[name].to_pylist(), strict=True):
            assert (found is None) == (value is None)
            assert found is None or abs(found - value) <= 1e-12 * max(1, abs(value)), name


def test_rows_alone_score_as_they_did_together() -> None:
    bundle = load_bundle(FOLDER)
    golden = pq.read_table(FOLDER / "golden.parquet")
    for row in range(golden.num_rows):
        alone = bundle.score(golden.slice(row, 1))
        for name in ("rad", "dl", "dlr"):
            assert alone[name].to_pylist() == golden[f"expected_{name}"].slice(row, 1).to_pylist()


def test_its_document_still_keeps_to_the_contract() -> None:
    document = json.loads((FOLDER / "bundle.json").read_text())
    assert (document["format"], document["format_version"]) == ("cvtbatch-bundle", 1)
    assert document["protocol"] == "sound"
