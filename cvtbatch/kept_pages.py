"""What the C library keeps of memory that was freed."""

import ctypes
import sys

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_pages(largest_bytes: int, most_bytes: int) -> None:
    """Have it keep pieces that are freed, up to a limit, where it has such a call: what comes next needs as much.

    By default it gives arrays back one by one, and every new one is zeroed by the system page by page: a tenth of a worker's
    time, and not much less of a look at a million cases.

    Args:
        largest_bytes: a larger piece is given back as it is freed.
        most_bytes: of what lies free at the end of its memory.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, largest_bytes)
            set_option(_M_TRIM_THRESHOLD, most_bytes)
