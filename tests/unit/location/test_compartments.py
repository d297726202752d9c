"""Lobar or deep by the rule, at and beside each of its limits."""

import pytest

from cvtbatch.location.compartments import compartment_of, region_of
from cvtbatch.location.rules import LocationRules
from cvtbatch.outlining.location import NOWHERE, Place

RULES = LocationRules()
ABOVE = Place(False, None)
DEEP = {"skull_mm": 25.0, "midline_mm": 34.0, "ventricles_mm": 25.0, "vertex_mm": 50.0}


@pytest.mark.parametrize(
    ("changed", "region"),
    [
        ({}, "deep"),
        ({"vertex_mm": 95.0}, "deep"),
        ({"ventricles_mm": None}, "deep"),
        ({"skull_mm": 24.9}, "unknown"),
        ({"midline_mm": 34.1}, "unknown"),
        ({"ventricles_mm": 25.1}, "unknown"),
        ({"vertex_mm": 49.9}, "unknown"),
        ({"vertex_mm": 95.1}, "unknown"),
        ({"skull_mm": 18.1}, "unknown"),
        ({"skull_mm": 18.0}, "lobar"),
        ({"ventricles_mm": 29.9}, "unknown"),
        ({"ventricles_mm": 30.0}, "lobar"),
        ({"vertex_mm": 45.1}, "unknown"),
        ({"vertex_mm": 45.0}, "lobar"),
        ({"vertex_mm": None}, "unknown"),
    ],
)
def test_supratentorial_regions(changed: dict[str, float | None], region: str) -> None:
    assert region_of(ABOVE, **{**DEEP, **changed}, rules=RULES) == region


def test_below_the_tentorium_the_template_decides() -> None:
    assert region_of(Place(True, "cerebellum"), **DEEP, rules=RULES) == "cerebellum"
    assert region_of(Place(True, None), **DEEP, rules=RULES) == "unknown"
    assert region_of(NOWHERE, **DEEP, rules=RULES) == "unknown"


def test_compartments() -> None:
    places = (Place(True, None), Place(False, "deep"), NOWHERE)
    assert [compartment_of(place) for place in places] == ["infratentorial", "supratentorial", "unknown"]
