"""DICOM RTSTRUCT: rt-utils' files, contours against Matplotlib's point-in-polygon test, and what is refused."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Polygon

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.ingest import ImageSlices, SourceMask, read_mask
from tests.support.mask_files import (
    CONTOUR_DATA,
    ORIENTATIONS,
    UNEVEN,
    ball,
    raw_coordinates,
    roi,
    slices_of,
    write_structure_set,
)
from tests.support.outside_data import outside

CLOSED = "CLOSED_PLANAR"
# What the two CT slices of rt-utils' test data, which its structure sets refer to, say of themselves.
CT = SliceStack(
    512,
    512,
    (0.488281, 0.488281),
    (1.0, 0, 0),
    (0, 1.0, 0),
    (0, 0, 1.0),
    ((-125.0, -125.0, 60.0), (-125.0, -125.0, 65.0)),
)
CT_FRAME_OF_REFERENCE = "1.2.840.113619.2.405.3.84541899.902.1605198123.912.6060.1"
CT_SERIES = "2.16.840.1.114362.1.11940992.23790159890.563423471.893.88"
STACK = SliceStack(
    40, 36, (1.0, 1.0), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), tuple((0.0, 0.0, 4.0 * k) for k in range(6))
)


# The series that `write_structure_set` names.
SERIES = "1.2.4"


def read(path: Path, stack: SliceStack = STACK, **selectors) -> SourceMask:
    return read_mask(roi(path, **selectors), lambda: slices_of(stack, series=SERIES))


def refused(path: Path, image: ImageSlices | None = None, **selectors) -> InputError:
    with pytest.raises(InputError) as raised:
        read_mask(roi(path, **selectors), lambda: image or slices_of(STACK, series=SERIES))
    assert str(path.parent) not in raised.value.message
    return raised.value


def by_matplotlib(contours: list[np.ndarray], stack: SliceStack, k: int) -> np.ndarray:
    """Pixels of slice k whose centres lie in an odd number of contours."""
    y, x = np.mgrid[: stack.rows, : stack.columns]
    centers = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = np.zeros(len(centers), dtype=int)
    for points in contours:
        offsets = points - np.array(stack.positions_mm[k])
        flat = np.stack([offsets @ np.array(stack.row_axis), offsets @ np.array(stack.column_axis)], axis=1)
        inside += Polygon(flat / np.array(stack.pixel_mm)).contains_points(centers)
    return inside.reshape(stack.rows, stack.columns) % 2 == 1


def square(low: float, high: float, z: float = 8.0, jitter: float = 0.25) -> np.ndarray:
    corners = np.array([[low, low], [high, low], [high, high], [low, high]]) + jitter
    return np.column_stack([corners, np.full(4, z)])


def test_rt_utils_ring() -> None:
    dataset = pydicom.dcmread(outside("segmentations/rtstruct/rt.dcm"), defer_size=None)
    contours = [
        np.array(item.ContourData, float).reshape(-1, 3) for item in dataset.ROIContourSequence[0].ContourSequence
    ]
    # It states a frame of reference of its own, but names the series.
    mask = read_mask(
        roi(outside("segmentations/rtstruct/rt.dcm")), lambda: slices_of(CT, CT_FRAME_OF_REFERENCE, CT_SERIES)
    )
    assert np.array_equal(mask.voxels_zyx[0], by_matplotlib(contours, CT, 0))
    assert (int(mask.voxels_zyx[0].sum()), int(mask.voxels_zyx[1].sum())) == (1443, 0)
    assert (mask.mask_format, mask.flags) == ("DICOM RTSTRUCT", ())
    other = refused(outside("segmentations/rtstruct/rt.dcm"), slices_of(CT, CT_FRAME_OF_REFERENCE, "1.2.3"))
    assert other.kind == "other_frame_of_reference"
    assert CT_FRAME_OF_REFERENCE in other.private
    assert CT_FRAME_OF_REFERENCE not in other.message


@pytest.mark.parametrize("name", ["invalid_reference_rt.dcm", "non_existent_reference_rt.dcm"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_rt_utils_contours_on_a_slice_that_is_not_there(name: str, number: int) -> None:
    image = slices_of(CT, CT_FRAME_OF_REFERENCE, CT_SERIES)
    error = refused(outside(f"segmentations/rtstruct/{name}"), image, label=number)
    assert (error.kind, "10.0 mm" in error.message) == ("contour_off_slices", True)


@pytest.mark.parametrize(
    ("gaps", "tilt", "orientation"),
    [((4.0,) * 15, 20.0, "axial"), ((4.0,) * 15, -20.0, "oblique"), (UNEVEN, 12.0, "coronal")]
    + [((2.5,) * 20, 0.0, name) for name in ORIENTATIONS],
)
def test_a_ball_lands_where_it_is(tmp_path: Path, gaps: tuple[float, ...], tilt: float, orientation: str) -> None:
    drawn = ball(gaps, tilt, orientation)
    path = write_structure_set(tmp_path / "rt.dcm", {"clot": [(CLOSED, points) for points in drawn.circles()]})
    mask = read(path, drawn.stack)
    assert (mask.voxels_zyx != drawn.mask()).sum() <= 4  # a circle of 240 corners is a little less than a circle
    grid = stored_grid(drawn.stack, (0.5, 0.5, 5.0))
    placed, truth = place_mask(mask.voxels_zyx, mask.place, grid).astype(bool), drawn.on(grid)
    assert np.abs(np.argwhere(placed).mean(axis=0) - np.argwhere(truth).mean(axis=0)).max() < 0.5
    assert 2 * (placed & truth).sum() / (placed.sum() + truth.sum()) > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_lobed_contours_with_holes_are_matplotlibs(tmp_path: Path, seed: int) -> None:
    rng, contours = np.random.default_rng(seed), []
    angle = np.linspace(0, 2 * np.pi, 77, endpoint=False)
    for center, size in [((12, 15), 8), ((12, 15), 4), ((12, 15), 1.5), ((28, 20), 7)]:
        radius = size * (1 + 0.15 * np.sin(5 * angle + rng.uniform(0, 6)))
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None] + center
        contours.append(np.column_stack([ring, np.full(77, 12.0)]))
    path = write_structure_set(tmp_path / "rt.dcm", {"clot": [(CLOSED, points) for points in contours]})
    written = [np.array([float(f"{value:.8g}") for value in points.ravel()]).reshape(-1, 3) for points in contours]
    mask = read(path)
    assert np.array_equal(mask.voxels_zyx[3], by_matplotlib(written, STACK, 3))
    assert mask.flags == ()
    assert mask.voxels_zyx[3, 15, 12] == 1  # within the hole's own island
    assert mask.voxels_zyx[3, 15, 15] == 0


def test_xor_contours_and_contours_that_only_overlap(tmp_path: Path) -> None:
    one, two = square(4, 20), square(12, 28)
    expected = by_matplotlib([one, two], STACK, 2)
    xor = write_structure_set(tmp_path / "xor.dcm", {"a": [("CLOSEDPLANAR_XOR", one), ("CLOSEDPLANAR_XOR", two)]})
    plain = write_structure_set(tmp_path / "plain.dcm", {"a": [(CLOSED, one), (CLOSED, two)]})
    assert np.array_equal(read(xor).voxels_zyx[2], expected)
    assert read(xor).flags == ()
    assert np.array_equal(read(plain).voxels_zyx[2], expected)
    assert read(plain).flags == ("overlapping_contours",)
    again = np.roll(one, 1, axis=0)[::-1]
    twice = write_structure_set(tmp_path / "twice.dcm", {"a": [(CLOSED, one), (CLOSED, one), (CLOSED, again)]})
    assert np.array_equal(read(twice).voxels_zyx[2], by_matplotlib([one], STACK, 2))


def test_selection_by_name_and_number(tmp_path: Path) -> None:
    rois = {"Körper": [(CLOSED, square(2, 30))], "Hematoma ": [(CLOSED, square(4, 9))], "no contour": []}
    path = write_structure_set(tmp_path / "rt.dcm", rois)
    assert read(path, segment="hematoma").voxels_zyx.sum() == 25
    assert read(path, label=1).voxels_zyx.sum() == 28**2
    several = refused(path)
    assert (several.kind, "2 segments" in several.message, "Hematoma" in several.private) == (
        "ambiguous_mask",
        True,
        True,
    )
    assert "Hematoma" not in several.message
    assert refused(path, segment="no contour").kind == "no_such_segment"
    assert refused(write_structure_set(tmp_path / "none.dcm", {"no contour": []})).kind == "empty_mask"


@pytest.mark.parametrize("sequence", ["StructureSetROISequence", "ROIContourSequence"])
def test_a_number_that_stands_for_two_rois_is_refused(tmp_path: Path, sequence: str) -> None:
    """The last would stand for both: a part of the contours, or those of another name."""
    contours = [(CLOSED, square(10, 20, z)) for z in (4.0, 8.0, 12.0)]
    path = write_structure_set(tmp_path / "rt.dcm", {"blood": contours, "couch": contours[:1]})
    dataset = pydicom.dcmread(path)
    dataset[sequence].value.append(dataset[sequence].value[0])
    dataset.save_as(path)
    error = refused(path, segment="blood")
    assert (error.kind, "number 1 stands for 2" in error.message) == ("unreadable_file", True)
    assert read(path, segment="couch").voxels_zyx.any()


def test_contours_without_an_area_are_ignored_and_flagged(tmp_path: Path) -> None:
    line = np.array([[1.0, 1, 8], [9, 9, 8], [5, 5, 8]])
    nothing = [
        ("POINT", line[:1]),
        ("OPEN_PLANAR", square(4, 9)),
        ("OPEN_NONPLANAR", square(4, 9)),
        (CLOSED, line[:2]),
        (CLOSED, line),
        (CLOSED, np.empty((0, 3))),
    ]
    path = write_structure_set(tmp_path / "rt.dcm", {"a": [*nothing, (CLOSED, square(4, 9))]})
    mask = read(path)
    assert (int(mask.voxels_zyx.sum()), mask.flags) == (25, ("contours_ignored",))
    error = refused(write_structure_set(tmp_path / "none.dcm", {"a": nothing}))
    assert (error.kind, "6 contours" in error.message) == ("empty_mask", True)
    small = np.array([[4.2, 4.2, 8], [4.4, 4.2, 8], [4.4, 4.4, 8]])
    assert refused(write_structure_set(tmp_path / "small.dcm", {"a": [(CLOSED, small)]})).kind == "mask_lost"


def test_contours_between_slices_go_to_the_slab_they_lie_in(tmp_path: Path) -> None:
    near, far = square(4, 9, 9.0), square(4, 20, 9.8)
    path = write_structure_set(tmp_path / "rt.dcm", {"a": [(CLOSED, far), (CLOSED, near)]})
    mask = read(path)
    assert np.flatnonzero(mask.voxels_zyx.any(axis=(1, 2))).tolist() == [2]
    assert (int(mask.voxels_zyx.sum()), mask.flags) == (25, ("contours_between_slices",))
    for z, k in [(-1.9, 0), (9.9, 2), (10.1, 3), (21.9, 5)]:
        mask = read(write_structure_set(tmp_path / "z.dcm", {"a": [(CLOSED, square(4, 9, z))]}))
        assert mask.voxels_zyx[k].any()
    for z in (-2.2, 22.2):
        path = write_structure_set(tmp_path / "z.dcm", {"a": [(CLOSED, square(4, 9)), (CLOSED, square(4, 9, z))]})
        assert refused(path).kind == "contour_off_slices"


def test_slices_that_were_skipped_are_flagged(tmp_path: Path) -> None:
    def flags(*contours: np.ndarray) -> tuple[str, ...]:
        return read(write_structure_set(tmp_path / "rt.dcm", {"a": [(CLOSED, points) for points in contours]})).flags

    assert flags(square(4, 9, 4.0), square(4, 9, 8.0)) == ()
    assert flags(square(4, 9, 4.0), square(4, 9, 12.0)) == ("skipped_slices",)
    assert flags(square(4, 9, 4.0), square(20, 29, 12.0)) == ()  # two hematomas


def test_contours_of_other_planes_and_beside_the_image_are_refused(tmp_path: Path) -> None:
    def kind(*contours: np.ndarray) -> str:
        return refused(write_structure_set(tmp_path / "rt.dcm", {"a": [(CLOSED, points) for points in contours]})).kind

    across = square(4, 20)
    across[:2, 2] += 1.0
    assert kind(across) == "contour_across_slices"
    assert kind(square(4, 9) + np.array([60.0, 0, 0])) == "mask_outside_image"
    assert kind(square(30, 50)) == "mask_cut"


def test_a_frame_of_reference_is_compared_where_both_are_known(tmp_path: Path) -> None:
    path = write_structure_set(tmp_path / "rt.dcm", {"a": [(CLOSED, square(4, 9))]}, "1.2.3", "1.2.4")
    for known, series in [("1.2.3", "1.9"), ("1.7", "1.2.4"), (None, None)]:
        assert read_mask(roi(path), lambda known=known, series=series: slices_of(STACK, known, series)).volume_ml > 0
    assert refused(path, slices_of(STACK, "1.7", "1.9")).kind == "other_frame_of_reference"


def test_coordinates_that_are_none(tmp_path: Path) -> None:
    points = square(4, 9)
    path = write_structure_set(tmp_path / "rt.dcm", {"a": [(CLOSED, points)]})

    def changed(text: bytes, count: int | None = 4) -> str:
        dataset = pydicom.dcmread(path)
        item = dataset.ROIContourSequence[0].ContourSequence[0]
        item[CONTOUR_DATA] = raw_coordinates(text)
        if count is None:
            del item.NumberOfContourPoints
        else:
            item.NumberOfContourPoints = count
        dataset.save_as(tmp_path / "changed.dcm")
        return refused(tmp_path / "changed.dcm").kind

    numbers = [f"{value:g}".encode() for value in points.ravel()]
    text = b"\\".join(numbers)
    assert changed(b"\\".join([b"nan", *numbers[1:]])) == "bad_contour"
    assert changed(b"\\".join([b"inf", *numbers[1:]])) == "bad_contour"
    assert changed(b"\\".join([b"1e30", *numbers[1:]])) == "bad_contour"
    assert changed(b"\\".join([b"", *numbers[1:]])) == "unreadable_file"
    assert changed(b"\\".join([b"one", *numbers[1:]])) == "unreadable_file"
    assert changed(text, 5) == "bad_contour"
    assert changed(b"\\".join(numbers[:-1])) == "bad_contour"
    assert changed(b"\\".join(numbers[:-1]), None) == "bad_contour"
    dataset = pydicom.dcmread(path)
    for offset, kind in (([0, 0, 0], None), ([0, 0, 2.5], "bad_contour")):
        dataset.ROIContourSequence[0].ContourSequence[0].ContourOffsetVector = offset
        dataset.save_as(tmp_path / "offset.dcm")
        assert read(tmp_path / "offset.dcm") if kind is None else refused(tmp_path / "offset.dcm").kind == kind


@pytest.mark.parametrize(("explicit", "turns"), [(False, 101), (True, 1001)])
def test_a_contour_of_up_to_a_million_points(tmp_path: Path, explicit: bool, turns: int) -> None:
    """A circle that is run around an odd number of times, in a value that no VR of short length can hold."""
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    points = np.stack([20 + 12.3 * np.cos(angle), 17 + 12.3 * np.sin(angle), np.full(1000, 8.0)], axis=1)
    path = write_structure_set(tmp_path / "rt.dcm", {"a": [(CLOSED, points)]}, explicit=explicit)
    dataset = pydicom.dcmread(path)
    item = dataset.ROIContourSequence[0].ContourSequence[0]
    text = item.get_item(CONTOUR_DATA).value.strip()
    item[CONTOUR_DATA], item.NumberOfContourPoints = raw_coordinates(b"\\".join([text] * turns), explicit), 1000 * turns
    dataset.save_as(path)
    y, x = np.mgrid[:36, :40]
    assert np.array_equal(read(path).voxels_zyx[2], np.hypot(x - 20, y - 17) < 12.3)


def test_slices_without_contours_stay_empty_whatever_the_order(tmp_path: Path) -> None:
    drawn = ball(UNEVEN, 8.0)
    circles = drawn.circles()
    order = np.random.default_rng(0).permutation(len(circles))
    shuffled = write_structure_set(tmp_path / "a.dcm", {"a": [(CLOSED, circles[k]) for k in order]})
    turned = write_structure_set(tmp_path / "b.dcm", {"a": [(CLOSED, points[::-1]) for points in circles]})
    expected = read(turned, drawn.stack)
    assert np.array_equal(read(shuffled, drawn.stack).voxels_zyx, expected.voxels_zyx)
    assert all(after - before == 1 for before, after in pairwise(np.flatnonzero(expected.voxels_zyx.any(axis=(1, 2)))))
    assert expected.mask_digest() == read(shuffled, drawn.stack).mask_digest()
    moved = replace(drawn.stack, positions_mm=tuple((x + 0.9, y, z) for x, y, z in drawn.stack.positions_mm))
    assert read(shuffled, moved).mask_digest() != expected.mask_digest()
