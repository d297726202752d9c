"""A region that a run derives of every outline, and what it and its rows are called."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvtbatch.regions.rules import Rule, region_roi, rules_of
from cvtbatch.spec import Spec, digest, region_spec


@dataclass(frozen=True, slots=True)
class RegionWork:
    """A region that a run derives of every outline.

    Attributes:
        rule: by which it is derived; its name is the region's.
    """

    rule: Rule
    region_spec_id: str

    def input_digest(self, parent_digest: str) -> str:
        """Return what the features of the region belong to, by the input_digest of its outline."""
        return digest(parent_digest, self.region_spec_id)

    def key(self, roi_key: str) -> str:
        """Return the roi_key of the region of an outline."""
        center, case_id, roi, reader, reading = roi_key.split("/")
        return "/".join([center, case_id, region_roi(roi, self.rule.name), reader, reading])


def resolve_regions(names: Sequence[str], volume: Spec) -> tuple[tuple[RegionWork, ...], tuple[Spec, ...]]:
    """Return the regions that a job names, and their specifications.

    Raises:
        InputError: "bad_region": there is no such region.
    """
    rules = rules_of(names)
    specs = tuple(region_spec(volume, rule.settings()) for rule in rules)
    return tuple(RegionWork(rule, spec.spec_id) for rule, spec in zip(rules, specs, strict=True)), specs


def region_keys(roi_keys: Iterable[str], regions: Sequence[RegionWork]) -> set[str]:
    """Return the keys of the regions of some outlines."""
    return {region.key(key) for key in roi_keys for region in regions}
