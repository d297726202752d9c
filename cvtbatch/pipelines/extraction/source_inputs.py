"""Image and outlines of a case as their sources have them, for feature sets that are computed on the source's own grid.

What was decoded for the store is at hand; what is stored already is read again, and must be what was stored.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.engine import require_memory
from cvtbatch.errors import FormatError
from cvtbatch.geometry import Grid
from cvtbatch.ingest import ImageSlices, SourceMask, SourceVolume, on_image_voxels, read_mask, read_volume, source_bytes
from cvtbatch.manifest import Case, RoiSource
from cvtbatch.pipelines.extraction.failure import FailureKey
from cvtbatch.pipelines.extraction.guard import About, guarded
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from cvtbatch.spec import digest


@dataclass(frozen=True, slots=True, eq=False)
class SourceRoi:
    """An outline as it was drawn, and its image before anything was resampled.

    Attributes:
        hu_zyx: HU, int16 or float32 as decoded.
        mask_zyx: uint8, on the same grid.
    """

    hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    mask_zyx: npt.NDArray[np.uint8]
    grid: Grid


class SourceInputs:
    """Hands out the sources of a case, the image and one outline of which are kept.

    Args:
        wanted: a set is of the source's grid; else nothing is kept.

    Attributes:
        decoded: something was read again.
    """

    def __init__(self, case: Case, meter: Meter, *, wanted: bool) -> None:
        self._case, self._meter, self._wanted = case, meter, wanted
        self._image: tuple[str, SourceVolume] | None = None
        self._mask: tuple[str, str, SourceMask] | None = None
        self.decoded = False

    def keep_image(self, image_digest: str, source: SourceVolume) -> None:
        """Keep an image that was decoded."""
        if self._wanted:
            self._image = image_digest, source

    def keep_mask(self, roi_key: str, mask_digest: str, source: SourceMask) -> None:
        """Keep an outline that was decoded, instead of the one before."""
        if self._wanted:
            self._mask = roi_key, mask_digest, source

    def of_roi(self, roi: RoiSource, image_digest: str, input_digest: str, key: FailureKey, about: About) -> SourceRoi:
        """Return an outline and its image.

        Args:
            image_digest, input_digest: what they were when they were stored.
            key, about: of what fails without them.

        Raises:
            Stopped: they cannot be read, are not what was stored, or do not lie on one regular grid.
            NeedsMemory: this process may not take what they need.
        """
        image = guarded(self._meter, "read", key, about, lambda: self._read_image(image_digest))
        mask = guarded(self._meter, "mask", key, about, lambda: self._read_mask(roi, image, image_digest, input_digest))
        grid = guarded(self._meter, "radiomics", key, about, image.regular_grid)
        mask_zyx = guarded(self._meter, "radiomics", key, about, lambda: on_image_voxels(mask, image.stack))
        return SourceRoi(image.hu_zyx, mask_zyx, grid)

    def _read_image(self, image_digest: str) -> SourceVolume:
        if self._image is None:
            with case_at_hand(self._case) as case:
                self._count(case.image)
                read = read_volume(case, require_memory)
            self._image = read.image_digest(), read
        known, source = self._image
        if known != image_digest:
            raise _changed("image")
        return source

    def _read_mask(self, roi: RoiSource, image: SourceVolume, image_digest: str, input_digest: str) -> SourceMask:
        if self._mask is None or self._mask[0] != roi.roi_key:
            self._count(roi.mask or "")
            read = read_mask(roi, lambda: ImageSlices.of(image), require_memory)
            self._mask = roi.roi_key, read.mask_digest(), read
        _, mask_digest, source = self._mask
        if digest(image_digest, mask_digest) != input_digest:
            raise _changed("outline")
        return source

    def _count(self, path: str) -> None:
        self.decoded = True
        self._meter.read_bytes += source_bytes(path)


def _changed(what: str) -> FormatError:
    return FormatError("source_changed", f"the {what} is not the one that was stored: run again with --verify-inputs")
