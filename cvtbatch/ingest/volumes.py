"""A head CT as it comes from an archive: HU and the place of every slice, from DICOM or from an image file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack
from cvtbatch.imaging.resampling import AIR_HU, stack_of
from cvtbatch.ingest.acquisition import Acquisition
from cvtbatch.ingest.dicom import read_series
from cvtbatch.ingest.image_files import read_image_file
from cvtbatch.manifest import Case
from cvtbatch.spec import digest


@dataclass(frozen=True, slots=True)
class SourceVolume:
    """A decoded source.

    Attributes:
        hu_zyx: HU (slices, rows, columns), int16 or float32, nothing below -1024.
        clipped_voxels: how many voxels were below -1024 HU.
        source_format: DICOM, NIfTI, NRRD or MetaImage.
        acquisition: how a DICOM series was made.
        choice: which series of the source this is, and why, in words that may be shared; empty for other formats.
    """

    hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    stack: SliceStack
    clipped_voxels: int
    source_format: str
    acquisition: Acquisition
    choice: str

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
        return digest("image", f"{voxels.dtype.str} {voxels.shape}", voxels.tobytes(), geometry.tobytes())


def read_volume(case: Case) -> SourceVolume:
    """Read a case's image.

    Raises:
        InputError: it cannot be read, or no right volume can be built of it.
    """
    path = Path(case.image)
    if path.is_dir():
        hu, stack = read_series(path, case.series_uid)
        source_format = "DICOM"
    else:
        image, source_format = read_image_file(path)
        hu, stack = _hounsfield(image), stack_of(image)
    missing = stack.missing_slices()
    if missing and not case.allow_gaps:
        gap, largest = float(np.median(stack.gaps_mm())), float(stack.gaps_mm().max())
        raise InputError(
            "missing_slices",
            f"{missing} slices are missing: slices lie {gap:.3f} mm apart, but one gap is {largest:.3f} mm; "
            "complete the series, or set allow_gaps to 1 to interpolate across it",
        )
    below = int(np.count_nonzero(hu < AIR_HU))
    return SourceVolume(np.maximum(hu, AIR_HU), stack, below, source_format, Acquisition(), "")


def _hounsfield(image: sitk.Image) -> npt.NDArray[np.int16] | npt.NDArray[np.float32]:
    if image.GetPixelID() in {sitk.sitkUInt8, sitk.sitkInt8}:
        raise InputError(
            "not_hounsfield", f"the image has {image.GetPixelIDTypeAsString()} values, which cannot hold HU"
        )
    values = sitk.GetArrayFromImage(image)
    if not np.isfinite(values).all():
        raise InputError("non_finite_voxels", f"{int((~np.isfinite(values)).sum())} voxels of the image are not finite")
    low, high = values.min(), values.max()
    if np.issubdtype(values.dtype, np.integer) and low >= -32768 and high <= 32767:
        return np.asarray(values, dtype=np.int16)
    return np.asarray(values, dtype=np.float32)
