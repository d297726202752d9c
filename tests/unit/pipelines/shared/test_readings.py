"""Whose outlines a name means, and which outlines carry a flag."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.shared.readings import Readings, flagged_outlines, is_method, read_readings
from tests.support.model_store import fill
from tests.support.second_readers import add_reader

THERE = Readings(
    {
        Reading("A", 2): 3,
        Reading("A", 1): 1,
        Reading("blast-ct:0", 1): 5,
        Reading("blast-ct:1", 1): 5,
        Reading("blast-ct:me", 1): 2,
        Reading("threshold:2", 1): 7,
    },
    {"blast-ct:0": 9, "blast-ct:1": 8, "threshold:2": 12},
)


def test_a_name_is_a_readers_or_a_methods_and_then_its_newest() -> None:
    names = {
        "A": Reading("A", 1),
        "blast-ct": Reading("blast-ct:0", 1),
        "blast-ct:1": Reading("blast-ct:1", 1),
        "blast-ct:me": Reading("blast-ct:me", 1),
        "threshold": Reading("threshold:2", 1),
    }
    assert {name: THERE.find(name) for name in names} == names
    both = Readings({**THERE.outlines, Reading("blast-ct", 1): 1}, THERE.methods)
    assert both.find("blast-ct") == Reading("blast-ct", 1)
    assert THERE.of_people() == [Reading("A", 1), Reading("A", 2), Reading("blast-ct:me", 1)]


@pytest.mark.parametrize("name", ["B", "blast", "a", "", "blast-ct:"])
def test_who_is_not_there_is_told_who_is(name: str) -> None:
    with pytest.raises(
        InputError, match=r"A, reading 1 \(1\), A, reading 2 \(3\), blast-ct:0, reading 1 \(5\)"
    ) as told:
        THERE.find(name)
    assert told.value.kind == "no_such_reader"


def test_names_of_methods() -> None:
    assert all(map(is_method, ["blast-ct", "blast-ct:1a2b3c4d", "threshold", "command:0011aabb"]))
    assert not any(map(is_method, ["A", "blast", "blast-ct2", "blast-ct:me", ""]))


def test_readings_and_flags_are_those_of_a_store(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    add_reader(store, "threshold:2", ["C2"], most="003", outline_spec_id="out-2", flags=["auto", "not_for_inference"])
    add_reader(store, "blast-ct:1", ["C1", "C2"], most="002", outline_spec_id="out-1", flags=["auto"])
    view = store.at(None)
    found = read_readings(view, (), ["C2"])
    assert found.outlines == {Reading("A", 1): 14, Reading("threshold:2", 1): 3, Reading("blast-ct:1", 1): 2}
    assert found.methods["threshold:2"] < found.methods["blast-ct:1"]
    assert read_readings(view).outlines[Reading("B", 1)] == 12
    rows = store.current("rois").to_pylist()
    for flag in ("auto", "not_for_inference", "tiny"):
        expected = {row["roi_key"] for row in rows if flag in (row["flags"] or [])}
        assert flagged_outlines(view, flag) == expected
    assert len(flagged_outlines(view, "auto")) == 7
