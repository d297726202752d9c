"""Stored pixels of DICOM slices to HU."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from cvtbatch.counts import counted
from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.geometry import AIR_HU
from cvtbatch.ingest.jpeg import JpegDecoder
from cvtbatch.ingest.memory import Announce, announce_nothing, peak_bytes
from cvtbatch.ingest.pixel_frames import read_frames
from cvtbatch.ingest.slice_header import SliceHeader
from cvtbatch.ingest.sources import Source
from cvtbatch.ingest.tags import quiet

Planes = npt.NDArray[np.int16] | npt.NDArray[np.float32]
Stored = npt.NDArray[np.int16] | npt.NDArray[np.uint16]
# Largest side of a slice, and most voxels of a series; beyond them a file is damaged, or no head.
SIDE_LIMIT = 4096
VOXEL_LIMIT = 1 << 30
# A padding value between these would be tissue: then it is not told apart from the patient.
_PADDING_BELOW_HU, _PADDING_ABOVE_HU = -200, 3071


def read_planes(
    source: Source, slices: Sequence[SliceHeader], announce: Announce = announce_nothing
) -> tuple[Planes, npt.NDArray[np.int64]]:
    """Read the pixels of slices that are equal in size.

    Returns:
        HU (slices, rows, columns) in the order of `slices`, padding as air; int16 where every rescale is of whole numbers, else
        float32. And for each slice how many voxels were below -1024 HU, to which they are raised.

    Raises:
        InputError: pixels are truncated, damaged, of an encoding that is not read, or no HU.
    """
    first = slices[0].pixels
    voxels = len(slices) * first.rows * first.columns
    if max(first.rows, first.columns) > SIDE_LIMIT or voxels > VOXEL_LIMIT:
        raise InputError(
            "too_large",
            f"the series claims {len(slices)} slices of {first.columns} x {first.rows} pixels; "
            f"the limits are {SIDE_LIMIT} a side and {VOXEL_LIMIT} voxels",
        )
    for header in slices:
        _check_format(header)
    wanted: dict[str, dict[int, int]] = {}
    for place, header in enumerate(slices):
        wanted.setdefault(header.file, {})[header.frame] = place
    whole = all(float(number).is_integer() for header in slices for number in _rescale(header))
    announce(peak_bytes(voxels * (2 if whole else 4)))
    shape = (len(slices), first.rows, first.columns)
    volume: Planes | None = None
    clipped = np.zeros(len(slices), dtype=np.int64)
    found = 0
    with JpegDecoder() as jpeg:
        for name, file in source.files(wanted):
            places = wanted[name]
            some = slices[next(iter(places.values()))]
            for frame, stored in _stored_frames(file, some, max(places), jpeg):
                if frame in places:
                    if volume is None:  # a first frame has shown that the size is no mere claim
                        volume = np.empty(shape, dtype=np.int16) if whole else np.empty(shape, dtype=np.float32)
                    clipped[places[frame]] = _to_hounsfield(stored, slices[places[frame]], volume[places[frame]])
                    found += 1
    if volume is None or found != len(slices):
        raise InputError(
            "unreadable_pixels",
            f"{counted(len(slices) - found, 'slice')} without pixels any more: they changed while they were read",
        )
    return volume, clipped


def _refusal(kind: str, message: str, header: SliceHeader, detail: object = "") -> InputError:
    return InputError(kind, message, f"{header.file}, frame {header.frame + 1}: {detail}".removesuffix(": "))


def _check_format(header: SliceHeader) -> None:
    """Refuse what no CT slice is stored as."""
    pixels = header.pixels
    if pixels.samples != 1:
        raise _refusal("not_a_slice", f"a slice has {pixels.samples} values a pixel, where gray ones have one", header)
    if pixels.bits_allocated != 16:
        raise _refusal(
            "not_hounsfield",
            f"pixels of {pixels.bits_allocated} bits; CT is stored in 16, of which 12 to 16 are used",
            header,
        )
    if not 1 < pixels.bits_stored <= 16 or not pixels.bits_stored - 1 <= pixels.high_bit < 16:
        raise _refusal(
            "inconsistent_bits",
            f"{pixels.bits_stored} bits a pixel with the highest at {pixels.high_bit}: no pixel of 16 bits is stored so",
            header,
        )
    _rescale(header)


def _rescale(header: SliceHeader) -> tuple[float, float]:
    """Return slope and intercept; CT images must have both, and a guess would shift the volume by a thousand HU."""
    if header.rescale is None:
        raise _refusal(
            "missing_rescale", "a slice has no usable RescaleSlope and RescaleIntercept: its HU are unknown", header
        )
    slope, intercept = header.rescale
    if slope <= 0:
        raise _refusal(
            "not_hounsfield",
            f"a slice with rescale slope {slope:g} and intercept {intercept:g} holds no HU",
            header,
        )
    return slope, intercept


def _stored_frames(file: BinaryIO, header: SliceHeader, last: int, jpeg: JpegDecoder) -> Iterator[tuple[int, Stored]]:
    """Yield (index, stored values) of a file's frames up to the last that is wanted."""
    with quiet():
        try:
            frames = read_frames(file, header.pixels, jpeg)
            for index in range(last + 1):
                yield index, _unpacked(next(frames), header)
        except InputError as error:
            raise _refusal(error.kind, error.message, header, error.private) from None
        except UnavailableError:
            raise
        except Exception as error:  # the pixel decoders raise many kinds on damaged or unknown data
            message = "pixel data are truncated, damaged or of an encoding that is not read"
            raise _refusal("unreadable_pixels", message, header, repr(error)) from None


def _unpacked(container: npt.NDArray[np.uint16], header: SliceHeader) -> Stored:
    """Return the values of pixels from the 16 bits in which each lies.

    Unused bits may hold an overlay, which is dropped; above a signed value they may repeat its sign. Anything else in them says
    that the header does not describe these pixels.
    """
    pixels = header.pixels
    if pixels.bits_stored == 16:
        return container.view(np.int16) if pixels.signed else container
    shift, spare = pixels.high_bit + 1 - pixels.bits_stored, 16 - pixels.bits_stored
    values = (container >> np.uint16(shift)) << np.uint16(spare)
    unpacked: Stored = values.view(np.int16) >> np.int16(spare) if pixels.signed else values >> np.uint16(spare)
    if not pixels.overlay_bits:
        plain = (values >> np.uint16(spare)) << np.uint16(shift)
        extended = unpacked.view(np.uint16) << np.uint16(shift)
        if not np.array_equal(container, plain) and not np.array_equal(container, extended):
            raise _refusal(
                "inconsistent_bits",
                f"pixels hold more than the {pixels.bits_stored} bits that BitsStored says, up to {int(container.max())}",
                header,
            )
    return unpacked


def _to_hounsfield(stored: Stored, header: SliceHeader, out_hu: Planes) -> int:
    """Write HU, padding as air, nothing below -1024; return how many voxels were below."""
    slope, intercept = _rescale(header)
    limits = np.iinfo(stored.dtype)
    low, high = AIR_HU - int(intercept), np.iinfo(np.int16).max - int(intercept)
    padding = _padding(stored, header)
    if out_hu.dtype == np.int16 and slope == 1 and low <= limits.max and high >= limits.min:
        # Cut before they are moved, values need no wider type; where unsigned ones are moved, they wrap around to what is meant.
        # Most slices have nothing to cut, which is quickly seen.
        whole = low <= int(stored.min()) and int(stored.max()) <= high
        cut = stored if whole else np.clip(stored, max(low, limits.min), min(high, limits.max))
        np.add(cut.view(np.uint16), np.uint16(int(intercept) % (1 << 16)), out=out_hu.view(np.uint16))
        if padding is not None:
            out_hu[padding] = AIR_HU
        if whole:
            return 0
        below = stored < low
        return int(np.count_nonzero(below if padding is None else below & ~padding))
    if np.issubdtype(out_hu.dtype, np.integer):
        hu: npt.NDArray[np.number] = stored.astype(np.int64 if slope != 1 else np.int32)
        if slope != 1:
            hu *= int(slope)
        hu += int(intercept)
    else:
        hu = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if padding is not None:
        hu[padding] = AIR_HU
    clipped = int(np.count_nonzero(hu < AIR_HU))
    np.clip(hu, AIR_HU, np.iinfo(np.int16).max, out=out_hu, casting="unsafe")
    return clipped


def _padding(stored: Stored, header: SliceHeader) -> npt.NDArray[np.bool_] | None:
    """Return where a slice is padding; None where nothing is."""
    if header.pixels.padding is None:
        return None
    low, high = sorted(_as_stored(value, signed=header.pixels.signed) for value in header.pixels.padding)
    padding = stored == low if low == high else (stored >= low) & (stored <= high)
    if not padding.any():
        return None
    slope, intercept = _rescale(header)
    low_hu, high_hu = low * slope + intercept, high * slope + intercept
    if high_hu > _PADDING_BELOW_HU and low_hu < _PADDING_ABOVE_HU:
        raise _refusal(
            "ambiguous_padding",
            f"PixelPaddingValue is {low_hu:g} to {high_hu:g} HU, which tissue has too: what is padding cannot be told",
            header,
        )
    return np.asarray(padding)


def _as_stored(value: int, *, signed: bool) -> int:
    """Return a padding value as the pixels' own type reads it: its VR is often written with the other sign."""
    if signed and value > 32767:
        return value - 65536
    return value + 65536 if not signed and value < 0 else value
