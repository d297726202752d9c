from .picture import as_radiologists_look, gray_picture, head_window, outline_picture
from .placement import place_mask
from .resampling import resample_stack, resample_volume
from .triage import require_in_head, triage_mask

__all__ = [
    "as_radiologists_look",
    "gray_picture",
    "head_window",
    "outline_picture",
    "place_mask",
    "require_in_head",
    "resample_stack",
    "resample_volume",
    "triage_mask",
]
