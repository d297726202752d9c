"""What was measured and scored of an outline as a Structured Report, TID 1500, that refers to the Segmentation of the outline.

It is of preliminary, unverified content: nobody has looked at it.
"""

from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset

from cvtbatch import __version__
from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.segmentation import LONGEST_TEXT
from cvtbatch.dicom_results.source_headers import PENDING, SourceSlices, derived_uid, identify, tracking_uid
from cvtbatch.dicom_results.values import Outline, Results

if TYPE_CHECKING:
    from highdicom.sr import (
        ObservationContext,
        ReferencedSegment,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

SERIES_NUMBER = 9002
_SCHEME_NAME = "Codes of cvtbatch, docs/how-to/results-for-a-pacs.md"


def to_report(
    outline: Outline,
    results: Results,
    segmentation: pydicom.Dataset,
    source: SourceSlices,
    predecessor: pydicom.Dataset | None,
) -> pydicom.Dataset:
    """Return results as a Comprehensive 3D SR.

    Args:
        segmentation: of the outline.
        predecessor: the report that this one replaces.
    """
    import highdicom
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    content = highdicom.sr.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.CT_OF_HEAD,
        imaging_measurements=[_group(outline, results, segmentation, source)],
    )
    dataset = highdicom.sr.Comprehensive3DSR(
        [*source.headers, segmentation],
        content,
        series_instance_uid=PENDING,
        series_number=SERIES_NUMBER,
        sop_instance_uid=PENDING,
        instance_number=1,
        manufacturer="cvtbatch",
        manufacturer_model_name="cvtbatch",
        software_versions=__version__,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=None if predecessor is None else [predecessor],
        series_description="Results, for research use (cvtbatch)",
        coding_schemes=[CodingSchemeIdentificationItem(codes.SCHEME, name=_SCHEME_NAME)],
    )
    identify(dataset, results.recorded_at)
    return dataset


def _observer() -> "ObservationContext":
    from highdicom import sr
    from pydicom.sr.codedict import codes as standard

    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            standard.DCM.Device,
            sr.DeviceObserverIdentifyingAttributes(
                derived_uid("device"), name="cvtbatch", manufacturer_name="cvtbatch", model_name="cvtbatch"
            ),
        )
    )


def _group(
    outline: Outline, results: Results, segmentation: pydicom.Dataset, source: SourceSlices
) -> "VolumetricROIMeasurementsAndQualitativeEvaluations":
    from highdicom import sr

    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(tracking_uid(source.first, outline.roi_key), outline.name[:LONGEST_TEXT]),
        referenced_segment=_segment(segmentation, source),
        finding_category=codes.ABNORMAL,
        finding_type=codes.HEMORRHAGE,
        finding_sites=[sr.FindingSite(codes.BRAIN)],
        algorithm_id=sr.AlgorithmIdentification("cvtbatch", __version__),
        measurements=[
            sr.Measurement(one.concept, one.value, one.unit, derivation=one.derivation, method=one.method)
            for one in results.measured
        ],
        qualitative_evaluations=[sr.QualitativeEvaluation(one.concept, one.value) for one in results.judged],
    )
    items: Dataset = group[0]
    items.ContentSequence.extend(
        sr.TextContentItem(one.concept, one.text, sr.RelationshipTypeValues.CONTAINS) for one in results.told
    )
    return group


def _segment(segmentation: pydicom.Dataset, source: SourceSlices) -> "ReferencedSegment":
    """Return a reference to the outline: on the source's series, or on the frames of its one image that it touches."""
    from highdicom import sr

    found = (segmentation.SOPClassUID, segmentation.SOPInstanceUID, 1)
    image = source.first
    if source.frames is None:
        return sr.ReferencedSegment(*found, source_series=sr.SourceSeriesForSegmentation(image.SeriesInstanceUID))
    frames = [
        reference.ReferencedFrameNumber
        for groups in segmentation.PerFrameFunctionalGroupsSequence
        for reference in groups.DerivationImageSequence[0].SourceImageSequence
    ]
    named = sr.SourceImageForSegmentation(image.SOPClassUID, image.SOPInstanceUID, sorted(frames))
    return sr.ReferencedSegment(*found, source_images=[named])
