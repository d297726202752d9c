"""What reading a source takes of memory, told from its header before it is taken."""

from collections.abc import Callable

# Called with bytes; may raise what is no InputError, and nothing is read then.
Announce = Callable[[int], None]
# What is held at once at the worst moment of reading and resampling (file, decoded values, cast, float planes), in decoded volumes:
# 3.8 of int16 and 3.3 of float64 were measured.
VOLUMES_AT_PEAK = 4


def announce_nothing(needed_bytes: int) -> None:
    """Read, whatever it takes."""
