from .fingerprint import (
    archive_fingerprint,
    image_fingerprint,
    look_at_image,
    look_at_mask,
    mask_fingerprint,
    source_bytes,
)
from .mask_grids import on_image_voxels
from .masks import read_mask
from .outlines import ImageSlices, SourceMask
from .volumes import SourceVolume, read_volume

__all__ = [
    "ImageSlices",
    "SourceMask",
    "SourceVolume",
    "archive_fingerprint",
    "image_fingerprint",
    "look_at_image",
    "look_at_mask",
    "mask_fingerprint",
    "on_image_voxels",
    "read_mask",
    "read_volume",
    "source_bytes",
]
