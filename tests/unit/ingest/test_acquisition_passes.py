"""Acquisitions under one SeriesInstanceUID: one volume where they lie beside one another, several where they interleave."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.geometry import SliceStack
from cvtbatch.ingest import SourceVolume, read_volume
from cvtbatch.ingest.acquisition_passes import split_passes
from cvtbatch.ingest.dicom_headers import read_headers
from cvtbatch.ingest.slice_header import SliceHeader
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.series import HEAD, case, change, multiframe, refused

EVEN = tuple(5.0 * k for k in range(18))
Tags = Callable[[int], dict[str, object]]


def number(value: int) -> Tags:
    return lambda index: {"AcquisitionNumber": value}


def write_pass(folder: Path, depths: Sequence[float], tags: Tags, name: str, thickness: float = 5.0) -> np.ndarray:
    """Write slices at these depths under the SeriesInstanceUID of all, each with the tags of its place; return their HU."""
    stack = SliceStack(
        24, 20, (0.5, 0.5), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), tuple((-6.0, 0.0, depth) for depth in depths)
    )
    hu = np.random.default_rng(sum(name.encode())).integers(-1000, 1500, (len(depths), 20, 24)).astype(np.int16)
    write_series(folder / name, hu, stack, SeriesTags(name, "test", 0.0))
    for index, path in enumerate(sorted((folder / name).iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = dataset.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.1"
        dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
        dataset.SliceThickness = str(thickness)
        for tag, value in tags(index).items():
            setattr(dataset, tag, value)
        dataset.save_as(path, enforce_file_format=True)
    return hu


def headers_of(path: Path) -> list[SliceHeader]:
    with path.open("rb") as file:
        return read_headers(path.name, file) or []


def depths_of(volume: SourceVolume) -> list[float]:
    return [round(position[2], 3) for position in volume.stack.positions_mm]


def as_simpleitk_reads(folder: Path) -> np.ndarray:
    """Return what SimpleITK reads of a folder's slices alone, in the order of their places."""
    names = sorted(folder.iterdir(), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    return sitk.GetArrayFromImage(sitk.ReadImage([str(name) for name in names]))


def at(clock: Callable[[int], str], tag: str = "AcquisitionTime") -> Tags:
    return lambda index: {tag: clock(index)}


# Tags of a first and a second acquisition by which they can be told apart, slice by slice.
TOLD_APART: dict[str, tuple[Tags, Tags]] = {
    "numbers": (number(1), number(2)),
    "rotations": (lambda k: {"AcquisitionNumber": k // 2 + 1}, lambda k: {"AcquisitionNumber": k // 2 + 30}),
    "a number a slice": (lambda k: {"AcquisitionNumber": k + 1}, lambda k: {"AcquisitionNumber": k + 19}),
    "one down, one up": (lambda k: {"AcquisitionNumber": 18 - k}, lambda k: {"AcquisitionNumber": k + 19}),
    "times": (at(lambda k: "101500"), at(lambda k: "101600.5")),
    "a time a slice": (at(lambda k: f"1015{k:02d}.25"), at(lambda k: f"1016{k:02d}")),
    "a minute each": (at(lambda k: "1015"), at(lambda k: "1016")),
    "over midnight": (
        at(lambda k: f"20240101235{k // 4}00", "AcquisitionDateTime"),
        at(lambda k: f"2024010200{k:02d}00+0100", "AcquisitionDateTime"),
    ),
    "temporal positions": (lambda k: {"TemporalPositionIndex": 1}, lambda k: {"TemporalPositionIndex": 2}),
    "temporal identifiers": (lambda k: {"TemporalPositionIdentifier": 7}, lambda k: {"TemporalPositionIdentifier": 3}),
    "thickness": (lambda k: {"SliceThickness": "5"}, lambda k: {"SliceThickness": "6"}),
    "tube voltage": (lambda k: {"KVP": "120"}, lambda k: {"KVP": "100"}),
}


@pytest.mark.parametrize(
    ("told", "offset_mm"),
    [*((told, 2.5) for told in TOLD_APART.values()), (TOLD_APART["numbers"], 0.7), (TOLD_APART["times"], 0.0)],
    ids=[*TOLD_APART, "numbers, 0.7 mm apart", "times, at one place"],
)
def test_acquisitions_that_interleave_are_series_of_their_own(
    tmp_path: Path, told: tuple[Tags, Tags], offset_mm: float
) -> None:
    """Half a slice apart or elsewhere, a tie refuses them, and a hint at contrast decides: then each is as SimpleITK reads it."""
    first, second = told
    native = write_pass(tmp_path, EVEN, first, "native")
    moved = write_pass(tmp_path, [depth + offset_mm for depth in EVEN], second, "moved")
    error = refused(tmp_path)
    assert (error.kind, "(18, 18 images)" in error.message) == ("several_series", True)
    assert "folder of its own" in error.message
    change(tmp_path / "moved", lambda dataset: setattr(dataset, "ContrastBolusAgent", "IOMERON"))
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, native)
    assert np.array_equal(volume.hu_zyx, as_simpleitk_reads(tmp_path / "native"))
    assert depths_of(volume) == list(EVEN)
    assert volume.choice.endswith("chosen of 2 CT series by: no hint at contrast")
    assert volume.acquisition.series_in_source == 2
    alone = read_volume(case(tmp_path / "moved"))
    assert np.array_equal(alone.hu_zyx, moved)
    assert np.array_equal(alone.hu_zyx, as_simpleitk_reads(tmp_path / "moved"))


def test_the_tie_says_which_acquisitions_they_are(tmp_path: Path) -> None:
    write_pass(tmp_path, EVEN, number(4), "one")
    write_pass(tmp_path, [depth + 2.5 for depth in EVEN], lambda k: {"AcquisitionNumber": k // 4 + 5}, "two")
    message = refused(tmp_path).message
    assert "kernel unknown, AcquisitionNumber 4;" in message
    assert "kernel unknown, AcquisitionNumber 5 to 9;" in message


def test_frames_of_an_enhanced_object_are_told_apart_too(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for name, offset_mm in (("one", 0.0), ("two", 2.5)):
        write_pass(tmp_path, [depth + offset_mm for depth in EVEN], number(1), name)
        for path in (tmp_path / name).iterdir():
            path.rename(tmp_path / "all" / f"{name}{path.name}")
    multiframe(tmp_path / "all", tmp_path / "one.dcm")
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence = [pydicom.Dataset()]
        later = float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) % 5 > 1
        frame.FrameContentSequence[0].FrameAcquisitionNumber = 2 if later else 1
    dataset.save_as(tmp_path / "one.dcm")
    error = refused(tmp_path / "one.dcm")
    assert (error.kind, "(18, 18 images)" in error.message) == ("several_series", True)


@pytest.mark.parametrize("first_mm", [31.7, 66.7, -2.3], ids=["middle", "vertex", "base"])
def test_a_part_that_was_scanned_again_is_left_out(tmp_path: Path, first_mm: float) -> None:
    """At either end too, where it reaches less than half a slice beyond the head."""
    hu = write_pass(tmp_path, EVEN, number(1), "head")
    write_pass(tmp_path, [first_mm + 5 * k for k in range(5)], number(2), "again")
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("chosen of 2 CT series by: enough slices")


def test_a_long_overlap_is_refused(tmp_path: Path) -> None:
    """Which of two acquisitions shows the middle of the head cannot be told, nor whether it lay still between them."""
    write_pass(tmp_path, EVEN, number(1), "low")
    write_pass(tmp_path, [62.0 + depth for depth in EVEN], number(2), "high")
    assert refused(tmp_path).kind == "several_series"
    write_pass(tmp_path / "more", EVEN, number(1), "low")
    write_pass(tmp_path / "more", [62.0 + 5 * k for k in range(9)], number(2), "high")
    error = refused(tmp_path / "more")
    assert (error.kind, "overlapping them: " in error.message) == ("mixed_series", True)


FOSSA = tuple(2.5 * k for k in range(17))


@pytest.mark.parametrize("first_mm", [40.0, 39.0, 38.5], ids=["one place", "one crosses", "two thin and a thick one"])
def test_passes_that_overlap_by_a_slice_are_one_volume(tmp_path: Path, first_mm: float) -> None:
    """A fossa in thin slices to 40 mm, the rest in thick ones: of the two that overlap the thick one is left out."""
    fossa = write_pass(tmp_path, FOSSA, lambda k: {"AcquisitionNumber": k // 2 + 1}, "fossa", 2.5)
    rest = write_pass(tmp_path, [first_mm + 5 * k for k in range(20)], lambda k: {"AcquisitionNumber": 20 + k}, "rest")
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, np.concatenate([fossa, rest[1:]]))
    assert depths_of(volume) == [*FOSSA, *(first_mm + 5 * k for k in range(1, 20))]
    assert volume.acquisition.flags == ("overlapping_passes",)
    assert "1 left out where passes overlap; the only CT series" in volume.choice


def test_copies_of_passes_that_overlap_are_dropped_as_copies_are(tmp_path: Path) -> None:
    for folder in (tmp_path / "1", tmp_path / "2"):
        fossa = write_pass(folder, FOSSA, number(1), "fossa", 2.5)
        rest = write_pass(folder, [40.0 + 5 * k for k in range(20)], number(2), "rest")
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, np.concatenate([fossa, rest[1:]]))
    assert volume.acquisition.duplicates_dropped == 36


def test_passes_that_meet_without_overlap_keep_every_slice(tmp_path: Path) -> None:
    fossa = write_pass(tmp_path, FOSSA, number(1), "fossa", 2.5)
    rest = write_pass(tmp_path, [41.0 + 5 * k for k in range(20)], number(2), "rest")
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, np.concatenate([fossa, rest]))
    assert volume.acquisition.flags == ()


SHUFFLED = np.random.default_rng(5).permutation(40).tolist()


def minutes(index: int) -> str:
    return f"10{SHUFFLED[index]:02d}{SHUFFLED[-1 - index]:02d}"


ONE_VOLUME: dict[str, Tags] = {
    "a number a rotation": lambda k: {"AcquisitionNumber": k // 4 + 1},
    "a number a slice, from above": lambda k: {"AcquisitionNumber": 40 - k},
    "numbers without order": lambda k: {"AcquisitionNumber": SHUFFLED[k]},
    "odd slices, then even ones": lambda k: {"AcquisitionNumber": 1 + k % 2},
    "odd slices, then even ones, a number each": lambda k: {"AcquisitionNumber": k // 2 + 20 * (k % 2)},
    "two interleaved rows a rotation": lambda k: {"AcquisitionNumber": 2 * (k // 4) + k % 2},
    "rows of a rotation from above": lambda k: {"AcquisitionTime": f"1015{10 * (k // 4) + 3 - k % 4:02d}"},
    "a slice that was scanned later": lambda k: {"AcquisitionNumber": 2 if k == 7 else 1},
    "times of a copy": lambda k: {"AcquisitionTime": minutes(k)},
    "over midnight": lambda k: {"AcquisitionTime": f"{(235950 + k) if k < 10 else k - 10:06d}"},
    "numbers that some lack": lambda k: {"AcquisitionNumber": 1} if k < 9 else {},
    "times that say nothing": lambda k: {"AcquisitionTime": "1015"},
    "thickness that varies": lambda k: {"SliceThickness": f"{4.96 + 0.03 * (k % 2)}"},
    "contrast in some": lambda k: {"ContrastBolusAgent": "IOMERON"} if k % 3 else {},
    "kernels without order": lambda k: {"ConvolutionKernel": "H60s" if SHUFFLED[k] < 12 else "H31s"},
}


@pytest.mark.parametrize(
    ("tags", "gap_mm"),
    [*((tags, 5.0) for tags in ONE_VOLUME.values()), (ONE_VOLUME["a number a rotation"], 0.6)],
    ids=[*ONE_VOLUME, "thin slices"],
)
def test_tags_that_differ_do_not_split_what_lies_side_by_side(tmp_path: Path, tags: Tags, gap_mm: float) -> None:
    depths = [gap_mm * k for k in range(18)]
    hu = write_pass(tmp_path, depths, tags, "head", thickness=gap_mm)
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("the only CT series")
    odd_and_even = {ONE_VOLUME["odd slices, then even ones"], ONE_VOLUME["odd slices, then even ones, a number each"]}
    assert volume.acquisition.flags == ("interleaved_passes",) * (tags in odd_and_even)


GAPPED = [(5.0, 2.5), (10.0, 5.0), (4.0, 2.0)]


@pytest.mark.parametrize(("step_mm", "thickness_mm"), GAPPED)
def test_a_second_scan_half_a_step_away_that_only_its_number_tells_is_flagged(
    tmp_path: Path, step_mm: float, thickness_mm: float
) -> None:
    """It looks as odd and even slices of one scan do; a third of a step away, it does not."""
    depths = [step_mm * k for k in range(18)]
    one = write_pass(tmp_path / "half", depths, number(1), "one", thickness_mm)
    two = write_pass(tmp_path / "half", [depth + step_mm / 2 for depth in depths], number(2), "two", thickness_mm)
    volume = read_volume(case(tmp_path / "half"))
    assert np.array_equal(volume.hu_zyx, np.stack([one, two], axis=1).reshape(36, 20, 24))
    assert volume.acquisition.flags == ("interleaved_passes",)
    assert "passes interleaved" in volume.choice
    write_pass(tmp_path / "third", depths, number(1), "one", thickness_mm)
    write_pass(tmp_path / "third", [depth + 0.34 * step_mm for depth in depths], number(2), "two", thickness_mm)
    error = refused(tmp_path / "third")
    assert (error.kind, "(18, 18 images)" in error.message) == ("several_series", True)


@pytest.mark.parametrize(("step_mm", "thickness_mm"), GAPPED)
@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ContrastBolusAgent": "IOMERON"}, "no hint at contrast"),
        ({"ConvolutionKernel": "H60s"}, "soft kernel"),
        ({"AcquisitionNumber": 2, "ContrastBolusAgent": "IOMERON"}, "no hint at contrast"),
        ({"KVP": "80"}, None),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "ADD"]}, None),
    ],
    ids=["contrast", "kernel", "number and contrast", "tube voltage", "image type"],
)
def test_other_images_in_the_gaps_of_thin_slices_are_a_series_of_their_own(
    tmp_path: Path, step_mm: float, thickness_mm: float, tags: dict[str, object], reason: str | None
) -> None:
    depths = [step_mm * k for k in range(18)]
    plain = {"AcquisitionNumber": 1, "ConvolutionKernel": "H31s", "KVP": "120"}
    hu = write_pass(tmp_path, depths, lambda k: plain, "one", thickness_mm)
    write_pass(tmp_path, [depth + step_mm / 2 for depth in depths], lambda k: {**plain, **tags}, "two", thickness_mm)
    if reason is None:
        assert refused(tmp_path).kind == "several_series"
        return
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith(f"chosen of 2 CT series by: {reason}")
    assert volume.acquisition.flags == ()


LOST = ("AcquisitionTime", "AcquisitionNumber", "ConvolutionKernel")


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("folder", ["1", "2"])
def test_copies_that_lost_a_tag_are_copies(tmp_path: Path, lost: str, folder: str) -> None:
    """Whichever comes first; a copy whose pixels differ is refused as before."""
    tags = {"AcquisitionTime": "101500", "AcquisitionNumber": 1, "ConvolutionKernel": "H31s"}
    for name in ("1", "2"):
        hu = write_pass(tmp_path / name, EVEN, lambda k: tags, "head")
    copies = tmp_path / folder / "head"
    change(copies, lambda dataset: delattr(dataset, lost))
    volume = read_volume(case(tmp_path))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.acquisition.duplicates_dropped == 18
    assert volume.acquisition.convolution_kernel == "H31s"
    change(copies, lambda dataset: setattr(dataset, "PixelData", b"\0\1" + dataset.PixelData[2:]), only=[3])
    assert refused(tmp_path).kind == "duplicate_slices"


def test_one_instance_uid_for_all_tells_no_copies(tmp_path: Path) -> None:
    """As a careless de-identification writes it."""
    hu = write_pass(tmp_path, EVEN, lambda k: {"ConvolutionKernel": "H31s"}, "soft")
    write_pass(tmp_path, EVEN, lambda k: {"ConvolutionKernel": "H60s"}, "sharp")
    for name in ("soft", "sharp"):
        change(tmp_path / name, lambda dataset: setattr(dataset, "SOPInstanceUID", "1.2.826.0.1.3680043.8.498.9"))
    assert np.array_equal(read_volume(case(tmp_path)).hu_zyx, hu)


@pytest.mark.parametrize("tags", [ONE_VOLUME[name] for name in list(ONE_VOLUME)[:3]], ids=list(ONE_VOLUME)[:3])
def test_slices_that_overlap_one_another_are_one_volume(tmp_path: Path, tags: Tags) -> None:
    """Reconstructed every 2.5 mm, 5 mm thick."""
    hu = write_pass(tmp_path, [2.5 * k for k in range(36)], tags, "head")
    assert np.array_equal(read_volume(case(tmp_path)).hu_zyx, hu)


def test_numbers_of_no_order_say_nothing_of_passes(tmp_path: Path) -> None:
    """Each permutation has passes of its own, of which none is a scan."""
    write_pass(tmp_path, [2.5 * k for k in range(36)], number(1), "head")
    headers = [header for path in sorted((tmp_path / "head").iterdir()) for header in headers_of(path)]
    rng = np.random.default_rng(4)
    for _ in range(100):
        numbers = rng.permutation(36).tolist()
        numbered = [replace(header, acquisition_number=n) for header, n in zip(headers, numbers, strict=True)]
        assert [len(found.slices) for found in split_passes(numbered, np.array([0.0, 0.0, 1.0]))] == [36]


def test_a_repeat_that_no_tag_tells_apart_is_refused(tmp_path: Path) -> None:
    write_pass(tmp_path, EVEN, number(1), "one")
    write_pass(tmp_path, EVEN, number(1), "two")
    assert refused(tmp_path).kind == "duplicate_slices"


def test_many_phases_at_the_same_places_are_counted(tmp_path: Path) -> None:
    for phase in range(5):
        write_pass(tmp_path, HEAD_DEPTHS, lambda k, phase=phase: {"AcquisitionTime": f"1015{phase:02d}"}, f"p{phase}")
    assert "5 CT series (18, 18, 18, 18, 18 images)" in refused(tmp_path).message


HEAD_DEPTHS = tuple(np.concatenate([[0.0], np.cumsum(HEAD)]).tolist())
