"""Pure operations on volumes: resampling to the stored grid, placing masks on it, their triage, and pictures."""

from cvtbatch.imaging.picture import as_radiologists_look, gray_picture, head_window, outline_picture
from cvtbatch.imaging.placement import place_mask
from cvtbatch.imaging.resampling import resample_stack, resample_volume
from cvtbatch.imaging.triage import require_in_head, triage_mask

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
