"""Documents as dataclasses, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pytest

from cvtbatch.documents import from_document, to_document
from cvtbatch.spec import canonical_json


class Kind(StrEnum):
    ONE = "one"
    TWO = "two"


@dataclass(frozen=True, slots=True)
class Point:
    at_mm: float


@dataclass(frozen=True, slots=True)
class Whole:
    kind: Kind
    by_kind: Mapping[Kind, Point]
    points: tuple[Point, ...]
    grid: tuple[int | None, ...]
    shares: tuple[str | float, ...]
    start: Point | None
    added: Point | None = None


DOCUMENT = {
    "kind": "two",
    "by_kind": {"one": {"at_mm": 40}, "two": {"at_mm": 0.1}},
    "points": [{"at_mm": 1}, {"at_mm": 2.0}],
    "grid": [3, None],
    "shares": ["sqrt", 0.5],
    "start": None,
    "added": {"at_mm": 5},
}


def test_nested_values_are_typed() -> None:
    whole = from_document(Whole, DOCUMENT)
    assert whole.kind is Kind.TWO
    assert whole.by_kind[Kind.ONE] == Point(40)
    assert whole.points == (Point(1), Point(2.0))
    assert (whole.grid, whole.shares, whole.start) == ((3, None), ("sqrt", 0.5), None)
    assert hash(whole.points) == hash((Point(1), Point(2.0)))


def test_the_way_back_gives_equal_json() -> None:
    back = to_document(from_document(Whole, DOCUMENT))
    assert canonical_json(back) == canonical_json(DOCUMENT)
    assert type(back["kind"]) is str
    assert isinstance(back["points"], list)


def test_a_key_that_is_absent_has_its_default_and_another_is_left_out() -> None:
    old = {**DOCUMENT, "unknown": 1}
    del old["added"]
    assert from_document(Whole, old).added is None
    del old["start"]
    with pytest.raises(KeyError, match="start"):
        from_document(Whole, old)


@dataclass(frozen=True, slots=True)
class Interval:
    ends: tuple[str, Point]


def test_a_tuple_of_a_fixed_length_has_each_member_by_its_own_kind() -> None:
    document = {"ends": ["low", {"at_mm": 1}]}
    interval = from_document(Interval, document)
    assert (interval.ends[0], type(interval.ends[1])) == ("low", Point)
    assert to_document(interval) == document
    with pytest.raises(ValueError, match="shorter"):
        from_document(Interval, {"ends": ["low"]})


def test_a_list_of_dataclasses_is_plain_json() -> None:
    assert to_document([from_document(Point, {"at_mm": 2.0})]) == [{"at_mm": 2.0}]
