"""Scores of odd and plain rows: one alone as among others, nothing guessed, nothing NaN, and reasons that add up."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cvtbatch.dlrn.model import TRAINING_MEAN, FrozenModel
from cvtbatch.dlrn.scoring import score_batch
from cvtbatch.dlrn.settings import SIGNATURES
from cvtbatch.dlrn.thresholds import THRESHOLDS
from tests.support.cohorts import SPECS, CohortPlan, as_table, made_cohort, small_fit


@pytest.fixture(scope="module")
def model() -> FrozenModel:
    return small_fit()[1].model


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return as_table(made_cohort(CohortPlan(epilepsy=(0.1, 0.5), center="C2"), 7))


def score(model: FrozenModel, table: pa.Table, explain: bool = False) -> pa.Table:
    return score_batch(model, SPECS, table, explain=explain)


def put(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))


def test_one_row_scores_to_the_last_bit_as_it_does_among_others(model: FrozenModel, table: pa.Table) -> None:
    together = score(model, table, explain=True)
    alone = pa.concat_tables([score(model, table.slice(row, 1), explain=True) for row in range(len(table))])
    assert together.combine_chunks().equals(alone.combine_chunks())
    backwards = score(model, table.take(list(range(len(table)))[::-1]), explain=True)
    assert backwards.take(list(range(len(table)))[::-1]).combine_chunks().equals(together.combine_chunks())


def test_a_file_of_many_batches_scores_as_one(
    model: FrozenModel, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(model, table)
    monkeypatch.setattr("cvtbatch.dlrn.scoring.ROWS_AT_ONCE", 7)
    assert score(model, table).combine_chunks().equals(expected.combine_chunks())


def test_an_empty_table_has_empty_scores(model: FrozenModel, table: pa.Table) -> None:
    assert score(model, table.slice(0, 0), explain=True).num_rows == 0


def test_unknown_epilepsy_gives_dlr_and_no_dlrn(model: FrozenModel, table: pa.Table) -> None:
    row = score(model, put(table, "epilepsy", 3, None)).to_pylist()[3]
    known = score(model, table).to_pylist()[3]
    assert row["flags"] == ["epilepsy_unknown", *known["flags"]]
    assert (row["rad"], row["dl"], row["dlr"]) == (known["rad"], known["dl"], known["dlr"])
    gone = {"dlrn", "points_epilepsy", "points_total", "clinical_points", *(f"dlrn_{name}" for name in THRESHOLDS)}
    assert {name for name in row if row[name] is None} == gone


def test_a_missing_feature_leaves_out_the_signatures_that_need_it(model: FrozenModel, table: pa.Table) -> None:
    known = score(model, table).to_pylist()
    for name in model.radiomics:
        users = {str(m) for m in SIGNATURES if model.columns.index(name) in model.used[m]}
        for value in (None, float("nan"), float("inf")):
            row = score(model, put(table, name, 0, value)).to_pylist()[0]
            assert {m for m in ("rad", "dl", "dlr") if row[m] is None} == users
            assert "feature_missing" in row["flags"]
            assert all(row[m] == known[0][m] for m in ("rad", "dl", "dlr") if m not in users)
            assert (row["dlrn"] is None) == ("dlr" in users)


def test_the_training_mean_stands_in_where_the_bundle_says_so(model: FrozenModel, table: pa.Table) -> None:
    name = model.radiomics[0]
    lenient = replace(model, missing_feature=TRAINING_MEAN)
    gap = score(lenient, put(table, name, 0, None)).to_pylist()[0]
    filled = score(lenient, put(table, name, 0, float(model.mean[0]))).to_pylist()[0]
    assert gap["flags"] == ["feature_replaced", *filled["flags"]]
    assert {key: value for key, value in gap.items() if key != "flags"} == {
        key: value for key, value in filled.items() if key != "flags"
    }


def test_without_an_embedding_there_is_rad_alone(model: FrozenModel, table: pa.Table) -> None:
    known = score(model, table).to_pylist()[2]
    broken = [float("nan"), *[0.0] * 31]
    for value in (None, broken):
        row = score(model, put(table, "embedding", 2, value)).to_pylist()[2]
        assert row["rad"] == known["rad"]
        assert (row["dl"], row["dlr"], row["dlrn"], row["distance"]) == (None, None, None, None)
        assert "no_embedding" in row["flags"]
    empty = table.set_column(table.column_names.index("embedding"), "embedding", pa.nulls(len(table)))
    assert score(model, empty)["dl"].null_count == len(table)


def test_nothing_is_ever_nan(model: FrozenModel, table: pa.Table) -> None:
    odd = put(put(put(table, model.radiomics[0], 0, None), "embedding", 1, None), "epilepsy", 2, None)
    scored = score(model, put(odd, model.radiomics[0], 3, 1e300), explain=True)
    for field in scored.schema:
        if pa.types.is_floating(field.type):
            assert not np.isnan(scored[field.name].drop_null().to_numpy()).any()


def test_classes_are_the_scores_at_the_frozen_thresholds(model: FrozenModel, table: pa.Table) -> None:
    scored = score(model, table)
    for name, thresholds in model.thresholds.items():
        for threshold, value in thresholds.items():
            expected = [int(probability >= value) for probability in scored[str(name)].to_pylist()]
            assert scored[f"{name}_{threshold}"].to_pylist() == expected


def test_points_stand_for_the_probability(model: FrozenModel, table: pa.Table) -> None:
    scored = score(model, table)
    total = scored["points_total"].to_numpy()
    np.testing.assert_allclose(total, scored["points_dlr"].to_numpy() + scored["points_epilepsy"].to_numpy())
    odds = model.nomogram.intercept + model.nomogram.per_point * total
    np.testing.assert_allclose(scored["dlrn"].to_numpy(), 1 / (1 + np.exp(-odds)), rtol=1e-12)


def test_values_outside_the_training_range_are_counted_and_named(model: FrozenModel, table: pa.Table) -> None:
    first, last = model.radiomics[0], model.radiomics[-1]
    inside = put(put(table, first, 0, float(model.mean[0])), last, 0, float(model.high[len(model.radiomics) - 1]))
    before = score(model, inside).to_pylist()[0]
    assert not {first, last} & set(before["outside_features"])
    beyond = float(np.nextafter(model.high[len(model.radiomics) - 1], np.inf))
    outside = put(put(inside, first, 0, float(model.low[0] - 1)), last, 0, beyond)
    after = score(model, outside).to_pylist()[0]
    assert set(after["outside_features"]) - set(before["outside_features"]) == {first, last}
    assert after["outside_count"] == len(after["outside_features"])
    assert "outside_training_range" in after["flags"]


def test_the_distance_knows_near_from_far(model: FrozenModel) -> None:
    own = score(model, as_table(small_fit()[0]))
    percentile = own["distance_percentile"].to_numpy()
    # Every training case is somewhere among the training cases.
    np.testing.assert_allclose(np.sort(percentile), 100 * np.arange(1, 91) / 90)
    far = as_table(small_fit()[0])
    for name in model.radiomics:
        column = far[name].to_numpy() + 30 * far[name].to_numpy().std()
        far = far.set_column(far.column_names.index(name), name, pa.array(column))
    assert min(score(model, far)["distance_percentile"].to_pylist()) == 100


def test_contributions_sum_up_to_the_dlr_score(model: FrozenModel, table: pa.Table) -> None:
    scored = score(model, put(table, "embedding", 4, None), explain=True).to_pylist()
    for row in scored:
        if row["dlr"] is None:
            assert (row["base"], row["top_features"], row["top_contributions"], row["other_contributions"]) == (
                None,
            ) * 4
            continue
        total = row["base"] + sum(row["top_contributions"]) + row["other_contributions"]
        assert total == pytest.approx(row["dlr"], abs=1e-12)
        sizes = [abs(value) for value in row["top_contributions"]]
        assert sizes == sorted(sizes, reverse=True)
        assert set(row["top_features"]) <= set(model.columns)
    assert scored[4]["dlr"] is None
