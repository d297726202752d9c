"""What the header of an image file says, without its voxels: sizes, spacings, and whether they are labels."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.ingest.image_files import image_format
from cvtbatch.ingest.nifti import HEADER_BYTES, parse_nifti_header
from cvtbatch.ingest.nrrd import read_nrrd_header
from cvtbatch.ingest.slicer_segments import lists_segments
from cvtbatch.ingest.source_files import open_source
from cvtbatch.ingest.streams import unpacked_start

_START_BYTES = 4096
_INTENT_LABEL = 1002
# Types that cannot hold HU of air; NIfTI's by number (1: bits).
_NIFTI_BYTES = {1, 2, 256}
_NRRD_BYTES = {"uchar", "unsigned char", "uint8", "uint8_t", "char", "signed char", "int8", "int8_t"}
_METAIMAGE_BYTES = {"met_uchar", "met_char"}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a header says.

    Attributes:
        sizes: voxels along each axis of the file.
        spacing_mm: along the axes, as far as it is told.
        is_label_map: it says so, or its values have one byte and are not scaled: too few for HU.
    """

    sizes: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    is_label_map: bool

    def __str__(self) -> str:
        sizes = " x ".join(map(str, self.sizes))
        return f"{sizes}, {' x '.join(f'{step:.3g}' for step in self.spacing_mm)} mm" if self.spacing_mm else sizes


def read_image_header(path: Path) -> ImageHeader:
    """Read the header of a NIfTI, NRRD or MetaImage file; its voxels may still be missing or damaged.

    Raises:
        InputError: "unreadable_file", "detached_data" or "unknown_format".
        UnavailableError: the system cannot give its bytes now.
    """
    file_format = image_format(path)
    try:
        if file_format == "NIfTI":
            return _nifti(path)
        if file_format == "NRRD":
            return _nrrd(path)
        if file_format == "MetaImage":
            return _metaimage(path)
    except CvtbatchError as error:
        raise type(error)(error.kind, error.message, str(path)) from None
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        raise InputError("unreadable_file", "the header of the file is damaged", f"{path}: {error}") from None
    raise InputError("unknown_format", "the file is none of NIfTI, NRRD and MetaImage, by its suffix", str(path))


def _start(path: Path) -> bytes:
    with open_source(path) as file:
        return file.read(_START_BYTES)


def _nifti(path: Path) -> ImageHeader:
    start = _start(path)
    header = parse_nifti_header(
        unpacked_start(start, HEADER_BYTES) if start.startswith(b"\x1f\x8b") else start[:HEADER_BYTES]
    )
    axes = max(min(header.dim[0], 7), 0)
    scaled = header.scl_slope not in {0, 1} and bool(np.isfinite(header.scl_slope))
    labels = header.intent_code == _INTENT_LABEL or (header.datatype in _NIFTI_BYTES and not scaled)
    return ImageHeader(
        header.dim[1 : 1 + axes], tuple(abs(step) for step in header.pixdim[1 : 1 + min(axes, 3)]), labels
    )


def _nrrd(path: Path) -> ImageHeader:
    fields, pairs = read_nrrd_header(path)
    steps = re.findall(r"\(([^)]*)\)", fields.get("space directions", ""))
    spacing = tuple(float(np.linalg.norm([float(number) for number in step.split(",")])) for step in steps)
    labels = lists_segments(pairs) or fields.get("type", "").lower() in _NRRD_BYTES
    return ImageHeader(tuple(int(size) for size in fields.get("sizes", "").split()), spacing, labels)


def _metaimage(path: Path) -> ImageHeader:
    lines = (line.partition(b"=") for line in _start(path).split(b"\n"))
    fields = {name.strip().lower().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines}
    if "elementdatafile" not in fields:
        raise InputError("unreadable_file", "the MetaImage file has no whole header: damaged, or of another format")
    if fields["elementdatafile"].lower() != "local":
        raise InputError("detached_data", "the file is a header whose voxels lie in another file; write both as one")
    spacing = fields.get("elementspacing", "").split()
    return ImageHeader(
        tuple(int(size) for size in fields.get("dimsize", "").split()),
        tuple(float(step) for step in spacing),
        fields.get("elementtype", "").lower() in _METAIMAGE_BYTES,
    )
