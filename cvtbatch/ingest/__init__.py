"""From the bytes of an archive to volumes and masks, or a refusal with a reason."""

from cvtbatch.ingest.fingerprint import image_fingerprint, look_at_image, mask_fingerprint, source_bytes
from cvtbatch.ingest.masks import read_mask
from cvtbatch.ingest.outlines import ImageSlices, SourceMask
from cvtbatch.ingest.volumes import SourceVolume, read_volume

__all__ = [
    "ImageSlices",
    "SourceMask",
    "SourceVolume",
    "image_fingerprint",
    "look_at_image",
    "mask_fingerprint",
    "read_mask",
    "read_volume",
    "source_bytes",
]
