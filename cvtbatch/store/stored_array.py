"""Where the voxels of a volume or mask lie: what rows hold of them, apart from the library that reads them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Where a group lies below the store's root, and the SHA-256 of its objects.

    Attributes:
        size_bytes: of its objects, where they have just been written; else 0.
    """

    path: str
    checksum: str
    size_bytes: int = field(default=0, compare=False)
