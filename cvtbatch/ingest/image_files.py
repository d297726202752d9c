"""Image files (NIfTI, NRRD, MetaImage), read with SimpleITK; geometry as the format defines it."""

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import SimpleITK as sitk

from cvtbatch.errors import InputError

FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".mha": "MetaImage",
}


def read_image_file(path: Path) -> tuple[sitk.Image, str]:
    """Read a volume of single values, and name its format.

    Raises:
        InputError: the suffix is of no known format, the file cannot be read whole, or it holds no such volume.
    """
    file_format = next((name for suffix, name in FORMATS.items() if path.name.lower().endswith(suffix)), None)
    if file_format is None:
        known = ", ".join(FORMATS)
        raise InputError(
            "unknown_format", f"the file's suffix is none of {known}, and it is no folder of DICOM files", str(path)
        )
    if file_format == "NIfTI":
        _check_nifti(path)
    else:
        check_attached(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            "unreadable_file",
            f"the {file_format} file cannot be read: it is damaged, truncated or of another format",
            f"{path}: {error}",
        ) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        what = f"{image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} values a voxel"
        raise InputError("not_a_volume", f"the {file_format} file has {what}; a volume has three and one", str(path))
    return image, file_format


def check_attached(path: Path) -> None:
    """Refuse an NRRD or MetaImage file whose voxels lie in another file, or whose compressed voxels are damaged.

    What another file holds would escape the source's fingerprint; the checksum of compressed voxels SimpleITK passes over.

    Raises:
        InputError: it is so, or the file cannot be read.
    """
    try:
        data = path.read_bytes()
        fields, payload = _nrrd_parts(data) if path.suffix.lower() == ".nrrd" else _metaimage_parts(data)
        if "data file" in fields or "datafile" in fields or fields.get("elementdatafile", "local") != "local":
            raise InputError(
                "detached_data", "the file is a header whose voxels lie in another file; write both as one", str(path)
            )
        if fields.get("encoding") in {"gzip", "gz"}:
            gzip.decompress(payload)
        elif fields.get("compresseddata") == "true":
            zlib.decompress(payload)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("unreadable_file", "the file is truncated or damaged", f"{path}: {error}") from None


def _nrrd_parts(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return the fields of an NRRD header, in small letters, and what follows the blank line that ends it."""
    unix, windows = data.find(b"\n\n"), data.find(b"\r\n\r\n")
    end = min((place for place in (unix, windows) if place >= 0), default=len(data))
    payload = data[end:].removeprefix(b"\r\n\r\n" if end == windows else b"\n\n")
    return _fields(data[:end], ":"), payload


def _metaimage_parts(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return the fields of a MetaImage header, in small letters, and what follows its last line."""
    place = data.lower().find(b"elementdatafile")
    end = data.find(b"\n", max(place, 0))
    header, payload = (data, b"") if place < 0 or end < 0 else (data[:end], data[end + 1 :])
    return _fields(header, "="), payload


def _fields(header: bytes, separator: str) -> dict[str, str]:
    lines = (line.partition(separator) for line in header.decode("latin-1").lower().splitlines())
    return {name.strip(): value.strip(" =") for name, _, value in lines}


def _check_nifti(path: Path) -> None:
    """Refuse a NIfTI file that is not whole: SimpleITK reads what is missing as 0, without a word.

    Raises:
        InputError: it is truncated or damaged, or SimpleITK would read another file in its place.
    """
    if path.name.lower().endswith(".gz") and path.with_suffix("").exists():
        raise InputError(
            "ambiguous_file",
            "the compressed NIfTI file lies beside an uncompressed one of the same name, which SimpleITK would read instead; "
            "move one of them away",
            str(path),
        )
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            expected, found = _nifti_bytes(file)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError("unreadable_file", "the NIfTI file is truncated or damaged", f"{path}: {error}") from None
    if found < expected:
        raise InputError("unreadable_file", f"the NIfTI file is truncated: {found} of {expected} bytes", str(path))


def _nifti_bytes(file: BufferedIOBase) -> tuple[int, int]:
    """Return how many bytes the header of a NIfTI-1 or NIfTI-2 stream promises, and how many there are."""
    header = file.read(540)
    order = "<" if struct.unpack_from("<i", header)[0] in {348, 540} else ">"
    if struct.unpack_from(f"{order}i", header)[0] == 540:
        (bits,), dims = struct.unpack_from(f"{order}h", header, 14), struct.unpack_from(f"{order}8q", header, 16)
        (start,) = struct.unpack_from(f"{order}q", header, 168)
    else:
        (bits,), dims = struct.unpack_from(f"{order}h", header, 72), struct.unpack_from(f"{order}8h", header, 40)
        (start,) = struct.unpack_from(f"{order}f", header, 108)
    promised = int(start) + math.prod(dims[1 : 1 + max(dims[0], 0)]) * bits // 8
    found = len(header)
    while chunk := file.read(1 << 20):
        found += len(chunk)
    return promised, found
