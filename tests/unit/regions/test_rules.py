"""What regions are called."""

import pytest

from cvtbatch.errors import InputError
from cvtbatch.regions.rules import (
    Rule,
    columns_by_region,
    is_region,
    region_column,
    region_roi,
    rule_of,
    rules_of,
    split_column,
)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("rim", Rule("rim5", "rim", mm=5)),
        ("rim5", Rule("rim5", "rim", mm=5)),
        ("rim2.5", Rule("rim2.5", "rim", mm=2.5)),
        ("core", Rule("core2", "core", mm=2)),
        ("core0.5", Rule("core0.5", "core", mm=0.5)),
        ("hull", Rule("hull", "hull")),
        ("largest", Rule("largest", "part", number=1)),
        ("part12", Rule("part12", "part", number=12)),
    ],
)
def test_names(name: str, rule: Rule) -> None:
    assert rule_of(name) == rule
    assert rule_of(rule.name) == rule


@pytest.mark.parametrize(
    "name", ["", "rim0", "rim05", "rim5.0", "rim5mm", "rim-5", "part", "part0", "Hull", "edge", "rim5 "]
)
def test_what_is_no_region_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no region: there are rim and core"):
        rule_of(name)


def test_each_region_counts_once_and_names_its_roi() -> None:
    rules = rules_of(["rim", "hull", "rim5"])
    assert [rule.name for rule in rules] == ["rim5", "hull"]
    assert region_roi("hematoma-2", rules[0].name) == "hematoma-2.rim5"
    assert [is_region(roi) for roi in ("hematoma-2.rim2.5", "hematoma", ".rim5", "rim5", "a.b")] == [True, *[False] * 4]


def test_settings_tell_regions_apart_that_differ_in_any_voxel() -> None:
    names = ["rim5", "rim6", "core5", "core6", "hull", "part1", "part2"]
    settings = [str(sorted((key, str(value)) for key, value in rule_of(name).settings().items())) for name in names]
    assert len(set(settings)) == len(names)


def test_columns_say_whose_they_are() -> None:
    assert split_column(region_column("rim5", "original_glcm_Contrast")) == ("rim5", "original_glcm_Contrast")
    assert split_column("original_glcm_Contrast") == ("", "original_glcm_Contrast")
    assert split_column("scanner:Siemens") == ("", "scanner:Siemens")
    assert columns_by_region(["a", "rim5:b", "hull:a", "rim5:c"]) == {"rim5": ["rim5:b", "rim5:c"], "hull": ["hull:a"]}
