"""Volumes and masks as OME-Zarr 0.5 groups: one shard an array, one chunk a slice, zstd.

The shard is put together here, as the bytes that zarr would write: zarr takes as long to pass slices between its threads as their
compression takes. zarr writes what describes it, and reads.

A group is written once, under a path that nobody else has, and is whole once its checksum holds. The checksum covers every
object of the group, so that a lost or cut shard is an error and not a volume of air.
"""

import contextlib
import uuid
from collections.abc import Sequence
from typing import Literal

import google_crc32c
import numpy as np
import numpy.typing as npt
import obstore
import zarr
from numcodecs import Blosc, Zstd
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import ByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore, ObjectStore

from cvtbatch.errors import FormatError, StorageError
from cvtbatch.geometry import AIR_HU, Grid
from cvtbatch.spec import digest
from cvtbatch.store.location import Location
from cvtbatch.store.objects import get, put
from cvtbatch.store.storage_errors import storage_error, storage_errors
from cvtbatch.store.stored_array import StoredArray

ARRAY = "0"
SHARD = f"{ARRAY}/c/0/0/0"
OBJECTS = ("zarr.json", f"{ARRAY}/zarr.json", SHARD)
BLOCK_BYTES = 1 << 20
# What a slice is compressed by, as zarr names it, and what does it. HU are parted into their low and high bytes before: beside zstd
# alone at level 2 that takes a third as long, and volumes are 14 % smaller. A slice is one block (up to 724 x 724 voxels): in the
# blocks that Blosc would choose, compression takes half as long again for 1 % less.
COMPRESSORS: dict[str, tuple[BytesBytesCodec, Blosc | Zstd]] = {
    "volume": (
        BloscCodec(typesize=2, cname="zstd", clevel=1, shuffle="shuffle", blocksize=BLOCK_BYTES),
        Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE, blocksize=BLOCK_BYTES),
    ),
    "mask": (ZstdCodec(level=2), Zstd(level=2)),
}


def write_array(
    location: Location,
    values_zyx: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    grid: Grid,
    kind: Literal["volume", "mask"],
) -> StoredArray:
    """Write a volume (int16 HU) or mask (uint8) as a new group.

    Raises:
        StorageError: the store cannot be written; what was written of the group is removed.
    """
    objects = _encode(values_zyx, grid, kind)
    token = uuid.uuid4().hex
    path = f"{kind}s/{token[:2]}/{token}.ome.zarr"
    try:
        for name in OBJECTS:
            put(location, f"{path}/{name}", objects[name])
    except StorageError:
        with contextlib.suppress(Exception):
            obstore.delete(location.objects(), [f"{path}/{name}" for name in OBJECTS])
        raise
    return StoredArray(path, _checksum(objects), sum(map(len, objects.values())))


def read_array(location: Location, stored: StoredArray) -> npt.NDArray[np.int16] | npt.NDArray[np.uint8]:
    """Read a whole array (z, y, x).

    Raises:
        FormatError: an object of the group is missing, or its bytes are not those that were written.
        StorageError: the store cannot be read.
    """
    try:
        objects = {name: get(location, f"{stored.path}/{name}") for name in OBJECTS}
    except FileNotFoundError:
        raise FormatError("volume_missing", f"{stored.path} is gone from the store, wholly or in part") from None
    if _checksum(objects) != stored.checksum:
        raise FormatError("volume_damaged", f"{stored.path} is not what was written: its checksum differs")
    to_buffer = default_buffer_prototype().buffer.from_bytes
    memory = MemoryStore({name: to_buffer(data) for name, data in objects.items()})
    array = zarr.open_array(memory, path=ARRAY, mode="r")
    values: npt.NDArray[np.int16] | npt.NDArray[np.uint8] = np.asarray(array[:])
    return values


class _WholeObjects(ObjectStore[LocalStore | S3Store]):
    """Objects for zarr, which reads what is absent as fill value: here it is an error."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer:
        buffer = await super().get(key, prototype, byte_range)
        if not buffer:
            raise FileNotFoundError(key)
        return buffer


def read_slices(
    location: Location, stored: StoredArray, indices: Sequence[int]
) -> npt.NDArray[np.int16] | npt.NDArray[np.uint8]:
    """Read slices (n, y, x) by byte range: the shard's index and the chunks of these slices, each verified by its CRC-32C.

    Raises:
        FormatError: an object of the group is missing, a slice is damaged, or there is no such slice.
        StorageError: the store cannot be read.
    """
    try:
        objects = _WholeObjects(location.objects(), read_only=True)
        array = zarr.open_array(objects, path=f"{stored.path}/{ARRAY}", mode="r", zarr_format=3)
        if not all(0 <= index < array.shape[0] for index in indices):
            raise FormatError("no_such_slice", f"{stored.path} has {array.shape[0]} slices, not {max(indices)}")
        values: npt.NDArray[np.int16] | npt.NDArray[np.uint8] = np.empty((len(indices), *array.shape[1:]), array.dtype)
        for place, index in enumerate(indices):
            values[place] = array[index]
    except FormatError:
        raise
    except FileNotFoundError:
        raise FormatError("volume_missing", f"{stored.path} is gone from the store, wholly or in part") from None
    except BaseError as error:
        raise storage_error("reading from the store", error) from error
    except Exception as error:  # zarr and its codecs each raise their own kinds
        raise FormatError(
            "volume_damaged", f"{stored.path} is not what was written", f"{type(error).__name__}: {error}"
        ) from error
    return values


def array_problems(location: Location, arrays: Sequence[StoredArray], checksums: bool) -> dict[str, str]:
    """Say by path what is wrong with groups.

    Args:
        checksums: read every group, not just look whether its objects are there.

    Raises:
        StorageError: the store cannot be read.
    """
    problems = {}
    with storage_errors("looking for volumes and masks"):
        folders = {stored.path.partition("/")[0] for stored in arrays}
        pages = (page for folder in sorted(folders) for page in obstore.list(location.objects(), folder))
        there = {entry["path"] for page in pages for entry in page}
    for stored in arrays:
        if not all(f"{stored.path}/{name}" in there for name in OBJECTS):
            problems[stored.path] = "gone, wholly or in part"
        elif checksums:
            try:
                read_array(location, stored)
            except FormatError as error:
                problems[stored.path] = error.kind
    return problems


def _checksum(objects: dict[str, bytes]) -> str:
    """Return the SHA-256 of a group's objects and their names."""
    return digest(*(part for name in OBJECTS for part in (name, objects[name])))


def _encode(values: npt.NDArray[np.int16] | npt.NDArray[np.uint8], grid: Grid, kind: str) -> dict[str, bytes]:
    """Return the objects of a group (z, y, x), by name."""
    described_by, compressor = COMPRESSORS[kind]
    written: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(written), attributes=_attributes(grid, kind))
    group.create_array(
        ARRAY,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, *values.shape[1:]),
        shards=values.shape,
        compressors=[described_by, Crc32cCodec()],
        fill_value=AIR_HU if kind == "volume" else 0,
        dimension_names=("z", "y", "x"),
    )
    if lacking := [name for name in OBJECTS if name != SHARD and name not in written]:
        raise StorageError("store_failed", f"zarr did not produce {', '.join(lacking)}")
    objects = {name: buffer.to_bytes() for name, buffer in written.items()}
    # An all-air volume is data too: without its shard it could not be told from a lost one.
    return {**objects, SHARD: _shard(values, compressor)}


def _shard(values: npt.NDArray[np.int16] | npt.NDArray[np.uint8], compressor: Blosc | Zstd) -> bytes:
    """Return the slices of an array (z, y, x) one after the other, and the index of where each lies; all with their CRC-32C.

    Source: Zarr core specification 3, codecs `sharding_indexed` and `crc32c`.
    """
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    chunks = [_checked(compressor.encode(plane)) for plane in little]
    sizes = np.array([len(chunk) for chunk in chunks], dtype="<u8")
    index = np.stack([np.cumsum(sizes) - sizes, sizes], axis=1)
    return b"".join([*chunks, _checked(index.astype("<u8").tobytes())])


def _checked(data: bytes) -> bytes:
    """Return data with its CRC-32C."""
    return data + int(google_crc32c.value(data)).to_bytes(4, "little")


def _attributes(grid: Grid, kind: str) -> dict[str, object]:
    """Return OME-Zarr 0.5 metadata; its frame is the array's own axes, which `cvtbatch` places in the patient."""
    scale = [float(step) for step in reversed(grid.spacing_mm)]
    along_axes = grid.axes().T @ np.array(grid.origin_mm)
    translation = [round(float(value), 9) for value in reversed(along_axes)]
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
    image = {"name": kind, "axes": axes, "datasets": [{"path": ARRAY, "coordinateTransformations": transforms}]}
    frame = {
        "origin_mm": list(grid.origin_mm),
        "direction": list(grid.direction),
        "frame": "LPS",
        "unit": "HU" if kind == "volume" else "label",
    }
    return {"ome": {"version": "0.5", "multiscales": [image]}, "cvtbatch": frame}
