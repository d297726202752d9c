"""NRRD files: headers, read before SimpleITK sees them, since a damaged line ends its process; and volumes written.

Format: https://teem.sourceforge.net/nrrd/format.html
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.ingest.source_files import open_source

FIELDS = {
    *(
        "dimension",
        "type",
        "block size",
        "blocksize",
        "encoding",
        "endian",
        "content",
        "min",
        "max",
        "old min",
        "oldmin",
    ),
    *("old max", "oldmax", "data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip", "number"),
    *(
        "sample units",
        "sampleunits",
        "sizes",
        "spacings",
        "thicknesses",
        "axis mins",
        "axismins",
        "axis maxs",
        "axismaxs",
    ),
    *("centers", "centerings", "labels", "units", "kinds", "space", "space dimension", "space units", "space origin"),
    *("space directions", "measurement frame"),
}
# Longer headers are none.
HEADER_LIMIT = 1 << 20
_TYPES = {"uint8": "unsigned char", "int16": "short", "float32": "float"}
_FAST = 1


def begins_nrrd(start: bytes) -> bool:
    """Say whether a file that begins so is NRRD."""
    return start.startswith(b"NRRD")


def read_nrrd_header(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields of a header, their names in small letters, and its key/value pairs.

    Raises:
        InputError: `unreadable_file` if a line is neither field nor pair nor comment, or the header has no end.
    """
    with open_source(path) as file:
        start = file.read(HEADER_LIMIT)
    lines = [line.removesuffix(b"\r") for line in start.split(b"\n")]
    if not lines[0].startswith(b"NRRD000") or b"" not in lines:
        raise InputError(
            "unreadable_file", "the NRRD file has no whole header: damaged, or of another format", str(path)
        )
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines[1 : lines.index(b"")], start=2):
        # Names are written in UTF-8, and by some tools in an encoding of their own.
        text = line.decode("utf-8", "surrogateescape")
        name, _, value = text.partition(":")
        if text.startswith("#"):
            continue
        if value.startswith("=") and name and "\0" not in text:
            pairs[name] = _unescape(value[1:])
        elif value.startswith(" ") and name.lower() in FIELDS and "\0" not in text:
            fields[name.lower()] = value.strip()
        else:
            raise InputError("unreadable_file", f"line {number} of the NRRD header is damaged", str(path))
    return fields, pairs


def _unescape(value: str) -> str:
    """Return a value as it was before lines and backslashes in it were escaped."""
    return "\\".join(part.replace("\\n", "\n") for part in value.split("\\\\"))


def write_nrrd(path: Path, values: npt.NDArray[np.generic], grid: Grid, pairs: Mapping[str, str]) -> None:
    """Write a volume (z, y, x), or layers of one (z, y, x, layer); uint8, int16 or float32.

    Nothing stands in the file but voxels, geometry and the key/value pairs, so that equal arguments give equal bytes.

    Raises:
        OSError: the file cannot be written.
    """
    layers = values.shape[3:]
    steps = (grid.axes() * np.array(grid.spacing_mm)).T
    header = [
        "NRRD0004",
        f"type: {_TYPES[values.dtype.name]}",
        f"dimension: {3 + len(layers)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, (*layers, *grid.size_xyz)))}",
        f"space directions: {' '.join([*('none' for _ in layers), *map(_point, steps)])}",
        f"kinds: {' '.join([*('list' for _ in layers), *('domain',) * 3])}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_point(grid.origin_mm)}",
        *(f"{name}:={_escape(value)}" for name, value in pairs.items()),
    ]
    voxels = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n\n").encode("utf-8", "surrogateescape"))
        file.write(gzip.compress(voxels.data, _FAST, mtime=0))


def _point(coordinates: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in coordinates)})"


def _escape(value: str) -> str:
    """Return a value on one line; see `_unescape`."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
