"""Filters as text: what they leave is what DuckDB leaves, and what is wrong is named with its place."""

import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvtbatch.errors import InputError
from cvtbatch.store.filters import to_expression

ROWS = pa.table(
    {
        "row": pa.array(range(8), pa.int64()),
        "center": ["C1", "C1", "C2", None, "it's", "C2", "", "c1"],
        "age": [60.0, None, 70.5, 70.5, -3.0, 0.0, 41.0, 60.0],
        "cvt": pa.array([1, 0, None, 1, 0, 1, 0, None], pa.int64()),
        "flag": [True, None, False, True, False, None, True, False],
        "log-sigma-1-0-mm_Mean": [1e-5, 2.0, None, 4.0, 5.0, 6.0, 7.0, 8.0],
        "values": [[1.0]] * 8,
        "seen_at": pa.array([datetime.datetime(2026, 5, day, 12) for day in range(1, 9)], pa.timestamp("us", tz="UTC")),
    }
)


def left_by(where: str) -> list[int]:
    return ROWS.filter(to_expression(where, ROWS.schema))["row"].to_pylist()


def left_by_duckdb(where: str) -> list[int]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", ROWS)
        return [row for (row,) in connection.execute(f"SELECT row FROM rows WHERE {where} ORDER BY row").fetchall()]


@pytest.mark.parametrize(
    "where",
    [
        "center == 'C1'",
        "center = 'C1' AND age >= 60",
        "center = 'it''s' or \"age\" < .5",
        "NOT (center = 'C1' OR cvt = 1)",
        "not not cvt <> 1",
        "age NOT IN (60, 41) AND age IN (70.5, -3, 1e1)",
        "center IN ('C1', 'c1')",
        "age BETWEEN -3 AND 41",
        "age NOT BETWEEN 0 AND 60",
        "cvt IS NULL OR flag IS NOT NULL AND age > 60",
        "flag",
        "NOT flag",
        "flag = FALSE",
        "cvt < age",
        "60 <= age",
        '"log-sigma-1-0-mm_Mean" < 2e-5',
        "seen_at > '2026-05-04' AND seen_at <= '2026-05-06 12:00:00'",
        "((age = 60))",
    ],
)
def test_what_is_left_is_what_duckdb_leaves(where: str) -> None:
    assert left_by(where) == left_by_duckdb(where)
    assert 0 < len(left_by(where)) < len(ROWS)


TESTS = st.sampled_from(
    [
        "age > 50",
        "cvt = 1",
        "cvt IS NULL",
        "center IN ('C1', 'C2')",
        "age NOT IN (60)",
        "flag",
        "cvt != 0",
        "age BETWEEN 0 AND 61",
    ]
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        inner.map("NOT {}".format),
        inner.map("({})".format),
        st.tuples(inner, st.sampled_from(["AND", "or"]), inner).map(" ".join),
    ),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None)
@given(CONDITIONS)
def test_conditions_bind_as_in_sql_and_what_is_empty_is_neither_true_nor_false(where: str) -> None:
    assert left_by(where) == left_by_duckdb(where)


def test_a_long_list_of_values_nests_no_deeper() -> None:
    assert left_by(f"age IN ({', '.join(map(str, range(41, 3000)))})") == [0, 6, 7]


def test_an_expression_passes_as_it_is() -> None:
    expression = pc.field("age") > 60
    assert to_expression(expression, ROWS.schema) is expression
    assert to_expression(None, ROWS.schema) is None


@pytest.mark.parametrize(
    ("where", "kind", "told"),
    [
        ("centre = 'C1'", "no_such_column", "character 1: there is no column 'centre'; did you mean center?"),
        ("Age > 60 ", "no_such_column", "did you mean age?"),
        ('center = "C9"', "no_such_column", "character 10: there is no column 'C9'.*single quotes: 'C9'"),
        (
            "age > '60'",
            "bad_filter",
            r"character 7 \(\"'60'\"\): age is a number and '60' is a text; compare it with 60, without quotes",
        ),
        ("cvt = TRUE", "bad_filter", r"character 7 \('TRUE'\): cvt is a number and TRUE is true or false"),
        ("age >", "bad_filter", r"character 6 \(the end\): a column or a value was expected"),
        ("age", "bad_filter", "a comparison was expected, e.g. age = 1"),
        ("center LIKE 'C%'", "bad_filter", r"character 8 \('LIKE'\): a comparison was expected"),
        ("age = NULL", "bad_filter", r"character 7 \('NULL'\): nothing equals NULL: write age IS NULL"),
        ("age <> None", "bad_filter", r"\('None'\): nothing equals None: write age IS NOT NULL"),
        ("age IN (60, null)", "bad_filter", "nothing equals null: leave it out, and write OR age IS NULL"),
        ("age > 1 & cvt = 1", "bad_filter", r"character 9 \('&'\): write AND instead of &"),
        ("age > 1 && cvt = 1", "bad_filter", "write AND instead of &&"),
        ("age > 1 || cvt = 1", "bad_filter", r"write OR instead of \|\|"),
        ("~flag", "bad_filter", "write NOT instead of ~"),
        ("age => 60", "bad_filter", "character 5 .*write >= instead of =>"),
        ("center IN ['C1']", "bad_filter", "a list stands in round brackets"),
        ("center = 'C1", "bad_filter", "this text has no end"),
        ("volume_ml > 3", "no_such_column", r"volume_ml is a column of table rois: store.rois\(\) has it"),
        ("center = 'C1' AND slice_index = 3", "no_such_column", r"character 19: .*store.embeddings\(\) has it"),
        ("epilepsy = 1", "no_such_column", r"table cases: store.cases\(\) and store.wide\(\) have it"),
        ("noise_hu > 3", "no_such_column", r"table volumes: store.current\('volumes'\) has it"),
        ("(age > 1", "bad_filter", r"character 9 \(the end\): \) was expected"),
        ("age > 1; DROP TABLE cases", "bad_filter", r"character 8 \(';'\): this cannot be read"),
        ("age > 1 cvt = 1", "bad_filter", r"character 9 \('cvt'\): AND, OR or the end was expected"),
        ("values = 1", "bad_filter", "values is a list"),
        ("seen_at > 'May'", "bad_filter", "'May' is no time such as '2026-05-01'"),
        ("", "bad_filter", "character 1"),
        ("(" * 90, "bad_filter", "more than 50 brackets"),
        (["center"], "bad_filter", "where is a text, e.g. .*, or an Arrow expression, not a list"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(where: str, kind: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        to_expression(where, ROWS.schema)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (pc.field("volume_ml") > 3, "no column 'volume_ml'; volume_ml is a column of table rois"),
        ((pc.field("age") > 3) & (pc.field("centre") == "C1"), "no column 'centre'; did you mean center?"),
        (pc.field("cvt") == None, r"nothing compares with null.*is_null\(\)"),  # noqa: E711
        (pc.field("age") != float("nan"), "nothing compares with nan"),
        (pc.field("age") == "60", "does not fit the table"),
    ],
)
def test_an_expression_that_fits_no_row_is_refused(where: pc.Expression, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        to_expression(where, ROWS.schema)
    assert caught.value.kind == "bad_filter"


def test_rows_are_filtered_by_what_another_table_says_as_the_message_has_it() -> None:
    rois = pa.table({"roi_key": ["C1/1", "C1/2"], "volume_ml": [2.0, 30.0]})
    scores = pa.table({"roi_key": ["C1/2", "C1/1"]})
    with pytest.raises(InputError) as caught:
        to_expression("volume_ml > 10", scores.schema)
    _, _, line = caught.value.message.splitlines()[0].partition("where=")
    for limit, expected in ((10, ["C1/2"]), (99, [])):
        found = rois.filter(pc.field("volume_ml") > limit)
        where = to_expression(eval(line, {"pc": pc, "found": found}), scores.schema)
        assert scores.filter(where)["roi_key"].to_pylist() == expected
    text = pa.table({"row": [1, 2], "center": ["== null[", "a"]})
    assert text.filter(to_expression(pc.field("center") == "== null[", text.schema)).num_rows == 1
