"""A case and its outlines, as a manifest has them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import NamedTuple

from cvtbatch import contracts
from cvtbatch.spec import canonical_json, digest

Value = str | int | float | None
# Columns in which the rows of one case may differ: those of the outline.
ROI_COLUMNS = ("mask", "mask_label", "segment", "roi", "reader", "reading")


def key_of(*parts: str | int) -> str:
    """Return the parts joined by "/", each percent-encoded where it holds "/" or "%" itself."""
    return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)


def patient_digest(center: str, patient: str) -> str:
    """Return a short hash of a patient: a centre and its pseudonym."""
    return digest(center, patient)[:16]


class Reading(NamedTuple):
    """Whose outlines, and which of their turns: the columns reader and reading."""

    reader: str
    number: int

    def __str__(self) -> str:
        return f"{self.reader}, reading {self.number}"


class CompactPickle:
    """A dataclass with slots, two or more, that is pickled as its values in order: by default it takes several times as long."""

    __slots__: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), _getter(self.__slots__)(self)


@cache
def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[object, ...]]:
    return attrgetter(*names)


@dataclass(frozen=True, slots=True)
class RoiSource(CompactPickle):
    """An outline.

    Attributes:
        mask: absolute path, or None while it is awaited.
        mask_entry: the path as the manifest has it; empty where it is awaited.
    """

    roi_key: str
    roi: str
    reader: str
    reading: int
    mask: str | None
    mask_entry: str
    mask_label: int | None
    segment: str | None
    manifest_row: int


@dataclass(frozen=True, slots=True)
class Case(CompactPickle):
    """One head CT with its outlines and clinical values.

    Attributes:
        image: absolute path of a file or folder.
        image_entry: the path as the manifest has it.
        clinical: values in the order of `contracts.clinical_columns()`.
        extra: JSON object of the manifest's x_ columns.
        manifest_row: first row of the case, 1 for the first below the header.
        timepoint: place of the study among those of its patient; None where nobody numbered it.
    """

    center: str
    case_id: str
    image: str
    image_entry: str
    series_uid: str | None
    allow_gaps: bool
    clinical: tuple[Value, ...]
    extra: str
    rois: tuple[RoiSource, ...]
    manifest_row: int
    timepoint: int | None = None

    @property
    def case_key(self) -> str:
        """Centre and case id."""
        return key_of(self.center, self.case_id)

    def clinical_values(self) -> dict[str, Value]:
        """Return the clinical values by column."""
        return dict(zip(contracts.clinical_columns(), self.clinical, strict=True))

    def clinical_digest(self) -> str:
        """Return the hash of patient, clinical values and x_ columns, and of the timepoint where there is one."""
        numbered = () if self.timepoint is None else (f"timepoint {self.timepoint}",)
        return digest(canonical_json(self.clinical_values()), self.extra, *numbered)

    def masked_rois(self) -> tuple[RoiSource, ...]:
        """Return the outlines that are there."""
        return tuple(roi for roi in self.rois if roi.mask is not None)
