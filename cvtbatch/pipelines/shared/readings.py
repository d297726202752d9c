"""Whose outlines a store holds: people's and methods', each with how many, and which of them a name means."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.store import View

NOT_FOR_INFERENCE = "not_for_inference"
"""Flag of an outline that is not to be judged by: made by a method that is for demos and second opinions."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of the outlines that are current.

    Attributes:
        outlines: how many each has.
        methods: readers that are no people: an outline of theirs names the specification that it was found under.
    """

    outlines: Mapping[Reading, int]
    methods: frozenset[str]

    def find(self, name: str) -> Reading:
        """Return the first reading of a reader, who is named whole, or by the method alone where there is one reader of it.

        Raises:
            InputError: "no_such_reader" or "several_readers", with those that there are.
        """
        readers = {reading.reader for reading in self.outlines}
        named = {name} & readers or {reader for reader in self.methods & readers if reader.startswith(f"{name}:")}
        if not named:
            raise InputError("no_such_reader", f"there is no outline of a reader {name!r}; there are those of {self}")
        if len(named) > 1:
            raise InputError("several_readers", f"{name!r} is a method of several readers: name one of {self}")
        return min(reading for reading in self.outlines if reading.reader in named)

    def of_people(self) -> list[Reading]:
        """Return the readings of people, in order."""
        return sorted(reading for reading in self.outlines if reading.reader not in self.methods)

    def of_methods(self) -> list[Reading]:
        """Return the readings of methods, in order."""
        return sorted(reading for reading in self.outlines if reading.reader in self.methods)

    def __str__(self) -> str:
        return ", ".join(f"{reading} ({self.outlines[reading]})" for reading in sorted(self.outlines)) or "nobody"


def read_readings(view: View, spec_ids: Sequence[str] = (), centers: Sequence[str] = ()) -> Readings:
    """Return the readings of a view's current outlines.

    Args:
        spec_ids: on volumes of these specifications, or those that these build on; of all where none is named.
        centers: of these centres; of all where none is named.
    """
    rows = view.rows("rois", ["center", "reader", "reading", "outline_spec_id"], spec_ids)
    if centers:
        rows = rows.filter(pc.is_in(rows["center"], value_set=pa.array(list(centers), pa.string())))
    readers = rows["reader"].to_pylist()
    outlines = Counter(Reading(*pair) for pair in zip(readers, rows["reading"].to_pylist(), strict=True))
    return Readings(outlines, frozenset(rows.filter(rows["outline_spec_id"].is_valid())["reader"].to_pylist()))


def flagged_outlines(view: View, flag: str, spec_ids: Sequence[str] = ()) -> set[str]:
    """Return the current outlines that carry a flag, by roi_key.

    Args:
        spec_ids: as for `read_readings`.
    """
    rows = view.rows("rois", ["roi_key", "flags"], spec_ids)
    flags = zip(rows["roi_key"].to_pylist(), rows["flags"].to_pylist(), strict=True)
    return {key for key, told in flags if told and flag in told}
