"""A DICOM CT series from a folder, an archive or a file: HU in slice order, and the place of each slice as it says itself.

Geometry comes from ImageOrientationPatient and ImagePositionPatient alone: GantryDetectorTilt has a vendor's sign and
SliceThickness is no distance. Headers are read first, then the pixels of the chosen series only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import SAME_POSITION_MM, SliceStack, Triple
from cvtbatch.ingest.acquisition import (
    Acquisition,
    known_image_type,
    known_manufacturer,
    known_model,
    known_position,
)
from cvtbatch.ingest.dicom_headers import is_dicom
from cvtbatch.ingest.hounsfield import require_hounsfield, require_tissue
from cvtbatch.ingest.listing import list_series
from cvtbatch.ingest.members import DICOM_SUFFIXES, GZIP_SUFFIX
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.pixels import Planes, read_planes
from cvtbatch.ingest.series import Choice, choose_stack
from cvtbatch.ingest.slice_header import SliceHeader
from cvtbatch.ingest.slice_locations import locations_disagree
from cvtbatch.ingest.source_files import open_source
from cvtbatch.ingest.sources import Source
from cvtbatch.ingest.stack import Stack

# Largest difference of direction cosines, and of pixel spacing in mm, between slices of one series.
ORIENTATION_TOLERANCE = 1e-4
PIXEL_SPACING_TOLERANCE_MM = 1e-4
# How many files an error names.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Series:
    """A decoded series.

    Attributes:
        hu_zyx: HU (slices, rows, columns), sorted along the normal (row axis x column axis), nothing below -1024.
        clipped_voxels: how many voxels were below -1024 HU.
        choice: what the series is and why it was chosen, in words that may be shared.
    """

    hu_zyx: Planes
    stack: SliceStack
    clipped_voxels: int
    acquisition: Acquisition
    choice: str


def read_series(source: Source, series_uid: str | None, announce: Announce = announce_nothing) -> Series:
    """Read the CT series of a source.

    Raises:
        InputError: there is no CT series, or several and none is named; a file is damaged; the slices build no volume.
    """
    try:
        found = list_series(source)
        choice = choose_stack(found.headers, series_uid, found.passed_over.told())
        passed_over = found.beside(choice.stack.series_uid)
    except InputError as error:
        raise InputError(error.kind, error.message, f"{source.path}: {error.private}".removesuffix(": ")) from None
    slices = choice.stack.slices
    _check_alike(slices)
    row_axis, column_axis = _axes(slices[0])
    normal = np.cross(row_axis, column_axis)
    slices = tuple(sorted(slices, key=lambda header: float(np.dot(_position(header), normal))))
    hu, clipped = read_planes(source, slices, announce)
    require_tissue(hu)
    _require_hounsfield(slices, hu)
    kept = _without_duplicates(slices, hu, normal)
    down, along = _spacing(slices[0])
    stack = SliceStack(
        columns=slices[0].pixels.columns,
        rows=slices[0].pixels.rows,
        pixel_mm=(along, down),
        row_axis=row_axis,
        column_axis=column_axis,
        slice_axis=(float(normal[0]), float(normal[1]), float(normal[2])),
        positions_mm=tuple(_position(slices[index]) for index in kept),
    )
    return Series(
        hu_zyx=_moved_together(hu, kept),
        stack=stack,
        clipped_voxels=int(clipped[kept].sum()),
        acquisition=_acquisition(choice, stack, [slices[index] for index in kept]),
        choice=choice.reason + passed_over.told(),
    )


def looks_like_dicom(path: Path) -> bool:
    """Say whether a file is to be read as DICOM: by its suffix, or by what it holds.

    Raises:
        UnavailableError: that cannot be told now.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if not DICOM_SUFFIXES.isdisjoint(suffixes[-1:] if suffixes[-1:] != [GZIP_SUFFIX] else suffixes[-2:]):
        return True
    if not path.is_file():
        return False
    with open_source(path) as file:
        return is_dicom(file)


def _numbers(value: tuple[float, ...] | None, name: str, header: SliceHeader) -> tuple[float, ...]:
    if value is None:
        raise InputError(
            "missing_geometry",
            f"a slice has no usable {name}: without it no place in the volume is known",
            header.file,
        )
    return value


def _position(header: SliceHeader) -> Triple:
    x, y, z = _numbers(header.position_mm, "ImagePositionPatient", header)
    return x, y, z


def _spacing(header: SliceHeader) -> tuple[float, ...]:
    return _numbers(header.pixel_spacing_mm, "PixelSpacing", header)


def _axes(header: SliceHeader) -> tuple[Triple, Triple]:
    a, b, c, d, e, f = _numbers(header.orientation, "ImageOrientationPatient", header)
    return (a, b, c), (d, e, f)


def _check_alike(slices: Sequence[SliceHeader]) -> None:
    """Refuse slices that differ in size, pixel spacing or orientation."""
    if len(slices) < 2:
        raise InputError("single_slice", "the series has one slice; a volume needs at least two")
    first = slices[0]
    for header in slices:
        sizes = [(pixels.columns, pixels.rows) for pixels in (first.pixels, header.pixels)]
        if sizes[0] != sizes[1] or 0 in sizes[0]:
            raise InputError(
                "mixed_sizes",
                f"slices of {sizes[0][0]} x {sizes[0][1]} and {sizes[1][0]} x {sizes[1][1]} pixels in one series",
                f"{first.file}, {header.file}",
            )
        _position(header)
    spacings = np.array([_spacing(header) for header in slices])
    if other := _other_than_first(slices, spacings, PIXEL_SPACING_TOLERANCE_MM):
        raise InputError("mixed_spacings", "slices of one series differ in PixelSpacing", other)
    axes = np.array([_axes(header) for header in slices]).reshape(len(slices), -1)
    if other := _other_than_first(slices, axes, ORIENTATION_TOLERANCE):
        raise InputError(
            "mixed_orientations",
            "slices of one series differ in ImageOrientationPatient: a localizer or a reformat among them?",
            other,
        )


def _other_than_first(slices: Sequence[SliceHeader], values: npt.NDArray[np.float64], tolerance: float) -> str:
    """Return the files of the slices whose values (slices, n) differ from the first one's; empty if none does."""
    differ = ~np.isclose(values, values[0], rtol=0, atol=tolerance).all(axis=1)
    files = list(dict.fromkeys(slices[index].file for index in np.flatnonzero(differ).tolist()))
    return ", ".join(files[:_SHOWN])


def _require_hounsfield(slices: Sequence[SliceHeader], hu_zyx: Planes) -> None:
    """Refuse slices without an intercept that hold no HU, since nothing says that their values were meant as such.

    One of them may have lost its intercept where others have theirs, so those that are rescaled alike are looked at together.
    """
    alike: dict[object, list[int]] = {}
    for place, header in enumerate(slices):
        if header.rescale is not None and header.rescale[1] >= 0:
            alike.setdefault((header.rescale, header.pixels.signed), []).append(place)
    for places in alike.values():
        if len(places) == len(slices):
            require_hounsfield(hu_zyx)
            return
        try:
            require_hounsfield(hu_zyx[places])
        except InputError as error:
            told = (
                f"{len(places)} of {len(slices)} slices are rescaled otherwise than the rest, and their {error.message}"
            )
            raise InputError(error.kind, told, ", ".join(slices[place].file for place in places)) from None


def _without_duplicates(
    slices: Sequence[SliceHeader], hu_zyx: Planes, normal: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Return the indices of slices without those that repeat the slice before them, place and pixels.

    Raises:
        InputError: two slices that differ share a place.
    """
    positions = np.array([_position(header) for header in slices])
    depths = positions @ normal
    kept = [0]
    for index in range(1, len(slices)):
        last = kept[-1]
        if depths[index] - depths[last] >= SAME_POSITION_MM:
            kept.append(index)
        elif np.abs(positions[index] - positions[last]).max() >= SAME_POSITION_MM or not np.array_equal(
            hu_zyx[index], hu_zyx[last]
        ):
            raise InputError(
                "duplicate_slices",
                f"two slices that differ lie at the same place (gap {depths[index] - depths[last]:.4f} mm): "
                "which belongs to the volume cannot be told; take out the file that does not",
                f"{slices[last].file}, {slices[index].file}",
            )
    return np.array(kept, dtype=np.intp)


def _moved_together(hu_zyx: Planes, kept: npt.NDArray[np.intp]) -> Planes:
    """Return the kept slices of a volume, in the memory that they lie in."""
    if len(kept) < len(hu_zyx):
        for place, index in enumerate(kept):
            hu_zyx[place] = hu_zyx[index]
    return hu_zyx[: len(kept)]


def _acquisition(choice: Choice, stack: SliceStack, kept: Sequence[SliceHeader]) -> Acquisition:
    chosen = choice.stack
    first = chosen.slices[0]
    syntaxes = {header.pixels.transfer_syntax for header in chosen.slices}
    return Acquisition(
        manufacturer=chosen.agreed(lambda header: known_manufacturer(header.manufacturer)),
        scanner_model=chosen.agreed(lambda header: known_model(header.model)),
        convolution_kernel=chosen.kernel,
        kvp=chosen.agreed(lambda header: header.kvp),
        slice_thickness_mm=chosen.thickness_mm,
        image_type=known_image_type(first.image_type),
        transfer_syntax="/".join(sorted(syntaxes)) or None,
        flags=tuple(_flags(chosen, stack)),
        contrast=chosen.contrast,
        series_uid=first.series_uid,
        study_uid=first.study_uid,
        frame_of_reference_uid=chosen.agreed(lambda header: header.frame_of_reference_uid),
        patient_position=chosen.agreed(lambda header: known_position(header.patient_position)),
        duplicates_dropped=len(chosen.slices) - len(kept),
        missing_slices=stack.missing_slices(),
        series_in_source=choice.stacks,
        instances=tuple((header.instance_uid, header.frame + 1) for header in kept),
    )


def _flags(chosen: Stack, stack: SliceStack) -> Iterator[str]:
    if chosen.left_out:
        yield "overlapping_passes"
    if chosen.interleaved:
        yield "interleaved_passes"
    if locations_disagree(chosen.slices, stack.slice_axis):
        yield "slice_location_disagrees"
    if chosen.multi_energy:
        yield "multi_energy"
    if any(header.lossy for header in chosen.slices):
        yield "lossy_compressed"
