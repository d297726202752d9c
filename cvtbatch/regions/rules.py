"""What regions are called, and by which rule each is derived.

`rim5` is the ring of 5 mm around an outline, `core2` what lies deeper in it than 2 mm, `hull` its convex hull, `largest` its
largest connected part, and `part1`, `part2` ... its parts by size. `rim` is `rim5`, and `core` is `core2`: 5 mm is a usual width of
perihematomal regions, and 2 mm leaves out the edge in which a voxel of thick slices holds blood and brain.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cvtbatch.errors import InputError

Kind = Literal["rim", "core", "hull", "part"]

DEFAULT_MM = {"rim": 5.0, "core": 2.0}
# What a rim may hold: no bone, no fat, no air, and no dense blood.
RIM_HU = (0, 80)
NAME = re.compile(
    r"(?P<kind>rim|core)(?P<mm>0\.[1-9]|[1-9]\d?(?:\.[1-9])?)?|(?P<hull>hull)|(?P<largest>largest)|part(?P<number>[1-9]\d?)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a region is derived.

    Attributes:
        name: of the region.
        mm: width of a rim, or depth at which a core begins; 0 of others.
        number: of a part, 1 for the largest; 0 of others.
    """

    name: str
    kind: Kind
    mm: float = 0.0
    number: int = 0

    def settings(self) -> dict[str, object]:
        """Return every setting that moves a voxel, for the specification."""
        found: dict[str, object] = {"region": self.name, "rule": self.kind}
        if self.kind in DEFAULT_MM:
            found["mm"] = self.mm
        if self.kind == "rim":
            found |= {"hu": list(RIM_HU), "inside": "skull"}
        if self.kind == "hull":
            found["dimensions"] = 3
        if self.kind == "part":
            found |= {"number": self.number, "connectivity": 26}
        return found


def rule_of(name: str) -> Rule:
    """Return the rule of a region by its name.

    Raises:
        InputError: "bad_region": there is no such region.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise InputError(
            "bad_region",
            f"{name!r} is no region: there are rim and core with a number of mm (rim5, core2.5), hull, largest, part1, part2 ...",
        )
    if kind := found["kind"]:
        mm = float(found["mm"] or DEFAULT_MM[kind])
        return Rule(f"{kind}{mm:g}", "rim" if kind == "rim" else "core", mm=mm)
    if found["hull"]:
        return Rule(name, "hull")
    return Rule(name, "part", number=int(found["number"] or 1))


def rules_of(names: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules of some regions, each once, in order; errors as for `rule_of`."""
    return tuple(dict.fromkeys(map(rule_of, names)))


def is_region(roi: str) -> bool:
    """Say whether an ROI is named as a region is; of those in tables, their column `region` tells."""
    return any(NAME.fullmatch(roi[dot.end() :]) for dot in re.finditer(r"(?<=.)\.", roi))


# What a table of outlines says of a region beside its features: which specification derived it.
REGION_SPEC = "region_spec_id"


def region_column(region: str, name: str) -> str:
    """Return the name of a column of an outline's region beside those of the outline, e.g. rim5:original_firstorder_Mean."""
    return f"{region}:{name}"


def split_column(column: str) -> tuple[str, str]:
    """Return whose a column is, a region's or, where this is empty, the outline's own; and what it is there."""
    region, colon, name = column.partition(":")
    return (region, name) if colon and NAME.fullmatch(region) else ("", column)


def columns_by_region(columns: Iterable[str]) -> dict[str, list[str]]:
    """Return those of some columns that are of regions, by region."""
    found: dict[str, list[str]] = {}
    for column in columns:
        if region := split_column(column)[0]:
            found.setdefault(region, []).append(column)
    return found


def region_roi(roi: str, region: str) -> str:
    """Return the name of an outline's region as an ROI."""
    return f"{roi}.{region}"
