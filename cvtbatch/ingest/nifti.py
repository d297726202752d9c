"""NIfTI-1 and NIfTI-2 files: nibabel parses the header, and what it means is decided here by nifti1.h and nifti2.h.

Geometry is the sform where its code is set, else the qform where its code is set, else pixdim alone ("method 1": axes to the
right, anterior and superior from the first voxel). Spacing follows from the same source, in the units of xyzt_units. SimpleITK
takes spacing from pixdim whatever the sform says, passes over units, reads what a truncated file lacks as 0, and confuses
`ct.nii.gz` with a `ct.nii` beside it.

A file may state two places: nibabel, FSL and SPM take the sform, ITK 5.4 the qform unless the sform's code is 1. Neither rule
serves an image of one program and a label of the other, so the qform's place is kept where it is another, and whoever compares two
files looks at both (`mask_grids`).
"""

import gzip
import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import SAME_PLACE_MM, Grid, Vector
from cvtbatch.ingest.memory import Announce, announce_nothing, peak_bytes
from cvtbatch.ingest.source_files import open_source

# What a header may claim before anything of that size is read.
VOXEL_LIMIT = 1 << 30
_SPARE_BYTES = 1 << 20
_CHUNK = 1 << 22
_SCALED_BYTES = 4
HEADER_BYTES = 540
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
# xyzt_units & 7: metre, millimetre, micron; 0 is unknown, and read as millimetre.
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
# NIfTI's world is x right, y anterior, z superior; ours is LPS.
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What is needed of a header, under its names in the standard; `order` is "<" or ">"."""

    order: str
    dim: tuple[int, ...]
    datatype: int
    intent_code: int
    pixdim: tuple[float, ...]
    vox_offset: int
    scl_slope: float
    scl_inter: float
    xyzt_units: int
    qform_code: int
    sform_code: int
    quatern: tuple[float, ...]
    qoffset: tuple[float, ...]
    srow: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class OtherPlace:
    """Where the qform of a file puts its voxels, if elsewhere than the sform.

    Attributes:
        contradicts: False where it only cannot hold the shear of the sform: it agrees on the first voxel.
        corner_mm: where the sform and where the qform put the corner on which they are farthest apart, LPS.
    """

    grid: Grid
    contradicts: bool
    corner_mm: tuple[list[float], list[float]]


def begins_nifti(start: bytes) -> bool:
    """Say whether an unpacked file that begins so is NIfTI, its voxels in the same file or in another."""
    return start[344:347] in {b"n+1", b"ni1"} or start[4:7] in {b"n+2", b"ni2"}


# What overflows is found where values, places and spacings must be finite.
@np.errstate(over="ignore", invalid="ignore")
def read_nifti(path: Path, announce: Announce = announce_nothing) -> tuple[sitk.Image, OtherPlace | None]:
    """Read a NIfTI volume, compressed or not, and what it says of its place besides.

    Raises:
        InputError: the file is truncated or damaged, or holds no volume of real numbers at a known place.
    """
    with _opened(path) as stream:
        header = parse_nifti_header(stream.read(HEADER_BYTES))
        shape_zyx = _shape(header)
        affine = _affine(header)
        values = _voxels(stream, header, shape_zyx, announce)
    image = sitk.GetImageFromArray(values.reshape(shape_zyx))
    grid = _grid(affine, shape_zyx)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    try:
        image.SetDirection(grid.direction)
    except RuntimeError as error:
        raise InputError(
            "bad_geometry", "the axes of the NIfTI file lie in one plane: no place follows", f"{path}: {error}"
        ) from None
    return image, _other_place(header, grid)


@np.errstate(over="ignore", invalid="ignore")
def read_nifti_place(path: Path) -> tuple[Grid, OtherPlace | None]:
    """Return where a NIfTI volume says that its voxels lie, by its header alone.

    Raises:
        InputError: as `read_nifti`.
    """
    with _opened(path) as stream:
        header = parse_nifti_header(stream.read(HEADER_BYTES))
        grid = _grid(_affine(header), _shape(header))
    return grid, _other_place(header, grid)


def states_place(path: Path) -> bool:
    """Say whether a NIfTI volume has an sform or a qform; where it has none, its place is not the patient's.

    Raises:
        InputError: as `read_nifti`.
    """
    with _opened(path) as stream:
        header = parse_nifti_header(stream.read(HEADER_BYTES))
    return header.sform_code > 0 or header.qform_code > 0


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Hold the unpacked bytes of a file; what is wrong with them names it.

    Raises:
        InputError: what the block raises, or the file is truncated or damaged.
    """
    try:
        # A compressed file is known by its content: some carry the other suffix.
        with open_source(path) as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with open_source(path) as file, cast(BinaryIO, gzip.open(file)) if compressed else file as stream:
            yield stream
    except InputError as error:
        raise InputError(error.kind, error.message, str(path)) from None
    except (OSError, EOFError, zlib.error, struct.error, ValueError, OverflowError) as error:
        raise InputError("unreadable_file", "the NIfTI file is truncated or damaged", f"{path}: {error}") from None


def _grid(affine: Vector, shape_zyx: tuple[int, int, int]) -> Grid:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = tuple((affine[:3, :3] / spacing).ravel().tolist())
    return Grid(shape_zyx[::-1], tuple(spacing.tolist()), tuple(affine[:3, 3].tolist()), direction)


def _other_place(header: NiftiHeader, grid: Grid) -> OtherPlace | None:
    """Return the qform's place beside an sform; None where it has none, or the same."""
    if header.sform_code <= 0 or header.qform_code <= 0:
        return None
    try:
        other = _grid(_affine(replace(header, sform_code=0)), grid.shape_zyx)
    except InputError:
        return None  # no place follows from it
    corners = np.array(list(itertools.product(*((0.0, size - 1.0) for size in grid.size_xyz))))
    places, others = grid.to_point(corners), other.to_point(corners)
    apart = np.linalg.norm(places - others, axis=1)
    if apart.max() <= SAME_PLACE_MM:
        return None
    contradicts = not grid.is_sheared or bool(apart[0] > SAME_PLACE_MM)
    by_sform, by_qform = (place[int(apart.argmax())].round(1).tolist() for place in (places, others))
    return OtherPlace(other, contradicts, (by_sform, by_qform))


def parse_nifti_header(data: bytes) -> NiftiHeader:
    """Return the fields in the first bytes of a file as they are written: nibabel mends only where it is asked to check."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    layouts: tuple[type[Nifti1Header], ...] = (Nifti1Header, Nifti2Header)
    for layout, order in itertools.product(layouts, "<>"):
        if data.startswith(struct.pack(f"{order}i", layout.sizeof_hdr)):
            break
    else:
        told = (
            "the file does not begin with a NIfTI header"
            if len(data) >= 4
            else "the NIfTI file is truncated or damaged"
        )
        raise InputError("unreadable_file", told)
    if len(data) < layout.sizeof_hdr:
        raise InputError("unreadable_file", "the NIfTI file is truncated or damaged")
    header = layout(data[: layout.sizeof_hdr], order, check=False)
    if header["magic"].item() not in {Nifti1Header.single_magic, Nifti2Header.single_magic}:
        raise InputError(
            "detached_data", "the NIfTI file is a header whose voxels lie in another file, or of the Analyze format"
        )

    if not header["vox_offset"] >= layout.sizeof_hdr:
        raise InputError(
            "unreadable_file",
            f"the voxels of the NIfTI file begin at byte {header['vox_offset']:g}, within its header: damaged",
        )

    def fields(prefix: str, names: str) -> tuple[float, ...]:
        return tuple(float(header[prefix + name]) for name in names)

    return NiftiHeader(
        order=order,
        dim=tuple(header["dim"].tolist()),
        datatype=int(header["datatype"]),
        intent_code=int(header["intent_code"]),
        pixdim=tuple(header["pixdim"].tolist()),
        vox_offset=int(header["vox_offset"]),
        scl_slope=float(header["scl_slope"]),
        scl_inter=float(header["scl_inter"]),
        xyzt_units=int(header["xyzt_units"]),
        qform_code=int(header["qform_code"]),
        sform_code=int(header["sform_code"]),
        quatern=fields("quatern_", "bcd"),
        qoffset=fields("qoffset_", "xyz"),
        srow=tuple(number for row in "xyz" for number in header[f"srow_{row}"].tolist()),
    )


def _shape(header: NiftiHeader) -> tuple[int, int, int]:
    used = header.dim[1 : 1 + header.dim[0]] if 1 <= header.dim[0] <= 7 else ()
    if header.datatype not in _DTYPES:
        raise InputError(
            "not_a_volume", f"voxels of the NIfTI type {header.datatype} (complex, color, or unknown) are no HU"
        )
    if len(used) < 3 or min(used) < 1 or max(used[3:], default=1) > 1:
        raise InputError("not_a_volume", f"the NIfTI file has the dimensions {list(used)}; a volume has three")
    if math.prod(used) > VOXEL_LIMIT:
        raise InputError(
            "too_large", f"the NIfTI file claims {used[0]} x {used[1]} x {used[2]} voxels; the limit is {VOXEL_LIMIT}"
        )
    return used[2], used[1], used[0]


def _voxels(
    stream: BinaryIO, header: NiftiHeader, shape_zyx: tuple[int, int, int], announce: Announce
) -> npt.NDArray[np.number]:
    dtype = np.dtype(header.order + _DTYPES[header.datatype])
    slope, intercept = header.scl_slope, header.scl_inter
    scaled = slope != 0 and math.isfinite(slope) and (slope, intercept) != (1, 0)
    count, start = math.prod(shape_zyx), header.vox_offset
    announce(peak_bytes(count * (_SCALED_BYTES if scaled else dtype.itemsize)))
    stream.seek(start)
    values = np.empty(count, dtype)
    read = _fill(stream, values)
    if read < values.nbytes:
        raise InputError(
            "unreadable_file", f"the NIfTI file is truncated: {start + read} of {start + values.nbytes} bytes"
        )
    # Reading past the voxels has a compressed file checked against its checksum.
    stream.read(_SPARE_BYTES)
    native = values if dtype.isnative else values.byteswap(inplace=True).view(dtype.newbyteorder("="))
    if not scaled:
        return native
    if not math.isfinite(intercept):
        raise InputError("not_hounsfield", f"the NIfTI file scales its values by {slope:g} and adds {intercept}")
    scaled_values = np.empty(count, dtype=np.float32)
    for part in (slice(place, place + _CHUNK) for place in range(0, count, _CHUNK)):
        scaled_values[part] = native[part] * np.float64(slope) + intercept
    return scaled_values


def _fill(stream: BinaryIO, values: npt.NDArray[np.number]) -> int:
    """Read an array's bytes from where a stream is; return how many were there."""
    view, place = values.view(np.uint8).data, 0
    while place < len(view) and (read := stream.readinto(view[place : place + _CHUNK])):  # type: ignore[attr-defined]
        place += read
    return place


def _affine(header: NiftiHeader) -> Vector:
    """Return the 4 x 4 matrix from indices (x, y, z) to LPS mm."""
    if header.sform_code > 0:
        matrix = np.vstack([np.reshape(header.srow, (3, 4)), [0, 0, 0, 1]]).astype(np.float64)
        source = "sform"
    elif header.qform_code > 0:
        matrix, source = _qform(header), "qform"
    else:
        matrix, source = np.diag([*np.abs(header.pixdim[1:4]), 1.0]), "pixdim"
    unit = header.xyzt_units & 7
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    matrix[:3] *= _UNIT_MM.get(unit, math.nan)
    lengths_mm = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or not np.isfinite(lengths_mm).all() or lengths_mm.min() <= 0:
        raise InputError(
            "bad_geometry",
            f"the {source} of the NIfTI file has the spacings {lengths.tolist()} in unit {unit}: no place follows",
        )
    return np.asarray(_RAS_TO_LPS @ matrix)


def _qform(header: NiftiHeader) -> Vector:
    """Return the matrix of the quaternion (nifti1.h, "method 2")."""
    b, c, d = header.quatern
    rest = 1 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn, up to round-off
        length = math.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if header.pixdim[0] < 0 else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * (np.abs(header.pixdim[1:4]) * [1, 1, handedness])
    matrix[:3, 3] = header.qoffset
    return matrix
