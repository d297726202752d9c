"""NIfTI-1 files by the byte offsets of nifti1.h, whatever they state."""

import gzip
import struct
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

SHAPE = (4, 5, 6)
HU = np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)


def nifti1(
    path: Path,
    values: np.ndarray = HU,
    datatype: int = 4,
    order: str = "<",
    dim: tuple[int, ...] = (),
    **fields: object,
) -> Path:
    """Write a NIfTI-1 file by the byte offsets of nifti1.h."""
    dim = dim or (3, *values.shape[::-1], 1, 1, 1, 1)
    header = bytearray(352)
    places = {
        "pixdim": ("8f", 76), "vox_offset": ("f", 108), "scl_slope": ("f", 112), "scl_inter": ("f", 116),
        "xyzt_units": ("B", 123), "qform_code": ("h", 252), "sform_code": ("h", 254), "quatern": ("3f", 256),
        "qoffset": ("3f", 268), "srow": ("12f", 280),
    }  # fmt: skip
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, *dim)
    struct.pack_into(f"{order}hh", header, 70, datatype, values.dtype.itemsize * 8)
    header[344:348] = b"n+1\0"
    for name, value in {"vox_offset": 352.0, "pixdim": (1, 0.5, 0.6, 5, 1, 1, 1, 1), "xyzt_units": 2, **fields}.items():
        form, place = places[name]
        struct.pack_into(order + form, header, place, *(value if isinstance(value, tuple) else (value,)))
    data = bytes(header) + values.astype(values.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def forms(sform_lps: np.ndarray, sform_code: int, qform_lps: np.ndarray, qform_code: int) -> dict[str, object]:
    """Return the fields that state two places (3, 4), index to LPS mm; the quaternion is SciPy's."""
    to_ras = np.diag([-1.0, -1.0, 1.0])
    sform, qform = to_ras @ sform_lps, to_ras @ qform_lps
    steps = np.linalg.norm(qform[:, :3], axis=0)
    axes = qform[:, :3] / steps
    left_handed = -1.0 if np.linalg.det(axes) < 0 else 1.0
    x, y, z, w = Rotation.from_matrix(axes * [1, 1, left_handed]).as_quat()
    sign = -1.0 if w < 0 else 1.0
    return {
        "sform_code": sform_code,
        "srow": tuple(sform.ravel().tolist()),
        "qform_code": qform_code,
        "quatern": (sign * x, sign * y, sign * z),
        "qoffset": tuple(qform[:, 3].tolist()),
        "pixdim": (left_handed, *steps.tolist(), 1, 1, 1, 1),
    }
