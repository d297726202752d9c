"""Features as a vector make the same rows as a value by column each."""

import numpy as np
import pyarrow as pa
import pytest

from cvtbatch import contracts
from cvtbatch.errors import InternalError
from cvtbatch.radiomics import PROFILES
from cvtbatch.store.arrow_rows import FEATURES, to_arrow
from tests.support.store_rows import feature_values, row

STUDY = contracts.table("radiomics")
OWN = contracts.feature_table("features_own", ["original_glcm_Id"])


@pytest.mark.parametrize("contract", [STUDY, OWN], ids=["study", "set of one"])
def test_a_vector_says_what_names_say(contract: contracts.TableContract) -> None:
    """Of NaN, -0.0 and infinity every bit, and what leading columns lack is null."""
    leading = [row("radiomics", roi_key=f"A/{n}", degenerate=["x"] * n, undefined_features=None) for n in range(3)]
    values = [{**feature_values(n), STUDY.features[7]: float("inf")} for n in range(3)]
    named = [
        {**lead, **{name: own[name] for name in contract.features}} for lead, own in zip(leading, values, strict=True)
    ]
    vectors = [
        {**lead, FEATURES: np.array([own[name] for name in contract.features])}
        for lead, own in zip(leading, values, strict=True)
    ]
    expected = pa.Table.from_pylist([{**one, "sequence": 5} for one in named], contract.arrow())
    found = to_arrow(vectors, contract, 5)
    found.validate(full=True)
    for table in (found, to_arrow(named, contract, 5)):
        assert table.schema == expected.schema
        assert repr(table.to_pylist()) == repr(expected.to_pylist())
        assert {table[name].null_count for name in contract.features} == {0}
        bits = [
            np.stack([np.asarray(t[name]) for name in contract.features]).view(np.uint64) for t in (table, expected)
        ]
        assert np.array_equal(*bits)


def test_the_studys_sets_are_in_the_order_of_its_table() -> None:
    assert {profile.names() for profile in PROFILES.values()} == {STUDY.features}


def test_a_vector_of_another_length_is_a_defect() -> None:
    rows = [row("radiomics", **{FEATURES: np.zeros(length)}) for length in (len(STUDY.features), 2)]
    with pytest.raises(InternalError, match=f"a row of table radiomics has not {len(STUDY.features)} features"):
        to_arrow(rows, STUDY, 1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_rows_of_both_kinds_are_not_put_together(order: tuple[int, int]) -> None:
    """Else the features of the one kind were null, or of the other missed."""
    rows = [row("radiomics", **{FEATURES: np.zeros(len(STUDY.features))}), row("radiomics", **feature_values(1))]
    with pytest.raises(InternalError, match="several versions of cvtbatch"):
        to_arrow([rows[place] for place in order], STUDY, 1)
