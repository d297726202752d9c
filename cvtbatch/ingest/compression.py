"""How the pixels of a DICOM file were compressed: whether something was lost, and the names of what is not read."""

import re
from collections.abc import Sequence

from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

# Encodings that cannot but lose. JPEG 2000 and HTJ2K may: there LossyImageCompression tells.
_LOSSY_SYNTAXES = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}
_UID = re.compile(r"[\d.]{1,64}")
_NAME = re.compile(r"PMSCT_\w{1,12}|LOSSLESS_RICE")
_WAY_OUT = "export the series without compression, or with one of the standard"


def is_lossy(transfer_syntax: str, lossy_image_compression: str | None, image_type: Sequence[str]) -> bool:
    """Say whether pixels are or were compressed with loss, by their encoding, the tag for it (PS3.3 C.7.6.1.1.5) or ImageType."""
    return (
        transfer_syntax in _LOSSY_SYNTAXES
        or lossy_image_compression == "01"
        or any("LOSSY" in value.upper().split() for value in image_type)
    )


def describe_encoding(transfer_syntax: str, private_compression: str | None) -> str:
    """Return what is to be said of an encoding that is not read: its name, as far as it may be shared, and what to do."""
    if private_compression is not None:
        name = private_compression if _NAME.fullmatch(private_compression) else "one without a known name"
        return f"the pixels are compressed in a vendor's private way ({name}), which is not read: {_WAY_OUT}"
    if not _UID.fullmatch(transfer_syntax):
        return f"the pixels are in a transfer syntax without a valid UID, which is not read: {_WAY_OUT}"
    uid = UID(transfer_syntax)
    private = "the private transfer syntax" if uid.is_private else "the transfer syntax"
    name = uid.name if uid.name == transfer_syntax else f"{transfer_syntax}, {uid.name}"
    return f"the pixels are in {private} {name}, which is not read: {_WAY_OUT}"
