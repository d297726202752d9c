"""What of a source was passed over on the way to its CT images, counted by reason in words that may be shared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from pydicom import config
from pydicom.uid import UID

# Suffixes of what lies beside images. Others may be part of a name.
_SUFFIXES = frozenset(
    "txt pdf jpg jpeg png gif bmp tif tiff xml html htm css js csv tsv xls xlsx doc docx json yaml yml ini inf cfg log exe dll jar "
    "db bak tmp lnk zip tar gz tgz bz2 xz 7z rar nii nrrd nhdr mha mhd raw mat npy npz h5 md5 sha256 rtf ps eps avi mp4 mpg".split()
)
_LISTED = 6
# Reasons that are no kinds of files.
SYSTEM = "of a file manager or system"
SPECIAL = "device or pipe"
LINK = "link that leads nowhere"
OTHER_SERIES = "damaged file of another series"
# Told the reason for which something is passed over, and its name, which is private.
Note = Callable[[str, str], None]


def note_nothing(reason: str, name: str) -> None:
    """Pass over without a word."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files that are no CT images, by the reason for which they were passed over."""

    counts: Mapping[str, int]

    def told(self) -> str:
        """Return what was passed over, the most first, as the rest of a sentence; nothing if nothing was."""
        return f"; passed over: {tell_counts(self.counts)}" if self.counts else ""


def tell_counts(counts: Mapping[str, int]) -> str:
    """Return how often each reason was met, the most frequent first."""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{count} {reason}" for reason, count in most[:_LISTED]]
    rest = sum(count for _, count in most[_LISTED:])
    return ", ".join([*listed, f"{rest} more"] if rest else listed)


def name_class(class_uid: str | None) -> str:
    """Return what an object of a class is, by the standard's name for it."""
    uid = UID(class_uid or "", config.IGNORE)
    if uid.type == "SOP Class":
        return uid.name.removesuffix(" Storage")
    return "private object" if uid.is_valid and uid.is_private else "object of an unknown class"


def name_file(name: str) -> str:
    """Return what a file that is no DICOM is, by its suffix if that is a known one."""
    suffix = PurePath(name).suffix.lower().removeprefix(".")
    return f"not DICOM (.{suffix})" if suffix in _SUFFIXES else "not DICOM"
