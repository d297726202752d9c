"""A hematoma's outline as it comes from an archive, whatever its format, and the choice of one among the segments of a file."""

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack
from cvtbatch.imaging.placement import mask_volume_ml
from cvtbatch.ingest.nifti import OtherPlace
from cvtbatch.ingest.volumes import SourceVolume
from cvtbatch.manifest import RoiSource
from cvtbatch.spec import digest


@dataclass(frozen=True, slots=True)
class SourceMask:
    """A decoded outline, never empty.

    Attributes:
        voxels_zyx: uint8, 1 in the ROI.
        place: where the voxels lie: on a grid or on slices of their own, or on the slices of the image that they were drawn on.
        mask_format: what the file is, e.g. "NIfTI", "DICOM SEG".
        flags: what a reader should know of the reading: "contours_ignored", "contours_between_slices", "overlapping_contours",
            "skipped_slices", "other_slices"; "placed_by_index", "unverified_slices".
    """

    voxels_zyx: npt.NDArray[np.uint8]
    place: Grid | SliceStack
    mask_format: str
    flags: tuple[str, ...] = ()

    @property
    def volume_ml(self) -> float:
        """Volume as drawn."""
        return mask_volume_ml(self.voxels_zyx, self.place)

    def mask_digest(self) -> str:
        """Return the hash of voxels and geometry."""
        place = self.place
        numbers: list[float]
        if isinstance(place, Grid):
            numbers = [*place.spacing_mm, *place.origin_mm, *place.direction]
        else:
            axes = (*place.row_axis, *place.column_axis, *place.slice_axis)
            numbers = [*place.pixel_mm, *axes, *np.ravel(place.positions_mm).tolist()]
        geometry = np.array(numbers, dtype="<f8")
        bytes_of_voxels = np.ascontiguousarray(self.voxels_zyx).reshape(-1).data
        return digest("mask", f"{self.voxels_zyx.shape}", bytes_of_voxels, geometry.tobytes())


@dataclass(frozen=True, slots=True)
class ImageSlices:
    """What an outline has to know of the image that it belongs to.

    Attributes:
        frame_of_reference_uid, series_uid: raw; None where the image is no DICOM series.
        thickness_mm: SliceThickness; None where the image does not state it.
        instances: SOPInstanceUID and frame, from 1, of every slice; empty where the image is no DICOM series.
        other_place: a second place that an image file states.
        is_placed: False where it states none.
        unverified: whether nothing shows that the slices lie where the image puts them, see `SourceVolume`.
    """

    stack: SliceStack
    frame_of_reference_uid: str | None
    series_uid: str | None
    thickness_mm: float | None = None
    instances: tuple[tuple[str, int], ...] = ()
    other_place: OtherPlace | None = None
    is_placed: bool = True
    unverified: bool = False

    @classmethod
    def of(cls, source: SourceVolume) -> Self:
        """Return where the slices of an image lie, without its voxels."""
        acquisition = source.acquisition
        return cls(
            source.stack,
            acquisition.frame_of_reference_uid,
            acquisition.series_uid,
            acquisition.slice_thickness_mm,
            acquisition.instances,
            other_place=source.other_place,
            is_placed=source.is_placed,
            unverified=source.has_unverified_slices,
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader of any outline of this image should know."""
        return ("unverified_slices",) if self.unverified else ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment, ROI or label as a file lists it."""

    number: int
    name: str


def require_verified_slices(image: ImageSlices, what: str) -> None:
    """Refuse an outline that is parallel to the slices of an image but off them, where nothing shows that these are right.

    Raises:
        InputError: `mask_off_slices`.
    """
    if image.unverified:
        raise InputError(
            "mask_off_slices",
            f"the {what} are parallel to the tilted slices of the image, but lie on others, and the image is no DICOM series that "
            "could tell their true places; name the DICOM series as the image",
        )


def skips_slices(mask_zyx: npt.NDArray[np.uint8]) -> bool:
    """Say whether slices between two outlines that cover one another have none: forgotten, or drawn on every other slice."""
    drawn = np.flatnonzero(mask_zyx.any(axis=(1, 2)))
    return any(
        after - before > 1 and bool((mask_zyx[before] & mask_zyx[after]).any())
        for before, after in itertools.pairwise(drawn)
    )


def require_own_number(number: int, numbers: Sequence[int], what: str) -> None:
    """Refuse a DICOM object in which a number stands for two: of whom the pixels or contours are that name it cannot be told.

    Raises:
        InputError: `unreadable_file`.
    """
    if numbers.count(number) > 1:
        raise InputError(
            "unreadable_file",
            f"number {number} stands for {numbers.count(number)} {what} of the mask file: which is meant cannot be told; write it "
            "anew with a number for each",
        )


def choose_segment(segments: Sequence[Segment], roi: RoiSource) -> int:
    """Return the index of the segment that the manifest names, or of the only one.

    A name counts as it is written; if none is, then without regard to case, outer blanks and how accents are encoded.

    Raises:
        InputError: `empty_mask` if there is none, `no_such_segment`, or `ambiguous_mask` if none is named or several fit.
    """
    count = counted(len(segments), "segment")
    listed = f"{roi.mask}: " + ", ".join(f"{segment.number} {segment.name!r}" for segment in segments)
    if not segments:
        raise InputError("empty_mask", "the mask file holds no segment", roi.mask or "")
    if roi.segment is not None:
        what = "name in column segment"
        found = [k for k, segment in enumerate(segments) if segment.name == roi.segment]
        found = found or [k for k, segment in enumerate(segments) if _folded(segment.name) == _folded(roi.segment)]
    elif roi.mask_label is not None:
        what = f"mask_label {roi.mask_label}"
        found = [k for k, segment in enumerate(segments) if segment.number == roi.mask_label]
    elif len(segments) == 1:
        return 0
    else:
        raise InputError(
            "ambiguous_mask", f"the mask file holds {count}; name one in the column segment or mask_label", listed
        )
    if len(found) > 1:
        raise InputError("ambiguous_mask", f"{len(found)} of {count} of the mask file have the {what}", listed)
    if not found:
        raise InputError(
            "no_such_segment",
            f"no segment of the mask file has the {what}: name one of its {count}",
            f"{listed}, not {roi.mask_label if roi.segment is None else repr(roi.segment)}",
        )
    return found[0]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()
