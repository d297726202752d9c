"""What is written of an outline, in coded values."""

import datetime
from dataclasses import dataclass

from pydicom.sr.coding import Code

PRODUCER = "cvtbatch"
"""Manufacturer, and its model, of every object that is made here."""
OUTLINE_SERIES = "Outline, for research use (cvtbatch)"
"""SeriesDescription of segmentations that are made here."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What found an outline.

    Attributes:
        version: of the method, or the digest of its weights.
        parameters: by name, what else the outline depends on.
        is_learned: whether a network found it.
    """

    name: str
    version: str
    parameters: tuple[tuple[str, str], ...]
    is_learned: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """An outline's identity in the store.

    Attributes:
        roi_key: goes into UIDs, as a hash, and nowhere else: it names a pseudonym.
        algorithm: None where a person drew it.
        recorded_at: when the store got it, UTC.
    """

    roi_key: str
    roi: str
    reader: str
    reading: int
    algorithm: Algorithm | None
    recorded_at: datetime.datetime

    @property
    def name(self) -> str:
        """Whose outline of what; a backslash would separate values (PS3.5 6.2)."""
        return f"{self.roi}, {self.reader}, reading {self.reading}".replace("\\", "/")


@dataclass(frozen=True, slots=True)
class Measured:
    """A number with its unit, how it was derived, and on which voxels."""

    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    method: Code | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A class."""

    concept: Code
    value: Code


@dataclass(frozen=True, slots=True)
class Told:
    """A text."""

    concept: Code
    text: str


@dataclass(frozen=True, slots=True)
class Results:
    """What a report says of an outline, in order.

    Attributes:
        recorded_at: when the newest of it was recorded, the outline among it, UTC.
    """

    measured: tuple[Measured, ...]
    judged: tuple[Judged, ...]
    told: tuple[Told, ...]
    recorded_at: datetime.datetime
