"""Which series is read, and what is refused rather than mixed."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.kernels import kernel_class
from tests.support.series import HEAD, case, change, multiframe, refused, stored_as, write

CORONAL = ["1", "0", "0", "0", "0", "-1"]
TILTED = ["1", "0", "0", "0", "0.8660254", "-0.5"]


def _turned(folder: Path, orientation: list[str]) -> None:
    """Turn a series so that its slices have another orientation, each at its place along the new normal."""
    normal = np.cross([float(x) for x in orientation[:3]], [float(x) for x in orientation[3:]])

    def edit(dataset: pydicom.Dataset) -> None:
        dataset.ImageOrientationPatient = orientation
        dataset.ImagePositionPatient = [f"{x:.6f}" for x in normal * float(dataset.ImagePositionPatient[2])]

    change(folder, edit)


def test_the_only_series_is_named_as_such(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD, ConvolutionKernel="STANDARD", SliceThickness="5")
    choice = read_volume(case(tmp_path / "s")).choice
    assert choice == "18 slices 5 mm apart, 5 mm thick, kernel STANDARD; the only CT series"


SOFT_AND_SHARP = [
    ("STANDARD", "BONE"),
    ("SOFT", "BONEPLUS"),
    ("H31s", "H60s"),
    ("Hr40f", "Hr68h"),
    ("UB", "YC"),
    ("FC26", "FC81"),
]


@pytest.mark.parametrize(("soft", "sharp"), SOFT_AND_SHARP)
def test_soft_kernel_before_sharp(tmp_path: Path, soft: str, sharp: str) -> None:
    write(tmp_path / "s" / "1", HEAD, "bone", ConvolutionKernel=sharp)
    hu = write(tmp_path / "s" / "2", HEAD, "brain", ConvolutionKernel=soft)
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("chosen of 2 CT series by: soft kernel")
    assert (volume.acquisition.convolution_kernel, volume.acquisition.series_in_source) == (soft, 2)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "original"),
        ({"ContrastBolusAgent": "IOMERON 350"}, "no hint at contrast"),
        ({"SeriesDescription": "CTA HEAD"}, "no hint at contrast"),
    ],
)
def test_original_and_native_series_come_first(tmp_path: Path, tags: dict[str, object], reason: str) -> None:
    write(tmp_path / "s" / "1", HEAD, "other", ConvolutionKernel="SOFT", **tags)
    hu = write(tmp_path / "s" / "2", HEAD, "native", ContrastBolusAgent="NONE", ConvolutionKernel="BONE")
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith(f"by: {reason}")
    assert volume.acquisition.contrast is False


def test_axial_series_come_first_and_a_tilt_of_30_degrees_is_axial(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "1", HEAD, "tilted")
    _turned(tmp_path / "s" / "1", TILTED)
    write(tmp_path / "s" / "2", HEAD, "coronal")
    _turned(tmp_path / "s" / "2", CORONAL)
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("by: axial")


def test_a_whole_head_comes_before_a_part(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1", (2.5,) * 12, "fossa")
    hu = write(tmp_path / "s" / "2", HEAD, "head", ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("by: enough slices")


def test_scouts_reports_captures_and_directories_are_no_candidates(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "ct" / "deep", HEAD)
    write(tmp_path / "s" / "scout", (5.0,), "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write(tmp_path / "s" / "dose", (5.0,), "dose", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    write(tmp_path / "s" / "mr", HEAD, "mr", SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    write(tmp_path / "s" / "color", (5.0,) * 3, "color", SamplesPerPixel=3)
    change(tmp_path / "s" / "color", lambda dataset: setattr(dataset, "SeriesInstanceUID", "1.2.826.0.1.5"))
    directory = pydicom.dcmread(tmp_path / "s" / "dose" / "0001.dcm")
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    del directory.SOPClassUID  # as in all directories
    directory.save_as(tmp_path / "s" / "DICOMDIR")
    for path in (tmp_path / "s" / "ct" / "deep").iterdir():
        path.rename(path.with_name(f"IM{path.stem}"))
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "1 Media Storage Directory" in volume.choice
    uid = str(pydicom.dcmread(tmp_path / "s" / "scout" / "0001.dcm").SeriesInstanceUID)
    assert refused(tmp_path / "s", series_uid=uid).kind == "no_ct_series"
    assert refused(tmp_path / "s" / "scout").kind == "no_ct_series"


def test_a_tie_lists_the_candidates(tmp_path: Path) -> None:
    """Thin and thick slices of one reconstruction are the user's choice."""
    write(tmp_path / "s" / "1", HEAD, "thick", ConvolutionKernel="H31s", SliceThickness="5")
    hu = write(tmp_path / "s" / "2", (1.5,) * 59, "thin", ConvolutionKernel="H31s", SliceThickness="1.5")
    error = refused(tmp_path / "s")
    assert error.kind == "several_series"
    for fact in ("18, 60 images", "5 mm thick", "1.5 mm thick", "kernel H31s", "series_uid"):
        assert fact in error.message
    uids = {str(pydicom.dcmread(tmp_path / "s" / name / "0001.dcm").SeriesInstanceUID): name for name in "12"}
    assert all(uid in error.private for uid in uids)
    thin = next(uid for uid, name in uids.items() if name == "2")
    volume = read_volume(case(tmp_path / "s", thin))
    assert np.array_equal(volume.hu_zyx, hu)
    assert "named by series_uid" in volume.choice


def test_an_unknown_kernel_decides_nothing(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1", HEAD, "one", ConvolutionKernel="STANDARD")
    write(tmp_path / "s" / "2", HEAD, "two", ConvolutionKernel="Dr Miller's own")
    error = refused(tmp_path / "s")
    assert error.kind == "several_series"
    assert "Miller" not in error.message


@pytest.mark.parametrize("low_first", [True, False], ids=["low first", "high first"])
def test_what_a_series_says_is_what_its_slices_agree_on(tmp_path: Path, low_first: bool) -> None:
    """In whatever order its files are named: ten slices of one kind below, twenty of another above."""
    write(tmp_path / "s", (5.0,) * 29, SliceThickness="5", KVP="120", ConvolutionKernel="H31s")
    other = {"SliceThickness": "4", "KVP": "100", "ConvolutionKernel": "H60s", "ContrastBolusAgent": "IOMERON"}
    change(tmp_path / "s", lambda dataset: [setattr(dataset, *tag) for tag in other.items()], only=range(10, 30))
    if not low_first:
        for path in sorted((tmp_path / "s").iterdir()):
            path.rename(path.with_name(f"IM{9999 - int(path.stem):04d}.dcm"))
    volume = read_volume(case(tmp_path / "s"))
    found = volume.acquisition
    assert (found.convolution_kernel, found.slice_thickness_mm, found.kvp, found.contrast) == (None, None, None, True)
    facts = "30 slices 5 mm apart, 4 to 5 mm thick, kernels differ, 100 to 120 kV, contrast"
    assert volume.choice == f"{facts}; the only CT series"


def test_contrast_in_some_slices_is_a_hint_and_kernels_of_one_class_decide(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "1", (5.0,) * 29, "native", ConvolutionKernel="H31s", SliceThickness="5.04")
    change(tmp_path / "s" / "1", lambda dataset: setattr(dataset, "SliceThickness", "5"), only=range(15))
    change(tmp_path / "s" / "1", lambda dataset: setattr(dataset, "ConvolutionKernel", "H30s"), only=range(15, 30))
    write(tmp_path / "s" / "2", (5.0,) * 29, "sharp", ConvolutionKernel="H60s")
    write(tmp_path / "s" / "3", (5.0,) * 29, "contrast", ConvolutionKernel="H31s")
    change(tmp_path / "s" / "3", lambda dataset: setattr(dataset, "ContrastBolusAgent", "IOMERON"), only=range(10, 30))
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("chosen of 3 CT series by: no hint at contrast, soft kernel")
    assert (volume.acquisition.convolution_kernel, volume.acquisition.slice_thickness_mm) == (None, 5.02)


def _join(folder: Path, other: Path) -> None:
    """Give the slices of another folder the series and the study of the first."""
    first = pydicom.dcmread(folder / "0001.dcm")

    def edit(dataset: pydicom.Dataset) -> None:
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = first.SeriesInstanceUID, first.StudyInstanceUID

    change(other, edit)


def test_a_scout_under_the_series_own_uid_is_left_out(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "1", HEAD)
    write(tmp_path / "s" / "2", (5.0,), "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], Rows=20)
    _turned(tmp_path / "s" / "2", CORONAL)
    _join(tmp_path / "s" / "1", tmp_path / "s" / "2")
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


def test_two_acquisitions_under_one_uid_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1", HEAD, "one", AcquisitionNumber=1)
    write(tmp_path / "s" / "2", HEAD, "two", AcquisitionNumber=2)
    _join(tmp_path / "s" / "1", tmp_path / "s" / "2")
    error = refused(tmp_path / "s")
    assert (error.kind, "folder of its own" in error.message) == ("several_series", True)


def test_two_kernels_under_one_uid_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1", HEAD, "one", ConvolutionKernel="BONE")
    hu = write(tmp_path / "s" / "2", HEAD, "two", ConvolutionKernel="SOFT")
    _join(tmp_path / "s" / "1", tmp_path / "s" / "2")
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


def test_original_and_derived_under_one_uid_are_told_apart(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "1", HEAD, "one")
    write(tmp_path / "s" / "2", (4.0,) * 20, "two", ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    _join(tmp_path / "s" / "1", tmp_path / "s" / "2")
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]},
        {"FrameOfReferenceUID": "1.2.826.0.1.9"},
        {"StudyInstanceUID": "1.2.826.0.1.9"},
    ],
)
@pytest.mark.parametrize("places", [[18, 19], [9]])
def test_slices_that_continue_or_complete_a_series_but_differ_are_refused(
    tmp_path: Path, tags: dict[str, object], places: list[int]
) -> None:
    """Left out, they would shorten the head without a word, or be made up where gaps are allowed."""
    write(tmp_path / "s", (*HEAD, 5.0, 5.0))
    change(tmp_path / "s", lambda dataset: [setattr(dataset, tag, value) for tag, value in tags.items()], only=places)
    error = refused(tmp_path / "s", allow_gaps=True)
    assert (error.kind, error.private.count(".dcm")) == ("mixed_series", len(places))
    assert f"with another {next(iter(tags))}" in error.message
    assert "a folder of its own" in error.message


def test_a_study_of_its_own_for_each_slice_tells_nothing(tmp_path: Path) -> None:
    hu = write(tmp_path / "s", HEAD)
    change(
        tmp_path / "s", lambda dataset: setattr(dataset, "StudyInstanceUID", f"1.2.826.0.1.9.{dataset.InstanceNumber}")
    )
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


def test_copies_of_a_series_in_two_studies_are_one(tmp_path: Path) -> None:
    """As where a study was merged into another, and both were sent; two heads of one numbering are none."""
    hu = write(tmp_path / "s" / "1", HEAD)
    shutil.copytree(tmp_path / "s" / "1", tmp_path / "s" / "2")
    change(tmp_path / "s" / "2", lambda dataset: setattr(dataset, "StudyInstanceUID", "1.2.826.0.1.9"))
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.acquisition.duplicates_dropped == len(hu)
    change(tmp_path / "s" / "2", lambda dataset: setattr(dataset, "ImagePositionPatient", _raised(dataset, 2.5)))
    assert refused(tmp_path / "s").kind == "several_series"


@pytest.mark.parametrize("places", [range(35, 70), range(3, 70, 6)], ids=["a half", "every sixth"])
def test_parts_of_a_series_that_are_enough_for_a_head_are_missed_too(tmp_path: Path, places: range) -> None:
    """Half of a series was edited, or sent anew: the other half is no head, though it is long enough for one."""
    write(tmp_path / "s", (2.5,) * 69)
    change(tmp_path / "s", lambda dataset: setattr(dataset, "ImageType", ["DERIVED", "PRIMARY", "AXIAL"]), only=places)
    assert refused(tmp_path / "s", allow_gaps=True).kind == "mixed_series"


def test_a_half_that_shares_a_slice_with_the_rest_is_no_volume_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1", (2.5,) * 34, "one")
    write(tmp_path / "s" / "2", (2.5,) * 35, "two", ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    change(tmp_path / "s" / "2", lambda dataset: setattr(dataset, "ImagePositionPatient", _raised(dataset, 85.0)))
    _join(tmp_path / "s" / "1", tmp_path / "s" / "2")
    assert refused(tmp_path / "s").kind == "mixed_series"


def _raised(dataset: pydicom.Dataset, mm: float) -> list[float]:
    x, y, z = dataset.ImagePositionPatient
    return [x, y, z + mm]


def test_a_derived_object_without_pixels_is_no_damage_of_original_slices(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "1", HEAD)
    write(tmp_path / "s" / "2", (5.0,), "sheet", ImageType=["DERIVED", "SECONDARY", "OTHER"])
    change(tmp_path / "s" / "2", _without_place_and_pixels)
    _join(tmp_path / "s" / "1", tmp_path / "s" / "2")
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
    change(tmp_path / "s" / "2", lambda dataset: setattr(dataset, "ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"]))
    assert refused(tmp_path / "s").kind == "unreadable_pixels"


def _without_place_and_pixels(dataset: pydicom.Dataset) -> None:
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelData"):
        delattr(dataset, tag)


def test_a_slice_without_frame_of_reference_stays(tmp_path: Path) -> None:
    hu = write(tmp_path / "s", HEAD)
    change(tmp_path / "s", lambda dataset: delattr(dataset, "FrameOfReferenceUID"), only=[17])
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


def test_stacks_of_a_multiframe_object_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD)
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence = [pydicom.Dataset()]
        low = float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) < 40
        frame.FrameContentSequence[0].StackID = "1" if low else "2"
    dataset.save_as(tmp_path / "one.dcm")
    assert refused(tmp_path / "one.dcm").kind == "several_series"


def test_duplicates_with_equal_pixels_are_dropped_and_counted(tmp_path: Path) -> None:
    hu = write(tmp_path / "s")
    copy = tmp_path / "s" / "copy.dcm"
    copy.write_bytes((tmp_path / "s" / "0004.dcm").read_bytes())
    near = pydicom.dcmread(tmp_path / "s" / "0007.dcm")
    near.ImagePositionPatient[2] += 0.02
    near.SOPInstanceUID = "1.2.826.0.1.8"
    near.save_as(tmp_path / "s" / "near.dcm")
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.acquisition.duplicates_dropped == 2
    assert np.allclose(volume.stack.gaps_mm(), 5)
    spoilt = pydicom.dcmread(copy)
    stored_as(16, False)(spoilt)
    spoilt.PixelData = b"\0\1" + spoilt.PixelData[2:]
    spoilt.save_as(copy)
    assert refused(tmp_path / "s").kind == "duplicate_slices"


def test_a_folder_that_holds_the_series_twice(tmp_path: Path) -> None:
    hu = write(tmp_path / "s" / "1", HEAD)
    write(tmp_path / "s" / "2", HEAD)
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.acquisition.duplicates_dropped == 18


def test_missing_slices_are_counted_where_they_are_allowed(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD)
    for number in (4, 9, 10):
        (tmp_path / "s" / f"{number:04d}.dcm").unlink()
    error = refused(tmp_path / "s")
    assert (error.kind, error.message[:26]) == ("missing_slices", "3 slices are missing: gaps")
    assert read_volume(case(tmp_path / "s", allow_gaps=True)).acquisition.missing_slices == 3


def test_every_kernel_name_is_soft_sharp_or_unknown() -> None:
    assert {name: kernel_class(name) for name in ("STD+", "h31s", "J30s", "FC64", "UA", "B")} == dict.fromkeys(
        ("STD+", "h31s", "J30s", "FC64", "UA", "B"), "soft"
    )
    assert {kernel_class(name) for name in ("LUNG", "Ur77", "FC52", "FC30", "YA", "EDGE")} == {"sharp"}
    assert {kernel_class(name) for name in ("", "MUELLER", "X99", "H3", "FC1", "1234567", "H31sss")} == {None}
