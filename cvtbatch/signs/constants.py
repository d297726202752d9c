"""Every constant of the signs: thresholds as published, and those that make a rule of what a reader sees."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants of one revision of the definitions; lengths and areas are in a slice unless they say otherwise.

    Attributes:
        whole_slice_share, half_slice_share: of the largest slice's area, above and from which a slice counts as one and as half a
            slice of ABC/2 (Kothari 1996).
    """

    whole_slice_share: float = 0.75
    half_slice_share: float = 0.25


CONSTANTS = Constants()
