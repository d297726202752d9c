"""What describes outlines beside features, as a run computes it."""

from dataclasses import dataclass
from typing import Literal

from cvtbatch.location.atlas_files import AtlasFiles


@dataclass(frozen=True, slots=True)
class DescriptionWork:
    """Values that a run computes of every outline to describe it.

    Attributes:
        table: that its rows go to; it says what they are.
        atlas: of the user's, that locations are told by.
    """

    table: str
    spec_id: str
    atlas: AtlasFiles | None = None

    @property
    def grid(self) -> Literal["stored"]:
        """Whose voxels they are of."""
        return "stored"

    def audits(self, roi_key: str) -> bool:
        """Say whether an ROI is compared with stock PyRadiomics: none is, for stock has no such values."""
        return False
