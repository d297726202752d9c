"""DataFrames to score: the scores are those of the same rows as a table, to the last bit, under the frame's own index."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch.dlrn import RoundedWarning, load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.errors import InputError
from tests.support.paths import ROOT

# Written by an earlier version; its golden rows carry the scores that they had there.
FOLDER = ROOT / "tests" / "compat" / "bundle-3"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(FOLDER)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    golden = pq.read_table(FOLDER / "golden.parquet")
    inputs = golden.select([name for name in golden.column_names if not name.startswith("expected_")])
    keys = pa.array([f"C9/{number}/hematoma/A/1" for number in range(len(inputs))])
    return inputs.append_column("roi_key", keys)


@pytest.fixture
def frame(rows: pa.Table) -> pd.DataFrame:
    found = rows.to_pandas()
    return found.set_index(pd.Index(range(100, 100 + len(found)), name="number"))


def test_a_frame_scores_as_its_table_under_its_own_index(bundle: Bundle, rows: pa.Table, frame: pd.DataFrame) -> None:
    scored, expected = bundle.score(frame, explain=True), bundle.score(rows, explain=True)
    assert isinstance(expected, pa.Table)
    assert scored.index.equals(frame.index)
    assert list(scored.columns) == expected.column_names
    pd.testing.assert_frame_equal(scored.reset_index(drop=True), expected.to_pandas(), check_exact=True)
    assert scored["dlrn"].isna().any()


def test_scores_are_those_of_the_version_that_wrote_the_bundle(bundle: Bundle, frame: pd.DataFrame) -> None:
    golden = pq.read_table(FOLDER / "golden.parquet").to_pandas()
    scored = bundle.score(frame)
    for name in ("rad", "dl", "dlr"):
        assert np.array_equal(scored[name].to_numpy(), golden[f"expected_{name}"].to_numpy(), equal_nan=True)


def test_probabilities_are_of_both_classes_and_unknown_where_there_is_no_score(
    bundle: Bundle, rows: pa.Table, frame: pd.DataFrame
) -> None:
    expected = bundle.score(rows)["dlrn"].to_numpy()
    for given in (rows, frame):
        probability = bundle.predict_proba(given)
        assert probability.shape == (len(rows), 2)
        assert np.array_equal(probability[:, 1], expected, equal_nan=True)
        assert np.array_equal(np.isnan(probability[:, 0]), np.isnan(expected))
        assert np.nansum(probability) == pytest.approx(np.isfinite(expected).sum(), abs=1e-9)


def test_what_a_bundle_does_not_look_at_may_be_anything(bundle: Bundle, frame: pd.DataFrame) -> None:
    odd = frame.assign(note=[object()] * len(frame))
    odd[7] = 1
    assert bundle.score(odd).equals(bundle.score(frame))


def test_a_frame_without_rows_has_no_scores(bundle: Bundle, frame: pd.DataFrame) -> None:
    assert bundle.score(frame.iloc[:0]).shape[0] == 0
    assert bundle.predict_proba(frame.iloc[:0]).shape == (0, 2)


def spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with a column for each number of the embedding, the last one first, as a CSV may have them."""
    length = len(frame["embedding"].dropna().iloc[0])
    numbers = [[np.nan] * length if value is None else list(value) for value in frame["embedding"]]
    columns = pd.DataFrame(numbers, frame.index, [f"emb_{number:04d}" for number in range(length)])
    return pd.concat([columns[columns.columns[::-1]], frame.drop(columns="embedding")], axis=1)


def test_an_embedding_in_columns_scores_as_the_list_wherever_they_stand(
    bundle: Bundle, rows: pa.Table, frame: pd.DataFrame
) -> None:
    assert frame["embedding"].isna().any()
    expected = bundle.score(frame)
    shuffled = spread(frame).sample(frac=1, axis=1, random_state=3)
    for given in (spread(frame), shuffled, spread(frame).astype({"emb_0003": np.float32})):
        pd.testing.assert_frame_equal(bundle.score(given)[expected.columns], expected, check_exact=True)
        assert np.array_equal(bundle.predict_proba(given), bundle.predict_proba(rows), equal_nan=True)
    table = pa.Table.from_pandas(shuffled, preserve_index=False)
    assert bundle.score(table).select(expected.columns).to_pydict() == bundle.score(rows).to_pydict()
    assert bundle.score(spread(frame).iloc[:0]).shape[0] == 0


def test_an_embedding_in_columns_is_whole_or_refused(bundle: Bundle, frame: pd.DataFrame) -> None:
    columns = spread(frame)
    assert (
        "1 of these columns are missing, the first is emb_0005" in _refused(bundle, columns.drop(columns="emb_0005"))[1]
    )
    assert "column emb_0999: the bundle takes" in _refused(bundle, columns.assign(emb_0999=0.0))[1]
    both = columns.assign(embedding=frame["embedding"])
    assert "there twice, as embedding and as emb_" in _refused(bundle, both)[1]
    twice = pd.concat([columns, columns[["emb_0002"]]], axis=1)
    assert _refused(bundle, twice) == ("bad_column", "the table has column emb_0002 2 times")
    assert "emb_0002" in _refused(bundle, columns.assign(emb_0002="x"))[1]


def test_values_that_were_rounded_are_said(bundle: Bundle, rows: pa.Table, frame: pd.DataFrame) -> None:
    name = bundle.model.radiomics[0]
    told = rf"1 columns hold fewer bits than a store's \(float64\), the first is {name} \(float32\)"
    with pytest.warns(RoundedWarning, match=told):
        bundle.score(frame.astype({name: np.float32}))
    rounded = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.float32()))
    with pytest.warns(RoundedWarning, match=told):
        bundle.predict_proba(rounded)
    with pytest.warns(RoundedWarning, match=r"float32\), the first is emb_0001 \(float16\)"):
        bundle.score(spread(frame).astype({"emb_0001": np.float16}))


def _refused(bundle: Bundle, rows: object) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        bundle.score(rows)
    with pytest.raises(InputError) as again:
        bundle.predict_proba(rows)
    assert str(again.value) == str(caught.value)
    return caught.value.kind, caught.value.message


def test_a_column_that_is_missing_is_named_with_the_one_that_looks_like_it(bundle: Bundle, frame: pd.DataFrame) -> None:
    kind, message = _refused(bundle, frame.rename(columns={"epilepsy": "Epilepsy"}))
    assert (kind, message) == (
        "missing_column",
        "the bundle needs columns that the table lacks: epilepsy; the column Epilepsy looks like epilepsy",
    )
    [(kind, message)] = {_refused(bundle, frame.drop(columns="embedding"))}
    assert message == "the bundle needs columns that the table lacks: embedding"


def test_what_cannot_be_scored_is_refused_in_words(bundle: Bundle, frame: pd.DataFrame) -> None:
    twice = pd.concat([frame, frame[["epilepsy"]]], axis=1)
    assert _refused(bundle, twice) == ("bad_column", "the table has column epilepsy 2 times")
    mixed = frame.assign(epilepsy=[*["yes", 1], *[0] * (len(frame) - 2)])
    kind, message = _refused(bundle, mixed)
    assert kind == "bad_column"
    assert "epilepsy" in message
    assert _refused(bundle, frame.to_numpy())[0] == "bad_argument"
    assert "not a str" in _refused(bundle, str(Path("scores.csv")))[1]
    assert "DataFrame of polars; its to_arrow() gives a table" in _refused(bundle, polars.DataFrame({"a": [1]}))[1]
    as_text = frame.assign(embedding=[str(value) for value in frame["embedding"]])
    assert "a CSV holds an embedding as emb_0000 ..." in _refused(bundle, as_text)[1]
    assert "not a Series" in _refused(bundle, frame["epilepsy"])[1]


def test_a_bundle_is_named_by_a_path() -> None:
    with pytest.raises(InputError, match="not by a dict"):
        load_bundle({})  # type: ignore[arg-type]
