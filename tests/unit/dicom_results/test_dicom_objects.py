"""Segmentations and reports, read back by highdicom, by this project's own ingest, and checked by dicom3tools."""

import datetime
import io
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.predecessors import predecessor_of
from cvtbatch.dicom_results.report import to_report
from cvtbatch.dicom_results.segmentation import to_segmentation
from cvtbatch.dicom_results.source_headers import KEPT, SourceSlices, cut_headers, quiet
from cvtbatch.dicom_results.values import Algorithm, Judged, Measured, Outline, Results, Told
from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack
from cvtbatch.ingest import ImageSlices, SourceMask, read_mask, read_volume
from cvtbatch.ingest.instance_headers import read_instance_headers
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.ingest.written_grids import lay_on_slices
from cvtbatch.manifest import read_manifest
from tests.support.archives import write_rows
from tests.support.mask_files import UNEVEN, Ball, ball, ct_slices, image_of, read
from tests.support.outside_data import outside
from tests.support.paths import ROOT
from tests.support.series import converted, multiframe

THEN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
DRAWN = Outline("A/1/hematoma/Dr B/2", "hematoma", "Dr B", 2, None, THEN)
METHOD = Algorithm("blast-ct", "a" * 64, (("outline_spec_id", "out-0123"), ("weights", "blast-ct")), is_learned=True)
FOUND = Outline("A/1/hematoma/blast-ct:01234567/1", "hematoma", "blast-ct:01234567", 1, METHOD, THEN)
RESULTS = Results(
    (
        Measured(codes.VOLUME, 20.123456789012345, codes.ML, method=codes.STORED_GRID),
        Measured(codes.ATTENUATION, 61.25, codes.HU, codes.MEAN, codes.STORED_GRID),
        Measured(codes.PROBABILITIES["dlrn"], 1 / 3, codes.NO_UNITS),
    ),
    (Judged(codes.CLASSES["dlrn", "youden"], codes.POSITIVE),),
    (Told(codes.COMMENT, "For research use, 研究用"), Told(codes.FLAG, "tilted: the gantry was tilted")),
    THEN,
)
PRIVATE = {
    **{"PatientComments": "a comment", "Occupation": "Baker", "ReferringPhysicianName": "Referrer^R"},
    **{"AdditionalPatientHistory": "fell", "OperatorsName": "Operator^O", "InstitutionName": "Clinic"},
    **{"NameOfPhysiciansReadingStudy": "Reading^R", "StudyDescription": "HEAD of Doe", "PatientAddress": "Street 1"},
    **{"OtherPatientIDs": "999", "PatientAge": "061Y", "MedicalAlerts": "alert"},
}


def cut(slices: Sequence[pydicom.Dataset]) -> SourceSlices:
    return cut_headers(slices, [(one.SOPInstanceUID, 1) for one in slices])


def built(
    shape: Ball, outline: Outline = DRAWN, results: Results = RESULTS
) -> tuple[SourceSlices, pydicom.Dataset, pydicom.Dataset]:
    headers = cut(ct_slices(shape.stack, "1.2.4", 4.0))
    with quiet():
        segmentation = to_segmentation(outline, shape.mask(), headers, shape.stack)
        return headers, segmentation, to_report(outline, results, segmentation, headers, None)


def to_bytes(dataset: pydicom.Dataset) -> bytes:
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


def pixels(path: Path, source: SourceSlices, drawn: np.ndarray) -> np.ndarray:
    """The frames that highdicom finds for the slices that have one."""
    with quiet():
        found = highdicom.seg.segread(path).get_pixels_by_source_instance(
            [source.headers[index].SOPInstanceUID for index in drawn],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
        )
    return np.asarray(found)


def faults(path: Path) -> set[str]:
    """The errors that dicom3tools finds in a file."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy of Debian's dicom3tools")
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return {line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")}


def numbers(report: pydicom.Dataset) -> dict[tuple[str, str], float]:
    """What highdicom parses of a report's measurements, by codes of concept and method."""
    with quiet():
        [group] = highdicom.sr.Comprehensive3DSR.from_dataset(report).content.get_volumetric_roi_measurement_groups()
    return {
        (one.name.value, "" if one.method is None else one.method.value): float(one.value)
        for one in group.get_measurements()
    }


@pytest.mark.parametrize(("gaps", "tilt"), [((4.2,) * 15, 18.5), (UNEVEN, 0.0), (UNEVEN, -12.0)])
def test_voxels_come_back_exactly_from_tilted_and_uneven_slices(
    tmp_path: Path, gaps: tuple[float, ...], tilt: float
) -> None:
    shape = ball(gaps, tilt)
    headers, segmentation, report = built(shape)
    path = tmp_path / "seg.dcm"
    path.write_bytes(to_bytes(segmentation))
    mask = shape.mask()
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    assert segmentation.NumberOfFrames == len(drawn) < len(mask)
    assert np.array_equal(pixels(path, headers, drawn), mask[drawn])
    back = read(path, image_of(shape.stack, 4.0))
    assert np.array_equal(back.voxels_zyx, mask)
    assert back.mask_digest() == SourceMask(mask, shape.stack, "").mask_digest()
    (tmp_path / "sr.dcm").write_bytes(to_bytes(report))
    assert faults(path) == faults(tmp_path / "sr.dcm") == set()


def test_the_real_head_and_its_outline(tmp_path: Path) -> None:
    folder, roi = outside("head_ct_ge"), outside("head_ct_ge_roi.nii")
    rows = [{"center": "A", "case_id": "1", "image": str(folder), "mask": str(roi)}]
    write_rows(tmp_path / "manifest.csv", rows)
    [case] = read_manifest(tmp_path / "manifest.csv")
    volume = read_volume(case)
    outline = read_mask(case.rois[0], lambda: ImageSlices.of(volume))
    mask = lay_on_slices(outline.voxels_zyx, outline.place, volume.stack)
    headers = cut(read_instance_headers(folder, volume.acquisition.instances, KEPT))
    with quiet():
        segmentation = to_segmentation(DRAWN, mask, headers, volume.stack)
        report = to_report(DRAWN, RESULTS, segmentation, headers, None)
    for name, dataset in (("seg", segmentation), ("sr", report)):
        (tmp_path / name).write_bytes(to_bytes(dataset))
    source = pydicom.dcmread(folder / "01.dcm", stop_before_pixels=True)
    for dataset in (segmentation, report):
        for name in ("PatientID", "PatientName", "StudyInstanceUID"):
            assert dataset[name].value == source[name].value
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    assert len(drawn) > 3
    assert np.array_equal(pixels(tmp_path / "seg", headers, drawn), mask[drawn])
    [named] = read_manifest(write_rows(tmp_path / "back.csv", [{**rows[0], "mask": "seg"}]))
    back = read_mask(named.rois[0], lambda: ImageSlices.of(volume))
    assert np.array_equal(back.voxels_zyx, mask)
    assert back.place == volume.stack
    of_source = faults(folder / "01.dcm")
    assert faults(tmp_path / "seg") | faults(tmp_path / "sr") <= of_source


@pytest.mark.parametrize("legacy", [False, True])
def test_frames_of_an_enhanced_object_are_referred_to_by_number(tmp_path: Path, legacy: bool) -> None:
    """Of one whose frames are scrambled and uneven, and of one that highdicom made: for highdicom, our ingest and dciodvfy."""
    shape = ball(UNEVEN)
    write_series(tmp_path / "s", shape.hu(), shape.stack, SeriesTags("Doe^J", "axial", 0.0))
    source = tmp_path / "source.dcm"
    (converted if legacy else multiframe)(tmp_path / "s", source)
    [case] = read_manifest(write_rows(tmp_path / "a.csv", [{"center": "A", "case_id": "1", "image": source.name}]))
    volume = read_volume(case)
    instances = volume.acquisition.instances
    slices = cut_headers(read_instance_headers(source, instances, KEPT), instances)
    mask = shape.mask()
    with quiet():
        segmentation = to_segmentation(DRAWN, mask, slices, volume.stack)
        report = to_report(DRAWN, RESULTS, segmentation, slices, None)
    for name, dataset in (("seg.dcm", segmentation), ("sr.dcm", report)):
        (tmp_path / name).write_bytes(to_bytes(dataset))
        assert faults(tmp_path / name) <= faults(source)
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    frames = [instances[index][1] for index in drawn]
    assert (frames != sorted(frames)) is not legacy
    with quiet():
        found = highdicom.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_frame(
            instances[0][0], frames, combine_segments=True, assert_missing_frames_are_empty=True
        )
        [group] = highdicom.sr.srread(tmp_path / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    assert np.array_equal(found, mask[drawn])
    [image] = group.referenced_segment.source_images_for_segmentation
    assert (image.referenced_sop_instance_uid, image.referenced_frame_numbers) == (instances[0][0], sorted(frames))
    write_rows(tmp_path / "b.csv", [{"center": "A", "case_id": "1", "image": source.name, "mask": "seg.dcm"}])
    [case] = read_manifest(tmp_path / "b.csv")
    back = read_mask(case.rois[0], lambda: ImageSlices.of(volume))
    assert np.array_equal(back.voxels_zyx, mask)
    assert back.place == volume.stack


def test_frames_of_several_objects_are_refused() -> None:
    source = pydicom.Dataset()
    source.PerFrameFunctionalGroupsSequence = [pydicom.Dataset()]
    with pytest.raises(InputError) as raised:
        cut_headers([source, source], [("1.2", 1), ("1.3", 1)])
    assert raised.value.kind == "enhanced_source"


def test_a_report_says_what_it_was_given_and_refers_to_the_segmentation() -> None:
    _, segmentation, report = built(ball())
    assert numbers(report) == {
        ("118565006", "stored_grid"): 20.123456789012345,
        ("112031", "stored_grid"): 61.25,
        ("dlrn_probability", ""): 1 / 3,
    }
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    with quiet():
        content = highdicom.sr.Comprehensive3DSR.from_dataset(report).content
    [group] = content.get_volumetric_roi_measurement_groups()
    [judged] = [one for one in group.get_qualitative_evaluations() if one.name.scheme_designator == codes.SCHEME]
    assert (judged.name.value, judged.value.value) == ("dlrn_cls_youden", "10828004")
    assert group.reference_type == pydicom.sr.codedict.codes.DCM.ReferencedSegment
    assert group.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
    assert group.tracking_uid == segmentation.SegmentSequence[0].TrackingUID
    text = [item.TextValue for item in group[0].ContentSequence if item.ValueType == "TEXT"]
    assert text[-2:] == [told.text for told in RESULTS.told]


def test_equal_content_has_equal_bytes_and_other_content_other_names() -> None:
    _, segmentation, report = built(ball())
    _, again, report_again = built(ball())
    assert to_bytes(segmentation) == to_bytes(again)
    assert to_bytes(report) == to_bytes(report_again)
    larger = Ball(ball().stack, ball().center_mm, 19.0)
    _, other, other_report = built(larger)
    for name in ("SOPInstanceUID", "SeriesInstanceUID"):
        uids = {dataset[name].value for dataset in (segmentation, other, report, other_report)}
        assert len(uids) == 4
        assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
    assert other.SegmentSequence[0].TrackingUID == segmentation.SegmentSequence[0].TrackingUID


def test_a_report_names_the_one_that_it_replaces() -> None:
    headers, segmentation, report = built(ball())
    assert predecessor_of(report) is None
    with quiet():
        later = to_report(DRAWN, RESULTS, segmentation, headers, report)
        again = to_report(DRAWN, RESULTS, segmentation, headers, predecessor_of(later))
    found = predecessor_of(later)
    assert found is not None
    for name in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert found[name].value == report[name].value
    assert later.SOPInstanceUID != report.SOPInstanceUID
    assert to_bytes(later) == to_bytes(again)


def test_who_outlined_is_told_and_no_more() -> None:
    _, drawn, _ = built(ball())
    [segment] = drawn.SegmentSequence
    assert (segment.SegmentAlgorithmType, "SegmentAlgorithmName" in segment) == ("MANUAL", False)
    assert segment.SegmentDescription == "hematoma, Dr B, reading 2"
    assert not drawn.get("ContentCreatorName")
    _, found, report = built(ball(), FOUND)
    [segment] = found.SegmentSequence
    [algorithm] = segment.SegmentationAlgorithmIdentificationSequence
    assert (segment.SegmentAlgorithmType, algorithm.AlgorithmName) == ("AUTOMATIC", "blast-ct")
    assert algorithm.AlgorithmVersion == "a" * 64
    assert "outline_spec_id=out-0123" in algorithm.AlgorithmParameters
    for dataset in (drawn, found, report):
        assert b"A/1/hematoma" not in to_bytes(dataset)


def test_of_the_patient_is_taken_what_objects_require(tmp_path: Path) -> None:
    shape = ball()
    sources = ct_slices(shape.stack, "1.2.4", 4.0)
    for source in sources:
        source.SpecificCharacterSet = "GB18030"
        source.PatientName, source.PatientSex = "Wang^XiaoDong=王^小东", "U"
        del source.PatientBirthDate, source.StudyDate
        for name, value in PRIVATE.items():
            setattr(source, name, value)
    headers = cut(sources)
    with quiet():
        segmentation = to_segmentation(DRAWN, shape.mask(), headers, shape.stack)
        report = to_report(DRAWN, RESULTS, segmentation, headers, None)
    for name, dataset in (("seg", segmentation), ("sr", report)):
        data = to_bytes(dataset)
        (tmp_path / name).write_bytes(data)
        assert [value for value in PRIVATE.values() if value.encode() in data] == []
        back = pydicom.dcmread(tmp_path / name)
        assert back.PatientName == "Wang^XiaoDong=王^小东"
        assert (back.PatientID, back.PatientSex, back.PatientBirthDate, back.StudyDate) == ("1", "", "", "")


def test_headers_that_no_object_can_be_made_of_are_refused() -> None:
    sources = ct_slices(ball().stack, "1.2.4", 4.0)
    del sources[3].FrameOfReferenceUID
    with pytest.raises(InputError) as raised:
        cut(sources)
    assert (raised.value.kind, "FrameOfReferenceUID" in raised.value.message) == ("unusable_header", True)


def test_codes_of_our_own_are_on_the_page_and_short_enough() -> None:
    page = (ROOT / "docs" / "how-to" / "results-for-a-pacs.md").read_text()
    rows = [f"| `{code.value}` | {code.meaning} |" for code in codes.PRIVATE_CODES]
    assert [line for line in page.splitlines() if line in rows] == rows
    assert len({code.value for code in codes.PRIVATE_CODES}) == len(rows)
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in codes.PRIVATE_CODES)


@pytest.mark.parametrize("tilt", [0.0, 15.0])
def test_a_mask_off_the_slices_goes_to_the_pixels_whose_centres_it_holds(tilt: float) -> None:
    """A ball drawn on finer slices of its own, onto uneven ones: as the ball itself, but for its rim."""
    fine, coarse = ball((0.9,) * 60), ball(UNEVEN, tilt)
    center = np.array(fine.center_mm)
    source, target = Ball(fine.stack, center), Ball(coarse.stack, center)
    stack = SliceStack(
        80, 72, (0.9, 0.8), fine.stack.row_axis, fine.stack.column_axis, fine.stack.slice_axis, fine.stack.positions_mm
    )
    laid, true = lay_on_slices(source.mask(), stack, coarse.stack), target.mask()
    assert 2 * (laid & true).sum() / (laid.sum() + true.sum()) > 0.97
