"""What of a source was passed over on the way to its CT images, counted by reason in words that may be shared."""

from collections.abc import Mapping
from pathlib import PurePath

from pydicom.uid import UID

# Suffixes of what lies beside images. Others may be part of a name.
_SUFFIXES = frozenset(
    "txt pdf jpg jpeg png gif bmp tif tiff xml html htm css js csv tsv xls xlsx doc docx json yaml yml ini inf cfg log exe dll jar "
    "db bak tmp lnk zip tar gz tgz bz2 xz 7z rar nii nrrd nhdr mha mhd raw mat npy npz h5 md5 sha256 rtf ps eps avi mp4 mpg".split()
)
_LISTED = 6


def tell_counts(counts: Mapping[str, int]) -> str:
    """Return how often each reason was met, the most frequent first."""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{count} {reason}" for reason, count in most[:_LISTED]]
    rest = sum(count for _, count in most[_LISTED:])
    return ", ".join([*listed, f"{rest} more"] if rest else listed)


def name_class(class_uid: str | None) -> str:
    """Return what an object of a class is, by the standard's name for it."""
    uid = UID(class_uid or "")
    if uid.type == "SOP Class":
        return uid.name.removesuffix(" Storage")
    return "private object" if uid.is_valid and uid.is_private else "object of an unknown class"


def name_file(name: str) -> str:
    """Return what a file that is no DICOM is, by its suffix if that is a known one."""
    suffix = PurePath(name).suffix.lower().removeprefix(".")
    return f"not DICOM (.{suffix})" if suffix in _SUFFIXES else "not DICOM"
