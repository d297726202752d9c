"""One case's files, without a manifest, to its volume and its outline on the stored grid.

The steps are those of a worker of an extraction, in its order, so that voxels and features are the store's to the last bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cvtbatch import contracts
from cvtbatch.engine import NeedsMemory, require_memory
from cvtbatch.errors import InputError, ResourceError
from cvtbatch.geometry import Grid
from cvtbatch.imaging import place_mask, require_in_head, resample_stack
from cvtbatch.imaging.resampling import to_image
from cvtbatch.ingest import ImageSlices, SourceMask, SourceVolume, read_mask, read_volume
from cvtbatch.manifest import MISSING_FILE, SERIES_FORM, Case, RoiSource, in_archive, is_absent, series_address
from cvtbatch.outlining.skull import NoInside, find_inside
from cvtbatch.pipelines.extraction.limits import feature_bytes, region_bytes, whole_volume_bytes
from cvtbatch.pipelines.shared.compile_beside import compile_beside
from cvtbatch.radiomics import Engine, FeatureSet, RoiFeatures, roi_features
from cvtbatch.regions.masks import NoRegion, derive_region
from cvtbatch.regions.rules import Rule


@dataclass(frozen=True, slots=True)
class CaseSource:
    """One case's files, and what a manifest's row would say of them.

    Attributes:
        image: a file or folder, or the address of a series in an archive.
        mask_label, segment: of the outline, where its file holds several; at most one of them.
    """

    image: Path | str
    mask: Path
    series_uid: str | None = None
    allow_gaps: bool = False
    mask_label: int | None = None
    segment: str | None = None

    def require_files(self) -> None:
        """Refuse paths at which nothing is, and an address that is none of a series.

        Raises:
            InputError: "missing_file"; "bad_pacs_address".
        """
        if in_archive(image := str(self.image)) and series_address(image) is None:
            raise InputError("bad_pacs_address", f"the image is no series of an archive: {SERIES_FORM}", image)
        for name, path in (("image", self.image), ("mask", self.mask)):
            if is_absent(str(path)):
                raise InputError(MISSING_FILE, f"{name}: there is no file or folder at this path", str(path))

    def to_case(self) -> Case:
        """Return it as a manifest's case, which has no centre, no id and no clinical values."""
        roi = RoiSource("", "hematoma", "A", 1, str(self.mask.absolute()), "", self.mask_label, self.segment, 0)
        nothing = (None,) * len(contracts.clinical_columns())
        image = str(self.image)
        if not in_archive(image):
            image = str(Path(image).absolute())
        return Case("", "", image, "", self.series_uid, self.allow_gaps, nothing, "{}", (roi,), 0)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCase:
    """A case as it would be stored.

    Attributes:
        hu_zyx, mask_zyx: on the stored grid, HU and 1 in the ROI.
    """

    source: SourceVolume
    outline: SourceMask
    hu_zyx: npt.NDArray[np.int16]
    mask_zyx: npt.NDArray[np.uint8]
    grid: Grid

    def features(self, profile: FeatureSet, engine: Engine) -> RoiFeatures:
        """Compute the features of the outline; errors as for `extract_features`."""
        whole_bytes = whole_volume_bytes(self.grid, profile, engine)
        require_memory(feature_bytes(int(np.count_nonzero(self.mask_zyx)), engine) + whole_bytes)
        return roi_features(to_image(self.hu_zyx, self.grid), to_image(self.mask_zyx, self.grid), profile, engine)

    def inside_of_skull(self) -> npt.NDArray[np.bool_] | None:
        """Return what lies inside the skull (z, y, x), or None where it is not found."""
        require_memory(region_bytes(self.grid))
        found = find_inside(self.hu_zyx, self._spacing_zyx_mm)
        return None if isinstance(found, NoInside) else found.mask_zyx

    def region(self, rule: Rule, inside: Callable[[], npt.NDArray[np.bool_] | None]) -> "PlacedCase | NoRegion":
        """Return the case with a region in place of the outline, or why there is none.

        Args:
            inside: returns what lies inside the skull; called for rims alone.
        """
        found = derive_region(rule, self.mask_zyx, self.hu_zyx, self._spacing_zyx_mm, inside)
        return found if isinstance(found, NoRegion) else replace(self, mask_zyx=found.mask_zyx.astype(np.uint8))

    @property
    def _spacing_zyx_mm(self) -> tuple[float, float, float]:
        x_mm, y_mm, z_mm = self.grid.spacing_mm
        return z_mm, y_mm, x_mm


def place_case(case: Case, spacing_mm: tuple[float, float, float]) -> PlacedCase:
    """Read a case with one outline, resample it once, and place the outline on it.

    Args:
        spacing_mm: of the stored grid, x y z.

    Raises:
        InputError: a file cannot be read, or the outline is none of this image's.
        NeedsMemory: it takes more than there is.
    """
    [roi] = case.rois
    source = read_volume(case, require_memory)
    compile_beside()
    hu_zyx, grid = resample_stack(source.hu_zyx, source.stack, spacing_mm)
    outline = read_mask(roi, lambda: ImageSlices.of(source), require_memory)
    mask_zyx = place_mask(outline.voxels_zyx, outline.place, grid)
    require_in_head(mask_zyx, hu_zyx, grid)
    return PlacedCase(source, outline, hu_zyx, mask_zyx, grid)


@contextmanager
def within_memory() -> Iterator[None]:
    """Turn a case's need of memory into the error that ends a command.

    Raises:
        ResourceError: this machine has too little memory for it.
    """
    try:
        yield
    except NeedsMemory as error:
        raise ResourceError(
            "too_large", f"the case needs {error.needed_bytes / 1e9:.1f} GB of memory, and so much is not free here"
        ) from None
