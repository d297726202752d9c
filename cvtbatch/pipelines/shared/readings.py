"""Whose outlines a store holds: people's and methods', each with how many, and which of them a name means."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.nearest import did_you_mean
from cvtbatch.store import View

NOT_FOR_INFERENCE = "not_for_inference"
"""Flag of an outline that is not to be judged by: made by a method that is for demos and second opinions."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of the outlines that are current.

    Attributes:
        outlines: how many each has.
        methods: readers that are no people: an outline of theirs names the specification that it was found under. Each with the
            newest append of one of its outlines.
    """

    outlines: Mapping[Reading, int]
    methods: Mapping[str, int]

    def find(self, name: str) -> Reading:
        """Return the first reading of a reader, who is named whole, or by the method alone: of its readers the newest.

        Raises:
            InputError: "no_such_reader", with those that there are.
        """
        named = [reading for reading in self.outlines if reading.reader == name]
        if not named and (of_method := [reader for reader in self.methods if reader.startswith(f"{name}:")]):
            newest = max(of_method, key=lambda reader: (self.methods[reader], reader))
            named = [reading for reading in self.outlines if reading.reader == newest]
        if not named:
            meant = did_you_mean(name, {reading.reader for reading in self.outlines})
            raise InputError(
                "no_such_reader", f"there is no outline of a reader {name!r}; {meant}there are those of {self}"
            )
        return min(named)

    def of_people(self) -> list[Reading]:
        """Return the readings of people, in order."""
        return sorted(reading for reading in self.outlines if reading.reader not in self.methods)

    def __str__(self) -> str:
        return ", ".join(f"{reading} ({self.outlines[reading]})" for reading in sorted(self.outlines)) or "nobody"


def read_readings(view: View, spec_ids: Sequence[str] = (), centers: Sequence[str] = ()) -> Readings:
    """Return the readings of a view's current outlines.

    Args:
        spec_ids: on volumes of these specifications, or those that these build on; of all where none is named.
        centers: of these centres; of all where none is named.
    """
    rows = view.outlines(["center", "reader", "reading", "outline_spec_id", "sequence"], spec_ids)
    if centers:
        rows = rows.filter(pc.is_in(rows["center"], value_set=pa.array(list(centers), pa.string())))
    readers = rows["reader"].to_pylist()
    outlines = Counter(Reading(*pair) for pair in zip(readers, rows["reading"].to_pylist(), strict=True))
    found = rows.filter(rows["outline_spec_id"].is_valid()).group_by("reader").aggregate([("sequence", "max")])
    return Readings(outlines, dict(zip(found["reader"].to_pylist(), found["sequence_max"].to_pylist(), strict=True)))


def is_method(reader: str) -> bool:
    """Say whether a name is a method's, or that of one of its readers: what it outlines stands in no manifest."""
    return any(contracts.reserved_readers().fullmatch(name) for name in (reader, f"{reader}:00000000"))


def flagged_outlines(view: View, flag: str, spec_ids: Sequence[str] = ()) -> set[str]:
    """Return the current outlines that carry a flag, by roi_key.

    Args:
        spec_ids: as for `read_readings`.
    """
    rows = view.outlines(["roi_key", "flags"], spec_ids)
    flags = rows["flags"].combine_chunks()
    places = pc.list_parent_indices(flags).filter(pc.equal(pc.list_flatten(flags), flag))
    return set(rows["roi_key"].take(places).to_pylist())
