"""What reading a source takes of memory, told from its header before it is taken."""

from collections.abc import Callable

# Called with bytes; may raise what is no InputError, and nothing is read then.
Announce = Callable[[int], None]
# What is held at once at the worst moment of reading, resampling and triage, in decoded volumes, and beside them. Measured with 600
# slices of 512 x 512: 1.0 while a series is read, 2.0 of an object in an archive or of an image file, 1.9 in triage, whose
# blocks of 2 mm are more where pixels are coarse.
_VOLUMES_AT_PEAK, _BESIDE_BYTES = 2.5, 32 << 20


def peak_bytes(volume_bytes: int) -> int:
    """Return what a volume takes that has so many bytes as decoded."""
    return int(_VOLUMES_AT_PEAK * volume_bytes) + _BESIDE_BYTES


def announce_nothing(needed_bytes: int) -> None:
    """Read, whatever it takes."""
