"""A head CT as it comes from an archive: HU and the place of every slice, from DICOM or from an image file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import AIR_HU, Grid, SliceStack
from cvtbatch.ingest.acquisition import Acquisition
from cvtbatch.ingest.archives import is_archive
from cvtbatch.ingest.dicom import looks_like_dicom, read_series
from cvtbatch.ingest.fingerprint import require_source
from cvtbatch.ingest.hounsfield import require_hounsfield
from cvtbatch.ingest.image_files import image_format, read_image_file
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.nifti import OtherPlace
from cvtbatch.ingest.source_files import is_folder
from cvtbatch.ingest.sources import Source
from cvtbatch.manifest import Case
from cvtbatch.spec import digest

# Largest relative difference of two spacings that are one.
SAME_SIZE = 1e-3
# No field of view of a head, its table and holder included, is larger.
_LARGEST_HEAD_MM = 400


@dataclass(frozen=True, slots=True)
class SourceVolume:
    """A decoded source.

    Attributes:
        hu_zyx: HU (slices, rows, columns), int16 or float32, nothing below -1024.
        clipped_voxels: how many voxels were below -1024 HU.
        source_format: DICOM, NIfTI, NRRD or MetaImage.
        acquisition: how a DICOM series was made.
        choice: what of the source this is, and why, in words that may be shared.
        other_place: a second place that a NIfTI file states.
        file_grid: the grid that an image file states; None of a DICOM series, which has slices alone.
        is_placed: False where a NIfTI file does not say where in the patient its voxels lie.
    """

    hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    stack: SliceStack
    clipped_voxels: int
    source_format: str
    acquisition: Acquisition
    choice: str
    other_place: OtherPlace | None = None
    file_grid: Grid | None = None
    is_placed: bool = True

    @property
    def has_unverified_slices(self) -> bool:
        """Whether one step stands for all gaps of a tilted series, as in an image file it must.

        dcm2niix writes the first gap, of uneven slices too, and takes it for the table's way where it is that along the normal.
        """
        return self.source_format != "DICOM" and bool(self.stack.shifts_mm().any())

    def regular_grid(self) -> Grid:
        """Return the grid of the voxels as they are, before anything is resampled: that of the file, or of a series its slices'.

        The step and the direction from slice to slice are those from the first to the last, as ITK has them of a series.

        Raises:
            InputError: "irregular_source": the slices are tilted or uneven, so that no grid has right angles and one step.
        """
        stack = self.stack
        if stack.shifts_mm().any() or not stack.is_even():
            gaps = stack.gaps_mm()
            raise InputError(
                "irregular_source",
                f"the slices of the source make no regular grid: they are tilted by {stack.tilt_deg():.1f} degrees, and "
                f"{gaps.min():.4g} to {gaps.max():.4g} mm apart; compute the set on the stored grid (--params)",
            )
        if self.file_grid is not None:
            return self.file_grid
        way = np.subtract(stack.positions_mm[-1], stack.positions_mm[0])
        length = float(np.linalg.norm(way))
        axes = np.array([stack.row_axis, stack.column_axis, way / length]).T
        return Grid(
            (stack.columns, stack.rows, len(stack.positions_mm)),
            (*stack.pixel_mm, length / (len(stack.positions_mm) - 1)),
            stack.positions_mm[0],
            tuple(axes.ravel().tolist()),
        )

    def image_digest(self) -> str:
        """Return the hash of voxels and geometry."""
        geometry = np.array(
            [
                *self.stack.pixel_mm,
                *self.stack.row_axis,
                *self.stack.column_axis,
                *self.stack.slice_axis,
                *np.ravel(self.stack.positions_mm),
            ],
            dtype="<f8",
        )
        voxels = np.ascontiguousarray(self.hu_zyx)
        bytes_of_voxels = voxels.reshape(-1).view(np.uint8).data
        return digest("image", f"{voxels.dtype.str} {voxels.shape}", bytes_of_voxels, geometry.tobytes())


def read_volume(case: Case, announce: Announce = announce_nothing) -> SourceVolume:
    """Read a case's image.

    Args:
        announce: told the bytes that reading and resampling take, before anything is decoded.

    Raises:
        InputError: it cannot be read, or no right volume can be built of it.
    """
    require_source(case.image, "image")
    path = Path(case.image)
    if is_folder(path) or is_archive(path) or (image_format(path) is None and looks_like_dicom(path)):
        series = read_series(Source(path), case.series_uid, announce)
        volume = SourceVolume(
            series.hu_zyx, series.stack, series.clipped_voxels, "DICOM", series.acquisition, series.choice
        )
    else:
        volume = _read_image(path, announce)
    _require_whole(volume.stack, allow_gaps=case.allow_gaps)
    return volume


def _read_image(path: Path, announce: Announce) -> SourceVolume:
    file = read_image_file(path, announce)
    image, source_format = file.image, file.file_format
    values: npt.NDArray[np.number] = sitk.GetArrayViewFromImage(image)
    if values.dtype.itemsize == 1:
        raise InputError(
            "not_hounsfield",
            f"the image has {image.GetPixelIDTypeAsString()} values, which cannot hold HU; perhaps image and mask changed places",
            str(path),
        )
    require_hounsfield(values)
    if file.other is not None and file.other.contradicts:
        _require_one_size(image.GetSpacing(), file.other.grid.spacing_mm)
    stack = _stack(image)
    whole = np.issubdtype(values.dtype, np.integer) and values.max() <= np.iinfo(np.int16).max
    hu = np.empty(values.shape, dtype=np.int16 if whole else np.float32)
    below = 0
    for plane, plane_hu in zip(values, hu, strict=True):
        below += int(np.count_nonzero(plane < AIR_HU))
        plane_hu[:] = np.maximum(plane, AIR_HU)
    choice = f"{len(hu)} slices {np.median(stack.gaps_mm()):.4g} mm apart; a {source_format} file"
    grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    if grid.is_unset and max(grid.size_xyz) > _LARGEST_HEAD_MM:
        raise InputError(
            "missing_geometry",
            f"the image says that its {' x '.join(map(str, grid.size_xyz))} voxels are 1 mm long and begin at the origin, as an "
            "array that is saved without a place does, and no head is so large: save it with the scanner's geometry",
            str(path),
        )
    return SourceVolume(hu, stack, below, source_format, Acquisition(), choice, file.other, grid, file.is_placed)


def _require_one_size(sform_mm: tuple[float, ...], qform_mm: tuple[float, ...]) -> None:
    """Refuse an image whose two forms differ in the size of a voxel: every length and volume follows from it."""
    if not np.allclose(sform_mm, qform_mm, rtol=SAME_SIZE, atol=0):
        sizes = [" x ".join(f"{length:.4g}" for length in form) for form in (sform_mm, qform_mm)]
        raise InputError(
            "two_places",
            f"a voxel has {sizes[0]} mm by the sform of the NIfTI file and {sizes[1]} mm by its qform, as after a registration "
            "that scales; write the scanner's own place into both forms",
        )


def _stack(image: sitk.Image) -> SliceStack:
    """Return the geometry of an image as a stack of its slices, which may be shifted in their plane.

    Raises:
        InputError: rows and columns are not at right angles, or there is one slice.
    """
    columns, rows, slices = image.GetSize()
    axes = np.array(image.GetDirection()).reshape(3, 3)
    normal = np.cross(axes[:, 0], axes[:, 1])
    normal *= np.sign(normal @ axes[:, 2])
    row_axis, column_axis, slice_axis = ((float(x), float(y), float(z)) for x, y, z in (axes[:, 0], axes[:, 1], normal))
    positions = tuple(image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(slices))
    return SliceStack(columns, rows, image.GetSpacing()[:2], row_axis, column_axis, slice_axis, positions)


def _require_whole(stack: SliceStack, *, allow_gaps: bool) -> None:
    missing = stack.missing_slices()
    if missing and not allow_gaps:
        gaps = stack.gaps_mm()
        raise InputError(
            "missing_slices",
            f"{counted(missing, 'slice is', 'slices are')} missing: gaps of {gaps.max():.3f} mm stand alone among gaps of "
            f"{np.median(gaps):.3f} mm; complete the series, or set allow_gaps to 1 to interpolate across it",
        )
