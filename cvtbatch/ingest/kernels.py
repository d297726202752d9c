"""Reconstruction kernels of CT scanners: known names, and whether a kernel is for soft tissue or for bone and lung.

Vendors name kernels, the standard does not (DICOM PS3.3 C.8.2.1, Convolution Kernel: a label). The table holds names as they
stand in the tag:

* GE: words. SOFT and STANDARD are for brain and body; DETAIL, LUNG, EDGE, BONE, BONEPLUS and ULTRA are sharper.
* Siemens: letters of a family (H, Hr and J are for heads) and a number that grows with sharpness. SOMATOM Sensation and Emotion
  operating instructions: "B30s or B40s are recommended as standard; for higher sharpness B50s, B60s, B70s, B80s". 50 begins what
  is sharp.
* Philips: A, B, C are smooth, standard and sharp for the body, UA, UB, UC for the brain; D, E, L and Y are for bone and lung.
* Canon and Toshiba: FC01 to FC19 are for the body, FC20 to FC29, FC40 to FC49 and FC60 to FC69 for the head; FC30 to FC39 and FC80
  to FC89 for bone, FC50 to FC59 for the lung.

A name that is not here is no evidence of anything: the kernel then decides nothing.
"""

import re
from typing import Literal

KernelClass = Literal["soft", "sharp"]

_NAMES: dict[str, KernelClass] = {
    **dict.fromkeys("SOFT STANDARD STND STD STD+ HD_STANDARD A B C UA UB UC EA EB".split(), "soft"),
    **dict.fromkeys("DETAIL DTL LUNG CHEST EDGE BONE BONEPLUS BONE+ ULTRA D E L F YA YB YC YD YE".split(), "sharp"),
}
_SIEMENS = re.compile(r"(?:[BHIJUTQ][A-Z]?)(\d{2})[A-Z]{0,2}")
_CANON = re.compile(r"FC(\d{2})(?:-H)?")
_SIEMENS_SHARP = 50
_CANON_SHARP = (range(30, 40), range(50, 60), range(80, 90))


def known_kernel(name: str) -> str | None:
    """Return a kernel's name if it is one of the table's, else None."""
    return name if kernel_class(name) is not None else None


def kernel_class(name: str) -> KernelClass | None:
    """Say what a kernel is for; None if its name is not known."""
    upper = name.strip().upper()
    if upper in _NAMES:
        return _NAMES[upper]
    if match := _SIEMENS.fullmatch(upper):
        return "sharp" if int(match[1]) >= _SIEMENS_SHARP else "soft"
    if match := _CANON.fullmatch(upper):
        number = int(match[1])
        return "sharp" if any(number in numbers for numbers in _CANON_SHARP) else "soft"
    return None
