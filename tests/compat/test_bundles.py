"""The bundles that former revisions wrote: later ones load them, and score with them as they did."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.settings import SIGNATURES

HERE = Path(__file__).parent
# Made once, never again.
DIGESTS = {
    "bundle-1": "237074604b848432f0b94147b20f7107ecd8a7b5abbee7d3bb10b5e0fee7d999",
    "bundle-2": "93fdafc2c45d880a388dc44b3c7f7aaed573d3badc7264d38597b8e9d7ca08ea",
    "bundle-2-recalibrated": "cde489b619288d2020ead808ff58f8d332e370bdd5d1b3ca4676d4a0e8d482f8",
    "bundle-3": "9a0911f05cf0d81fcefc419f4cbeb19068daccf44362f778cbaa2658a8a8fb5c",
    "bundle-3-recalibrated": "eb31edf6c0b87fb3a3ed74ab6f12003beaf04615e5430fce83dc451e0899e954",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_former_bundle_scores_as_it_did(name: str) -> None:
    bundle = load_bundle(HERE / name)
    assert bundle.digest == DIGESTS[name]
    golden = pq.read_table(HERE / name / "golden.parquet")
    scored = bundle.score(golden)
    expected = [column for column in golden.column_names if column.startswith("expected_")]
    assert len(expected) == (23 if name.startswith("bundle-3") else 20)
    for column in expected:
        own = scored[column.removeprefix("expected_")]
        if pa.types.is_integer(own.type) or column.removeprefix("expected_") in {"rad", "dl", "dlr"}:
            assert own.to_pylist() == golden[column].to_pylist(), column
            continue
        for found, value in zip(own.to_pylist(), golden[column].to_pylist(), strict=True):
            assert (found is None) == (value is None)
            assert found is None or abs(found - value) <= 1e-12 * max(1, abs(value)), column


@pytest.mark.parametrize("name", DIGESTS)
def test_rows_alone_score_as_they_did_together(name: str) -> None:
    bundle = load_bundle(HERE / name)
    golden = pq.read_table(HERE / name / "golden.parquet")
    for row in range(golden.num_rows):
        alone = bundle.score(golden.slice(row, 1))
        for model in ("rad", "dl", "dlr"):
            assert alone[model].to_pylist() == golden[f"expected_{model}"].slice(row, 1).to_pylist()


@pytest.mark.parametrize("name", DIGESTS)
def test_its_document_still_keeps_to_the_contract(name: str) -> None:
    document = json.loads((HERE / name / "bundle.json").read_text())
    assert (document["format"], document["format_version"]) == ("cvtbatch-bundle", int(name.split("-")[1]))
    assert document["protocol"] == "sound"


def test_what_a_bundle_keeps_of_training_depends_on_its_format() -> None:
    assert load_bundle(HERE / "bundle-1").out_of_fold == {}
    kept = load_bundle(HERE / "bundle-2")
    assert [len(scores.events) for scores in kept.out_of_fold.values()] == [30, 30, 30, 28]
    told = load_bundle(HERE / "bundle-2-recalibrated").document["recalibration"]
    assert told["parent_digest"] == kept.digest
    assert (kept.model.recalibrated, kept.description.cohort_summary, kept.moments) == ((), None, None)
    for name in ("bundle-3", "bundle-3-recalibrated"):
        newest = load_bundle(HERE / name)
        assert newest.model.recalibrated == SIGNATURES
        assert newest.description.cohort_summary is not None
        assert set(newest.description.cohort_summary.features) == set(newest.model.columns)
        assert newest.moments is not None
        assert newest.description.primary == ("A", 1)
