"""An outline as a binary DICOM Segmentation on the slices of its source, each at its own place: tilted and uneven ones too."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pydicom

from cvtbatch import __version__
from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.source_headers import PENDING, SourceSlices, derived_uid, identify, tracking_uid
from cvtbatch.dicom_results.values import OUTLINE_SERIES, PRODUCER, Algorithm, Outline
from cvtbatch.geometry import SliceStack

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence

SERIES_NUMBER = 9001
# Labels and names are LO (PS3.5 6.2).
LONGEST_TEXT = 64


def to_segmentation(
    outline: Outline, mask_zyx: npt.NDArray[np.uint8], source: SourceSlices, stack: SliceStack
) -> pydicom.Dataset:
    """Return an outline as a Segmentation; slices without a voxel of it are left out.

    Args:
        mask_zyx: (slices, rows, columns), 1 in the ROI, never empty.
        stack: where the slices lie.
    """
    import highdicom

    images, pixels = _on_images(mask_zyx, source)
    first = images[0]
    thickness_mm = first.get("SliceThickness") or float(np.median(stack.gaps_mm()))
    described = highdicom.seg.SegmentDescription(
        1,
        outline.roi.replace("\\", "/")[:LONGEST_TEXT],
        codes.ABNORMAL,
        codes.HEMORRHAGE,
        "MANUAL" if outline.algorithm is None else "AUTOMATIC",
        None if outline.algorithm is None else _identification(outline.algorithm),
        tracking_uid=tracking_uid(first, outline.roi_key),
        tracking_id=outline.name[:LONGEST_TEXT],
        anatomic_regions=[codes.BRAIN],
    )
    described.SegmentDescription = outline.name
    dataset = highdicom.seg.Segmentation(
        images,
        pixels,
        "BINARY",
        [described],
        series_instance_uid=PENDING,
        series_number=SERIES_NUMBER,
        sop_instance_uid=PENDING,
        instance_number=1,
        manufacturer=PRODUCER,
        manufacturer_model_name=PRODUCER,
        software_versions=__version__,
        device_serial_number="none",
        content_label="RESEARCH_USE",
        content_description="Outline of a hematoma, for research use",
        pixel_measures=highdicom.PixelMeasuresSequence(first.PixelSpacing, float(thickness_mm)),
        series_description=OUTLINE_SERIES,
    )
    _name_dimensions(dataset)
    identify(dataset, outline.recorded_at)
    return dataset


def _on_images(
    mask_zyx: npt.NDArray[np.uint8], source: SourceSlices
) -> tuple[list[pydicom.Dataset], npt.NDArray[np.uint8]]:
    """Return the images that an outline touches, and its voxels on each of them, or on every frame of the one."""
    drawn = np.flatnonzero(mask_zyx.any(axis=(1, 2)))
    if source.frames is None:
        return [source.headers[index] for index in drawn.tolist()], np.ascontiguousarray(mask_zyx[drawn])
    pixels = np.zeros((source.first.NumberOfFrames, *mask_zyx.shape[1:]), np.uint8)
    pixels[np.array(source.frames) - 1] = mask_zyx
    return [source.first], pixels


def _identification(algorithm: Algorithm) -> "AlgorithmIdentificationSequence":
    import highdicom

    family = codes.ARTIFICIAL_INTELLIGENCE if algorithm.is_learned else codes.NOT_LEARNED
    return highdicom.AlgorithmIdentificationSequence(
        algorithm.name[:LONGEST_TEXT],
        family,
        algorithm.version[:LONGEST_TEXT],
        parameters=dict(algorithm.parameters),
    )


def _name_dimensions(dataset: pydicom.Dataset) -> None:
    """Give the dimensions of frames a UID that is not drawn by chance."""
    uid = derived_uid("dimensions")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
