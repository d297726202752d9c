"""What the names of image files say: mask or image, what is common to both, and what BIDS and dcm2niix put into them. Pure."""

import re
from dataclasses import dataclass
from pathlib import PurePath
from unicodedata import normalize

# As `image_files.FORMATS`, and those whose voxels or outlines lie in formats that are told of.
_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", ".mrb")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MASK_WORDS = frozenset(
    {
        *("seg", "segm", "segment", "segments", "segmentation", "segmentations", "segmented", "dseg", "probseg"),
        *("mask", "masks", "label", "labels", "labelmap", "labelmaps", "roi", "rois", "outline", "outlines"),
    }
)
# Words of a mask only at the end of a name: data sets are called by them too.
_MASK_ENDINGS = frozenset({"hematoma", "haematoma", "hematomas", "haematomas", "lesion", "lesions", "bleed"})
_IMAGE_WORDS = frozenset(
    {"ct", "ncct", "nect", "cct", "head", "image", "img", "volume", "vol", "scan", "orig", "dicom", "dcm"}
)
# What a mask's name may say beside the image's, and mean the hematoma all the same.
PLAIN_WORDS = frozenset(
    {
        *(
            "ich",
            "sich",
            "hemorrhage",
            "haemorrhage",
            "bleeding",
            "blood",
            "manual",
            "auto",
            "final",
            "corrected",
            "edited",
        ),
        *("checked", "expert", "gt", "ground", "truth", "gold", "binary", "bin", "desc"),
    }
)
# Masks of other things than hematomas.
_OTHER_ORGANS = frozenset(
    {
        "brain",
        "skull",
        "bone",
        "ventricle",
        "ventricles",
        "csf",
        "vessel",
        "vessels",
        "tissue",
        "air",
        "face",
        "edema",
        "oedema",
    }
)
_READER = re.compile(r"(?i:reader|rater|observer)(?:[-_ ](?P<named>[A-Za-z0-9]+)|(?P<marked>[A-Z]|\d+))(?![A-Za-z0-9])")
# https://bids-specification.readthedocs.io/en/stable/common-principles.html#filenames
_BIDS = re.compile(r"(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?_((?:[a-z]+-[A-Za-z0-9]+_)*)([A-Za-z0-9]+)")
# Entities that tell images of one session apart.
_TELLING = frozenset({"acq", "ce", "rec", "run"})
# Suffixes of BIDS that are no CT (https://bids-specification.readthedocs.io/en/stable/glossary.html).
_OTHER_MODALITIES = frozenset(
    {
        *(
            "T1w",
            "T2w",
            "T1rho",
            "T1map",
            "T2map",
            "T2star",
            "T2starw",
            "T2starmap",
            "FLAIR",
            "FLASH",
            "PD",
            "PDw",
            "PDT2",
        ),
        *(
            "PDmap",
            "inplaneT1",
            "inplaneT2",
            "angio",
            "MRA",
            "SWImagandphase",
            "bold",
            "cbv",
            "sbref",
            "phase",
            "dwi",
            "asl",
        ),
        *(
            "m0scan",
            "phasediff",
            "phase1",
            "phase2",
            "magnitude",
            "magnitude1",
            "magnitude2",
            "fieldmap",
            "epi",
            "pet",
            "defacemask",
        ),
    }
)
# https://github.com/rordenlab/dcm2niix: gantry tilt taken out, uneven slices evened out; both resampled.
_VARIANT = re.compile(r"_(Tilt|Eq)(?:_\d+)?(?=_|$)")
# nnU-Net's name of an image's first channel, which its label map does not have.
_CHANNEL = re.compile(r"_0000$")
_UID = re.compile(r"[0-2](?:\.\d+){4,}")
# Folders of masks, whose files may be called as the images are; labelsTr is nnU-Net's.
MASK_FOLDERS = frozenset(
    {"masks", "mask", "labels", "labelstr", "labelsts", "segmentations", "segmentation", "seg", "rois", "roi"}
)


@dataclass(frozen=True, slots=True)
class BidsName:
    """A file name by BIDS.

    Attributes:
        session: empty where there is one only.
        entities: what else it names, such as run-2.
    """

    subject: str
    session: str
    entities: tuple[str, ...]
    suffix: str

    def is_of(self, image: "BidsName") -> bool:
        """Say whether something is derived from an image, as far as both names tell: a mask need not say all that an image does."""
        own, other = (dict(entity.split("-") for entity in name.entities) for name in (self, image))
        same = (self.subject, self.session) == (image.subject, image.session)
        return same and all(own[key] == other[key] for key in own.keys() & other.keys() & _TELLING)


def stem_of(name: str) -> str:
    """Return a file's name without the suffix of its format."""
    lower = name.lower()
    return next((name[: -len(suffix)] for suffix in _SUFFIXES if lower.endswith(suffix)), name)


def bids_name(name: str) -> BidsName | None:
    """Return what a name says by BIDS; None where it does not follow it."""
    match = _BIDS.fullmatch(_VARIANT.sub("", stem_of(name)))
    return BidsName(match[1], match[2] or "", tuple(match[3].split("_")[:-1]), match[4]) if match else None


def variant_of(name: str) -> str:
    """Return "Tilt" or "Eq" for what dcm2niix has resampled, else an empty text."""
    return "+".join(dict.fromkeys(_VARIANT.findall(stem_of(name))))


def without_variant(name: str) -> str:
    """Return a file's name as dcm2niix gives it to what it has not resampled, without the suffix of its format."""
    return _VARIANT.sub("", stem_of(name))


def is_mask_name(name: str) -> bool:
    """Say whether a name is one of a mask, of whatever it is."""
    words = _words(name)
    if name.lower().endswith(".seg.nrrd") or any(map(_is_mask_word, words)):
        return True
    told = [word for word in words if not word.isdigit()]
    # hematoma_001 is an image of a data set, hematoma and P01_hematoma_2 are not.
    return bool(told) and told[-1] in _MASK_ENDINGS and (words[0] != told[-1] or len(words) == 1)


def is_numbered_mask(name: str) -> bool:
    """Say whether a name is that of a mask and a number alone, such as seg1."""
    first, *rest = _words(name) or [""]
    return _is_mask_word(first) and all(word.isdigit() for word in rest)


def is_mask_path(relative: PurePath) -> bool:
    """Say whether a file is a mask by its name, or by that of a folder in which it lies."""
    return is_mask_name(relative.name) or any(part.casefold() in MASK_FOLDERS for part in relative.parts[:-1])


def says_image(name: str) -> bool:
    """Say whether a name says by BIDS that the file is a CT, whatever its header."""
    bids = bids_name(name)
    return bids is not None and bids.suffix.lower() == "ct"


def is_no_ct(name: str) -> bool:
    """Say whether a name says by BIDS that the file is of another modality."""
    bids = bids_name(name)
    return bids is not None and bids.suffix in _OTHER_MODALITIES


def is_other_organ(name: str) -> bool:
    """Say whether the name of a mask names what is no hematoma."""
    words = _words(name)
    return any(word in _OTHER_ORGANS or word.removesuffix("mask") in _OTHER_ORGANS for word in words)


def reader_of(name: str) -> str:
    """Return whom a name says to have drawn a mask, e.g. "B" for `mask_readerB`; empty where it does not."""
    found = _find_reader(stem_of(name))
    return (found["named"] or found["marked"]) if found else ""


def core_of(name: str) -> str:
    """Return what tells a name from others: without words of images and masks, readers and formats, in small letters.

    Numbers behind the word of a mask count masks, not images (`P01_seg_2`).
    """
    if _UID.fullmatch(name):
        return ""
    rest = _CHANNEL.sub("", without_variant(name))
    if reader := _find_reader(rest):
        rest = f"{rest[: reader.start()]} {rest[reader.end() :]}"
    kept: list[str] = []
    is_numbered = False
    for word in _words(rest):
        if _is_mask_word(word) or word in _MASK_ENDINGS:
            is_numbered = bool(kept)
        elif word not in _IMAGE_WORDS and not (is_numbered and word.isdigit()):
            kept.append(word)
    return " ".join(kept)


def _find_reader(stem: str) -> re.Match[str] | None:
    found = _READER.search(stem)
    return None if found is None or _is_mask_word((found["named"] or "").lower()) else found


def is_below_derivatives(relative: PurePath) -> bool:
    """Say whether a path leads through a folder of what was derived from images, as BIDS names it."""
    return "derivatives" in relative.parts[:-1]


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(_HUMP.sub(" ", normalize("NFC", stem_of(name))))]


def _is_mask_word(word: str) -> bool:
    return word in _MASK_WORDS or word.endswith(("mask", "masks"))
