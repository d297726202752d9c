"""Pure operations on volumes: resampling to the stored grid, placing masks on it, and pictures."""

from cvtbatch.imaging.picture import outline_picture
from cvtbatch.imaging.placement import place_mask
from cvtbatch.imaging.resampling import resample_stack, resample_volume

__all__ = ["outline_picture", "place_mask", "resample_stack", "resample_volume"]
