"""Image files (NIfTI, NRRD, MetaImage); geometry as the format defines it.

NRRD and MetaImage are read with SimpleITK, whose geometry is the formats' own but for two things: it passes over units, and takes a
file that does not say where its voxels lie for one at the origin.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.ingest.memory import Announce, announce_nothing, peak_bytes
from cvtbatch.ingest.nifti import VOXEL_LIMIT, OtherPlace, begins_nifti, read_nifti, states_place
from cvtbatch.ingest.nrrd import HEADER_LIMIT, begins_nrrd, read_nrrd_header
from cvtbatch.ingest.other_formats import way_on
from cvtbatch.ingest.source_files import open_source, refusal, require_readable
from cvtbatch.ingest.streams import unpacked_start


@dataclass(frozen=True, slots=True)
class Format:
    """A format of image files under one suffix.

    Attributes:
        begins: whether a file that begins so, by its first 4096 bytes, is one.
    """

    suffix: str
    name: str
    begins: Callable[[bytes], bool]


def _begins_metaimage(start: bytes) -> bool:
    return start.lstrip()[:10] == b"ObjectType" or b"\nElementDataFile" in start


FORMATS = (
    Format(".nii", "NIfTI", begins_nifti),
    Format(".nii.gz", "NIfTI", lambda start: begins_nifti(unpacked_start(start, 352))),
    Format(".nrrd", "NRRD", begins_nrrd),
    Format(".mha", "MetaImage", _begins_metaimage),
)
FORMAT_NAMES = tuple(dict.fromkeys(entry.name for entry in FORMATS))
# Spaces of NRRD that are anatomical; SimpleITK turns each to LPS, and takes any other for LPS.
_NRRD_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las"}
_UNIT_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "\u00b5m": 0.001, "?": 1.0, "": 1.0}
# What a MetaImage says of its values, and what leaves them as they are; SimpleITK passes over it.
_METAIMAGE_SCALE = {"elementtointensityfunctionslope": "1", "elementtointensityfunctionoffset": "0"}
_AXES = 3
# Most bytes that compressed voxels may unpack to.
_UNPACKED_LIMIT_BYTES = 8 * VOXEL_LIMIT
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A volume of single values as its file has it.

    Attributes:
        other: a second place that a NIfTI file states.
        is_placed: False where a NIfTI file states none.
    """

    image: sitk.Image
    file_format: str
    other: OtherPlace | None = None
    is_placed: bool = True


def image_format(path: Path) -> str | None:
    """Return the format that a file's name says, None if none that is read here."""
    return next((entry.name for entry in FORMATS if path.name.lower().endswith(entry.suffix)), None)


def suffix_of(start: bytes) -> str | None:
    """Return the suffix that a file with such a start should have; None if it is of no known format."""
    return next((entry.suffix for entry in FORMATS if entry.begins(start)), None)


def read_image_file(path: Path, announce: Announce = announce_nothing) -> ImageFile:
    """Read a volume of single values.

    Raises:
        InputError: the suffix is of no known format, the file cannot be read whole, or it holds no such volume.
    """
    file_format = image_format(path)
    if file_format is None:
        known = ", ".join(entry.suffix for entry in FORMATS)
        told = way_on(path, "image") or f"the file's suffix is none of {known}, and it holds no DICOM"
        raise InputError("unknown_format", told, str(path))
    if file_format == "NIfTI":
        image, other = read_nifti(path, announce)
        return ImageFile(image, file_format, other, states_place(path))
    unit_mm = check_file(path, announce)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        require_readable(path)
        raise InputError(
            "unreadable_file",
            f"the {file_format} file cannot be read: it is damaged, truncated or of another format",
            f"{path}: {error}",
        ) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if (
        image.GetDimension() != 3
        or image.GetNumberOfComponentsPerPixel() != 1
        or "complex" in image.GetPixelIDTypeAsString()
    ):
        what = f"{image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} values a voxel"
        raise InputError("not_a_volume", f"the {file_format} file has {what}; a volume has three and one", str(path))
    if unit_mm != 1:
        image.SetSpacing([step * unit_mm for step in image.GetSpacing()])
        image.SetOrigin([place * unit_mm for place in image.GetOrigin()])
    return ImageFile(image, file_format)


def check_file(path: Path, announce: Announce = announce_nothing) -> float:
    """Check what SimpleITK passes over in an NRRD or MetaImage file.

    That is: voxels in another file, which would escape the source's fingerprint; damage of compressed ones; sizes that the file
    claims and does not have; places and units.

    Returns:
        What a unit of length of the file is, in mm.

    Raises:
        InputError: the file is refused.
    """
    file_format = image_format(path)
    try:
        with open_source(path) as file:
            start = file.read(HEADER_LIMIT)
            if file_format == "NRRD":
                fields = {name: value.lower() for name, value in read_nrrd_header(path)[0].items()}
                place = _nrrd_header_bytes(start)
            else:
                fields, place = _metaimage_header(start)
            if "data file" in fields or "datafile" in fields or fields.get("elementdatafile", "local") != "local":
                raise InputError(
                    "detached_data",
                    "the file is a header whose voxels lie in another file; write both as one",
                    str(path),
                )
            if [float(fields.get(name, told)) for name, told in _METAIMAGE_SCALE.items()] != [1, 0]:
                raise InputError(
                    "unreadable_file",
                    "the MetaImage file has an ElementToIntensityFunctionSlope or -Offset by which its values are to be scaled, "
                    "which is not done: write the values that are meant",
                    str(path),
                )
            if int(fields.get("headersize", -1)) > 0:
                raise InputError(
                    "unreadable_file",
                    "the MetaImage file has a HeaderSize, by which voxels would begin within its own header: leave the line out",
                    str(path),
                )
            size = fields.get("sizes" if file_format == "NRRD" else "dimsize", "")
            voxels = math.prod(int(length) for length in size.split())
            if voxels > VOXEL_LIMIT:
                raise InputError(
                    "too_large", f"the {file_format} file claims {size} voxels; the limit is {VOXEL_LIMIT}", str(path)
                )
            held = path.stat().st_size - place
            if fields.get("encoding") in {"gzip", "gz"} or fields.get("compresseddata") == "true":
                file.seek(place)
                held = _unpacked_bytes(file, 16 + zlib.MAX_WBITS if file_format == "NRRD" else zlib.MAX_WBITS)
        if held < voxels:  # a byte a voxel is the least; SimpleITK takes memory before it looks
            raise EOFError(f"{held} bytes for {voxels} voxels")
        announce(peak_bytes(held))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise refusal(error, "the file is truncated or damaged", path) from None
    return _nrrd_unit_mm(path, fields) if file_format == "NRRD" else _metaimage_unit_mm(path, fields)


def _unpacked_bytes(file: BinaryIO, window_bits: int) -> int:
    """Return how many bytes a zlib stream unpacks to, its checksum included in the reading."""
    unpacker, pending, count = zlib.decompressobj(window_bits), b"", 0
    while not unpacker.eof:
        pending = pending or file.read(_CHUNK_BYTES)
        chunk = unpacker.decompress(pending, _CHUNK_BYTES)
        count += len(chunk)
        if count > _UNPACKED_LIMIT_BYTES or not (chunk or pending or unpacker.eof):
            raise EOFError(f"the compressed voxels end early, or unpack to more than {_UNPACKED_LIMIT_BYTES} bytes")
        pending = unpacker.unconsumed_tail
    return count


def _nrrd_unit_mm(path: Path, fields: dict[str, str]) -> float:
    space = fields.get("space", "").removesuffix("-time")
    # As SimpleITK writes four dimensions; whether the fourth has one frame is seen when it is read.
    has_time = fields.get("space dimension") == "4"
    is_placed = "space origin" in fields and fields.get("space directions", "").count("(") >= _AXES
    if not is_placed or (space not in _NRRD_SPACES and not has_time):
        raise InputError(
            "missing_geometry",
            "the NRRD file does not say where its voxels lie in the patient: its space is none of LPS, RAS and LAS, or it has no "
            "space origin or not three space directions",
            str(path),
        )
    if has_time:
        return 1.0
    units = {unit for unit in fields.get("space units", "").replace('"', " ").split() if unit != "???"}
    return _unit_mm(path, units)


def _metaimage_unit_mm(path: Path, fields: dict[str, str]) -> float:
    if not {"elementspacing", "elementsize"} & fields.keys() or not {"offset", "position", "origin"} & fields.keys():
        raise InputError(
            "missing_geometry",
            "the MetaImage file does not say where its voxels lie in the patient: it has no Offset, or neither ElementSpacing nor "
            "ElementSize",
            str(path),
        )
    return _unit_mm(path, {fields.get("distanceunits", "")})


def _unit_mm(path: Path, units: set[str]) -> float:
    lengths = {_UNIT_MM.get(unit) for unit in units} or {1.0}
    length = lengths.pop()
    if length is None or lengths:
        raise InputError("bad_geometry", f"the file's unit of length is none of {', '.join(_UNIT_MM)}", str(path))
    return length


def _nrrd_header_bytes(data: bytes) -> int:
    """Return where the header of an NRRD file ends: past the blank line after it."""
    ends = [(place, len(blank)) for blank in (b"\n\n", b"\r\n\r\n") if (place := data.find(blank)) >= 0]
    return sum(min(ends, default=(len(data), 0)))


def _metaimage_header(data: bytes) -> tuple[dict[str, str], int]:
    """Return the fields of a MetaImage header, in small letters, and where its last line ends."""
    place = data.lower().find(b"elementdatafile")
    end = data.find(b"\n", max(place, 0))
    length = len(data) if place < 0 or end < 0 else end + 1
    return _fields(data[:length], "="), length


def _fields(header: bytes, separator: str) -> dict[str, str]:
    lines = (line.partition(separator) for line in header.decode("latin-1").lower().splitlines())
    return {name.strip(): value.strip(" =") for name, _, value in lines}
