"""Portions against the whole store."""

import numpy as np
import pyarrow.compute as pc
import pytest

from cvtbatch.store import FeatureStore, Portions, Wanted, portions
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, add_cases, add_specs, case_rows

CASES = 7
# Of each case by number, in no order; one is left out.
PORTION = {0: 2, 1: 0, 2: 1, 3: -1, 4: 0, 5: 2, 6: 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    opened = FeatureStore.open_for_writing(str(tmp_path_factory.mktemp("portions") / "store"))
    add_specs(opened, VOLUME_SPEC, RADIOMICS_SPEC)
    for number in range(CASES):
        add_cases(opened, case_rows(opened, number))
    # A second image of case 4, whose outline does not lie on it.
    opened.table("volumes").append(case_rows(opened, 4, image="other")["volumes"])
    return opened


@pytest.mark.parametrize("held", [1, 1000])
def test_a_portion_reads_as_the_store_does_for_its_cases(
    store: FeatureStore, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "HELD_ROWS", held)
    wanted = {name: Wanted(("recorded_at",)) for name in ("cases", "volumes", "rois", "failures")}
    wanted["radiomics"] = Wanted((), pc.field("radiomics_spec_id") == RADIOMICS_SPEC.spec_id)
    sorted_out = Portions(store.at(None), wanted, lambda cases: np.array([PORTION[int(name)] for _, name in cases]))
    for number in (0, 1, 2):
        view, names = sorted_out.view(number), [str(case) for case, where in PORTION.items() if where == number]
        for table in wanted:
            here, whole = view.rows(table), store.current(table)
            expected = whole.filter(pc.is_in(whole["case_id"], value_set=pc.cast(names, "string")))
            columns = [name for name in here.column_names if name in expected.column_names]
            order = [("case_key", "ascending"), ("sequence", "ascending")]
            assert here.sort_by(order).to_pylist() == expected.select(columns).sort_by(order).to_pylist()
        assert view.read("embeddings").num_rows == 0
    assert sorted(sorted_out.view(0).rows("cases", ["case_key"])["case_key"].to_pylist()) == ["A/1", "A/4"]
