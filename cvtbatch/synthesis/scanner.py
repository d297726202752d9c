"""A centre's CT scanner: where its voxels lie, how it blurs, how noisy it is.

Physical points are LPS millimetres (x to the patient's left, y to posterior, z to superior). A tilted gantry images
planes that are turned about the x axis while the table moves along z, as real scanners do: slices stay parallel to
each other, and slice k is displaced within its own plane by `k * gap * tan(tilt)`.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cvtbatch.synthesis.fields import FloatArray, Point, Rows

LARGEST_TILT_DEG = 30.0
PROFILE_STEP_MM = 3.0
"""A slice's thickness is averaged over samples about this far apart."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """Geometry and image quality of one centre's head protocol.

    Attributes:
        columns, rows, slices: matrix, voxels.
        pixel_mm: spacing within a slice, both directions.
        gap_mm: distance of neighbouring slices along their normal; slices are as thick.
        tilt_deg: gantry tilt, DICOM's sign (positive: the column direction leans to the feet).
        center_mm: LPS position of the volume's centre.
        noise_hu: standard deviation of the noise in a slice.
        kernel_mm: standard deviation of the reconstruction kernel's blur; small is sharp.
        offset_hu: error of the calibration in soft tissue.
    """

    columns: int
    rows: int
    slices: int
    pixel_mm: float
    gap_mm: float
    tilt_deg: float
    center_mm: Point
    noise_hu: float
    kernel_mm: float
    offset_hu: float

    def __post_init__(self) -> None:
        if min(self.columns, self.rows, self.slices) < 2 or min(self.pixel_mm, self.gap_mm) <= 0:
            raise ValueError(f"a scanner needs two voxels and a positive spacing along every axis: {self}")
        if abs(self.tilt_deg) > LARGEST_TILT_DEG or min(self.noise_hu, self.kernel_mm) < 0:
            raise ValueError(f"tilt beyond {LARGEST_TILT_DEG} degrees, or negative noise or blur: {self}")

    @property
    def column_direction(self) -> Point:
        """LPS unit vector from a row to the next one; that from a column to the next is (1, 0, 0)."""
        tilt = math.radians(self.tilt_deg)
        return 0.0, math.cos(tilt), -math.sin(tilt)

    @property
    def slice_step_mm(self) -> Point:
        """LPS vector from a slice's first voxel to the next slice's: the table moves along z alone."""
        return 0.0, 0.0, self.gap_mm / math.cos(math.radians(self.tilt_deg))

    @property
    def origin_mm(self) -> Point:
        """LPS position of the centre of voxel (x 0, y 0, z 0)."""
        half_rows = (self.rows - 1) / 2 * self.pixel_mm
        half_slices = (self.slices - 1) / 2
        along_row = (self.columns - 1) / 2 * self.pixel_mm
        _, down_y, down_z = self.column_direction
        return (
            self.center_mm[0] - along_row,
            self.center_mm[1] - half_rows * down_y,
            self.center_mm[2] - half_rows * down_z - half_slices * self.slice_step_mm[2],
        )

    def slice_rows(self, index: int, offset_mm: float = 0.0) -> Rows:
        """Voxel centres of a slice, moved by `offset_mm` along its normal."""
        x, y, z = self.origin_mm
        _, down_y, down_z = self.column_direction
        down = np.arange(self.rows) * self.pixel_mm
        return Rows(
            (x + np.arange(self.columns) * self.pixel_mm).astype(np.float32),
            (y + down * down_y - offset_mm * down_z).astype(np.float32),
            (z + down * down_z + offset_mm * down_y + index * self.slice_step_mm[2]).astype(np.float32),
        )

    def profile_offsets_mm(self) -> tuple[float, ...]:
        """Offsets along the normal whose average stands for a slice's thickness."""
        count = max(1, round(self.gap_mm / PROFILE_STEP_MM))
        return tuple((part + 0.5) / count * self.gap_mm - self.gap_mm / 2 for part in range(count))

    def blur(self, hu_yx: FloatArray) -> FloatArray:
        """The slice (y, x) as the reconstruction kernel shows it."""
        sigma = self.kernel_mm / self.pixel_mm
        return _smooth(hu_yx, sigma) if sigma else hu_yx

    def noise(self, rng: np.random.Generator) -> FloatArray:
        """(y, x) noise of one slice, HU, correlated over half the kernel's width."""
        sigma = 0.5 * self.kernel_mm / self.pixel_mm
        white = rng.standard_normal((self.rows, self.columns), dtype=np.float32)
        impulse = np.zeros(33, dtype=np.float32)
        impulse[16] = 1
        kept = float((gaussian_filter1d(impulse, sigma) ** 2).sum()) if sigma else 1.0
        return (_smooth(white, sigma) if sigma else white) * np.float32(self.noise_hu / kept)


def _smooth(image_yx: FloatArray, sigma: float) -> FloatArray:
    smoothed: FloatArray = gaussian_filter1d(gaussian_filter1d(image_yx, sigma, axis=0), sigma, axis=1)
    return smoothed
