"""One synthetic case: a head with a hematoma, seen by a centre's scanner."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.synthesis.anatomy import BRAIN, Anatomy, HeadPlan
from cvtbatch.synthesis.fields import FloatArray, Point
from cvtbatch.synthesis.hematoma import HematomaPlan, grow_hematoma
from cvtbatch.synthesis.scanner import Scanner

LOWEST_HU, HIGHEST_HU = -1024, 3071
"""Range of a 12-bit scanner."""
MOTION_MM = 5.0
"""A patient who moved is seen twice, this far apart, in every second slice."""
SHORTEST_MASK_SLICES = 2


@dataclass(frozen=True, slots=True)
class SyntheticCase:
    """A case as arrays and values, with everything that a writer of DICOM or NIfTI needs.

    Attributes:
        center, case_id, patient: the manifest's columns of these names.
        hu_zyx: (slices, rows, columns) int16 attenuation, HU; slices go from feet to head, rows from anterior to
            posterior, columns from the patient's right to the left.
        mask_zyx: uint8 of the same shape; 1 in the hematoma.
        spacing_xyz_mm: pixel spacing, and the distance of slices along their normal.
        origin_mm: LPS position of the centre of hu_zyx[0, 0, 0].
        tilt_deg: gantry tilt, DICOM's sign; with 0 all axes are LPS.
        column_direction: LPS unit vector from a row to the next; (1, 0, 0) is that from a column to the next.
        slice_step_mm: LPS vector from a slice to the next; not along the normal where the gantry is tilted.
        clinical: values under the manifest's column names, from `etiology` to `confirmed_by`.
    """

    center: str
    case_id: str
    patient: str
    hu_zyx: npt.NDArray[np.int16]
    mask_zyx: npt.NDArray[np.uint8]
    spacing_xyz_mm: Point
    origin_mm: Point
    tilt_deg: float
    column_direction: Point
    slice_step_mm: Point
    clinical: Mapping[str, str | int | float]

    def __post_init__(self) -> None:
        if self.hu_zyx.dtype != np.int16 or self.mask_zyx.dtype != np.uint8 or self.hu_zyx.shape != self.mask_zyx.shape:
            raise ValueError("a case is an int16 image and a uint8 mask of one shape")
        if np.count_nonzero(self.mask_zyx.any(axis=(1, 2))) < SHORTEST_MASK_SLICES:
            raise ValueError(f"the hematoma of {self.case_id} is seen in fewer than {SHORTEST_MASK_SLICES} slices")

    @property
    def row_direction(self) -> Point:
        """LPS unit vector from a column to the next."""
        return 1.0, 0.0, 0.0

    @property
    def volume_ml(self) -> float:
        """Volume of the mask; neighbouring slices lie `spacing_xyz_mm[2]` apart, tilted or not."""
        return float(np.count_nonzero(self.mask_zyx) * np.prod(self.spacing_xyz_mm) / 1000)

    def slice_position_mm(self, index: int) -> Point:
        """LPS centre of a slice's first voxel: DICOM's ImagePositionPatient."""
        x, y, z = np.asarray(self.origin_mm) + index * np.asarray(self.slice_step_mm)
        return float(x), float(y), float(z)


@dataclass(frozen=True, slots=True)
class Scan:
    """Arrays of one scan: `hu_zyx` int16, HU, and `mask_zyx` uint8."""

    hu_zyx: npt.NDArray[np.int16]
    mask_zyx: npt.NDArray[np.uint8]


def scan_head(
    head: HeadPlan, hematoma: HematomaPlan, scanner: Scanner, *, moved: bool, seed: np.random.SeedSequence
) -> Scan:
    """Draw a head with its hematoma and image it.

    Head, hematoma and noise have random streams of their own: another scanner sees the same head.
    """
    anatomy = Anatomy.grow(head, _stream(seed, 0))
    blood = grow_hematoma(hematoma, head.pose, BRAIN, _stream(seed, 1))
    noise = _stream(seed, 2)
    shape = (scanner.slices, scanner.rows, scanner.columns)
    hu_zyx, mask_zyx = np.empty(shape, dtype=np.int16), np.empty(shape, dtype=np.uint8)
    offsets = scanner.profile_offsets_mm()
    for index in range(scanner.slices):
        hu = np.zeros(shape[1:], dtype=np.float32)
        for offset in offsets:
            rows = scanner.slice_rows(index, offset)
            layer, brain = anatomy.paint(rows)
            blood.paint(layer, rows, brain)
            hu += layer
        hu = scanner.blur(hu / np.float32(len(offsets)))
        if moved and index % 2:
            hu = _double(hu, scanner)
        hu += np.where(hu > -500, np.float32(scanner.offset_hu), np.float32(0)) + scanner.noise(noise)
        hu_zyx[index] = np.rint(hu).clip(LOWEST_HU, HIGHEST_HU)
        mask_zyx[index] = blood.contains(scanner.slice_rows(index))
    return Scan(hu_zyx, mask_zyx)


def _double(hu_yx: FloatArray, scanner: Scanner) -> FloatArray:
    shift = round(MOTION_MM / scanner.pixel_mm)
    doubled: FloatArray = (hu_yx + np.roll(hu_yx, shift, axis=1)) / 2
    return doubled


def _stream(seed: np.random.SeedSequence, number: int) -> np.random.Generator:
    """Child stream `number`; unlike `seed.spawn`, asking again gives the same stream."""
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number)))
