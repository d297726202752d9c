"""Outlines that were drawn on another reconstruction of the study fill their own slabs, whatever slices the image has."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from tests.support.figures import Record, record_figure
from tests.support.mask_files import (
    SERIES,
    UNEVEN,
    ball,
    ct_slices,
    image_of,
    read,
    refused,
    roi,
    write_seg,
    write_structure_set,
)
from tests.support.outside_data import outside
from tests.support.reconstructions import (
    BALL_ML,
    CENTER,
    IMAGE_PIXEL_MM,
    OTHER,
    OTHER_PIXEL_MM,
    contours_ml,
    drawn_ml,
    image_file,
    reconstruction,
    restated,
    stored,
)
from tests.support.series import case

STEPS = (1.0, 2.0, 3.0, 5.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("other")


@cache
def outline(folder: Path, kind: str, step: float, offset: float) -> tuple[Path, float]:
    """An outline of the other reconstruction, and its volume; its pixels are the image's where it is aligned."""
    drawn = reconstruction(step, offset, OTHER_PIXEL_MM if offset else IMAGE_PIXEL_MM)
    path = folder / f"{kind} {step} {offset}.dcm"
    if kind == "SEG":
        return write_seg(path, ct_slices(drawn.stack, OTHER, step), drawn.mask()), drawn_ml(drawn, step)
    contours = [("CLOSED_PLANAR", points) for points in drawn.circles()]
    return write_structure_set(path, {"clot": contours}, series=OTHER), contours_ml(drawn.circles(), step)


@pytest.mark.parametrize("offset", [0.0, 0.5], ids=["aligned", "half a step off"])
@pytest.mark.parametrize("step", STEPS, ids=[f"drawn every {step:g} mm" for step in STEPS])
@pytest.mark.parametrize("gap", STEPS, ids=[f"image every {gap:g} mm" for gap in STEPS])
@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_every_step_on_every_image(
    folder: Path, record_property: Record, kind: str, gap: float, step: float, offset: float
) -> None:
    stack, (path, right_ml) = reconstruction(gap).stack, outline(folder, kind, step, offset)
    mask = read(path, image_of(stack, gap))
    stored_ml, centroid = stored(mask, stack)
    table = f"{kind} of a ball of 26.0 ml, {'half a step off' if offset else 'aligned'}: ml as read and as stored"
    cell = f"{mask.volume_ml:5.2f} {stored_ml:5.2f}"
    record_figure(record_property, table, f"drawn every {step:g} mm", f"image every {gap:g} mm", cell)
    assert mask.volume_ml == pytest.approx(right_ml, rel=0.01 if kind == "SEG" else 0.05)
    assert stored_ml == pytest.approx(right_ml, rel=0.05)
    assert stored_ml == pytest.approx(BALL_ML, rel=0.05)
    assert np.abs(centroid - CENTER)[:2].max() < 0.25
    assert abs(centroid - CENTER)[2] < 2.5
    assert mask.flags == (() if gap == step and not offset else ("other_slices",))
    assert (mask.place == stack) == (mask.flags == ())


@pytest.mark.parametrize("image", [image_of, image_file], ids=["another series", "an image file"])
@pytest.mark.parametrize("gap", [1.0, 2.5, 5.0])
@pytest.mark.parametrize(
    ("thickness", "spacing"),
    [(1.0, None), (2.5, None), (5.0, None), (5.0, 2.5), (None, None), (1.0, 7.0), (1.25, 1.25), (5.0, -2.5)],
)
def test_the_slab_of_a_frame_is_its_step_whatever_its_thickness(
    tmp_path: Path, thickness: float | None, spacing: float | None, gap: float, image
) -> None:
    drawn, stack = reconstruction(2.5), reconstruction(gap).stack
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 2.5), drawn.mask())
    mask = read(restated(path, thickness, spacing), image(stack))
    assert mask.volume_ml == pytest.approx(drawn_ml(drawn, 2.5), rel=1e-6)
    assert stored(mask, stack)[0] == pytest.approx(BALL_ML, rel=0.05)
    assert mask.flags == (() if gap == 2.5 else ("other_slices",))


def test_one_frame_is_as_thick_as_it_says(tmp_path: Path) -> None:
    drawn, stack = reconstruction(2.0), reconstruction(1.0).stack
    pixels = np.zeros_like(drawn.mask())
    pixels[20] = drawn.mask()[20]
    area = pixels.sum() * 0.7 * 0.6 / 1000
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 2.0), pixels)
    for thickness, spacing, ml in [
        (2.0, 2.0, 2 * area),
        (1.0, 2.0, 2 * area),
        (2.0, None, 2 * area),
        (None, None, area),
    ]:
        assert read(restated(path, thickness, spacing), image_of(stack, 1.0)).volume_ml == pytest.approx(ml)
    # A thickness that is the image's own says nothing else: slices of 4 mm every millimetre.
    assert read(restated(path, 4.0, None), image_of(stack, 4.0)).volume_ml == pytest.approx(area)


def test_empty_frames_and_other_segments_tell_the_step(tmp_path: Path) -> None:
    drawn, stack = reconstruction(2.0), reconstruction(1.0).stack
    one, two = np.zeros_like(drawn.mask()), drawn.mask()
    one[20] = two[20]
    right_ml = one.sum() * 0.7 * 0.6 * 2 / 1000
    slices = ct_slices(drawn.stack, OTHER, 1.0)
    empty = write_seg(tmp_path / "a.dcm", slices, one, omit_empty_frames=False)
    assert read(restated(empty, 1.0, None), image_of(stack, 1.0)).volume_ml == pytest.approx(right_ml)
    dataset = pydicom.dcmread(empty)
    for place, lost in ((0, [0, 0, 5000.0]), (1, [0, 0, float("nan")]), (2, [0, 0, -5000.0])):
        dataset.PerFrameFunctionalGroupsSequence[place].PlanePositionSequence[0].ImagePositionPatient = lost
    dataset.save_as(empty)
    assert read(empty, image_of(stack, 1.0)).volume_ml == pytest.approx(right_ml)
    both = write_seg(tmp_path / "b.dcm", slices, np.stack([one, two], axis=-1), ("one", "two"))
    mask = read_mask(roi(restated(both, 1.0, None), segment="one"), lambda: image_of(stack, 1.0))
    assert mask.volume_ml == pytest.approx(right_ml)


def test_another_segment_between_the_planes_of_this_one_takes_nothing_of_them(tmp_path: Path) -> None:
    drawn, stack = reconstruction(2.0), reconstruction(3.0).stack
    one, two = drawn.mask(), drawn.mask()
    one[::2], two[1::2] = 0, 0
    path = write_seg(
        tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 4.0), np.stack([one, two], axis=-1), ("one", "two")
    )
    mask = read_mask(roi(restated(path, 4.0, None), segment="one"), lambda: image_of(stack, 3.0))
    assert mask.volume_ml == pytest.approx(one.sum() * 0.7 * 0.6 * 4 / 1000)


def test_two_small_outlines_far_apart_are_not_joined(tmp_path: Path) -> None:
    """What was left out between them was empty; one beside the other says nothing of the step, so that the thickness does."""
    drawn, stack = reconstruction(5.0, 0.5), reconstruction(2.0).stack
    pixels = np.zeros_like(drawn.mask())
    pixels[3, 10:20, 10:20], pixels[7, 40:50, 40:50] = 1, 1
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 5.0), pixels)
    for spacing in (5.0, None):
        mask = read(restated(path, 5.0, spacing), image_of(stack, 2.0))
        assert mask.volume_ml == pytest.approx(200 * 0.7 * 0.6 * 5 / 1000)
        assert mask.flags == ("other_slices",)


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_every_second_slice_of_this_series_stays_every_second_and_is_flagged(tmp_path: Path, kind: str) -> None:
    drawn = reconstruction(1.0)
    pixels = drawn.mask()
    pixels[::2] = 0
    circles = [points for points in drawn.circles() if round(points[0, 2]) % 2]
    contours = [("CLOSED_PLANAR", points) for points in circles]

    def write(series: str) -> Path:
        if kind == "SEG":
            return write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, series, 1.0), pixels)
        return write_structure_set(tmp_path / "rt.dcm", {"clot": contours}, series=series)

    own = read(write(SERIES), image_of(drawn.stack, 1.0))
    assert (own.place, own.flags) == (drawn.stack, ("skipped_slices",))
    assert own.volume_ml == pytest.approx(BALL_ML / 2, rel=0.02)
    # Another series' planes of the same places are 2 mm apart, whatever the file states.
    coarse = read(write(OTHER), image_of(drawn.stack, 1.0))
    assert coarse.flags == ("other_slices",)
    assert coarse.volume_ml == pytest.approx(BALL_ML, rel=0.02)


def test_a_mask_computed_on_coarser_planes_that_names_this_series(tmp_path: Path) -> None:
    """A network that works at 2 mm, and names the series of 1 mm that it was given."""
    coarse, stack = reconstruction(2.0), reconstruction(1.0).stack
    path = write_seg(tmp_path / "seg.dcm", ct_slices(coarse.stack, SERIES, 1.0), coarse.mask())
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    dataset.save_as(path)
    for thickness, spacing in ((2.0, 2.0), (1.0, 2.0), (2.0, None)):
        mask = read(restated(path, thickness, spacing), image_of(stack, 1.0))
        assert mask.flags == ("other_slices",)
        assert mask.volume_ml == pytest.approx(drawn_ml(coarse, 2.0))


@pytest.mark.parametrize("name", [SERIES, OTHER])
@pytest.mark.parametrize(("gaps", "tilt"), [(UNEVEN, 12.0), ((4.0,) * 15, 20.0), ((2.5,) * 24, 0.0)])
def test_the_same_slices_of_this_or_another_kernel(
    tmp_path: Path, name: str, gaps: tuple[float, ...], tilt: float
) -> None:
    drawn = ball(gaps, tilt)
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, name, 4.0), drawn.mask())
    mask = read(path, image_of(drawn.stack, 4.0))
    assert (mask.place, mask.flags) == (drawn.stack, ())
    assert np.array_equal(mask.voxels_zyx, drawn.mask())


@pytest.mark.parametrize("image_tilt", [0.0, 15.0, -8.0])
@pytest.mark.parametrize("gaps", [(2.0,) * 30, (3.0,) * 9 + (1.5,) * 6 + (4.0,) * 6], ids=["even", "uneven"])
def test_a_tilted_reconstruction_on_any_image(tmp_path: Path, gaps: tuple[float, ...], image_tilt: float) -> None:
    drawn, image = ball(gaps, 15.0), ball((5.0,) * 12, image_tilt)
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 2.0), drawn.mask())
    mask = read(path, image_of(image.stack, 5.0))
    ml, centroid = stored(mask, image.stack)
    assert mask.volume_ml == pytest.approx(4 / 3 * np.pi * 18**3 / 1000, rel=0.01)
    assert ml == pytest.approx(mask.volume_ml, rel=0.05)
    away = np.array([image.stack.row_axis, image.stack.column_axis, image.stack.slice_axis]) @ (
        centroid - drawn.center_mm
    )
    assert np.abs(away[:2]).max() < 0.25
    assert abs(away[2]) < 2.5
    assert mask.flags == ("other_slices",)


def test_a_plane_that_was_forgotten_is_empty_where_the_step_is_stated_and_else_bridged(tmp_path: Path) -> None:
    drawn, stack = reconstruction(2.5), reconstruction(1.0).stack
    pixels = drawn.mask()
    lost = pixels[17].sum() * 0.7 * 0.6 * 2.5 / 1000
    assert lost > 2
    pixels[17] = 0
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 2.5), pixels)
    stated = read(restated(path, 2.5, 2.5), image_of(stack, 1.0))
    assert stated.volume_ml == pytest.approx(drawn_ml(drawn, 2.5) - lost)
    assert stated.flags == ("skipped_slices", "other_slices")
    bridged = read(restated(path, 2.5, None), image_of(stack, 1.0))
    assert bridged.volume_ml == pytest.approx(drawn_ml(drawn, 2.5), rel=0.01)
    uneven = ball((3.0,) * 9 + (1.1,) * 6 + (4.0,) * 6)
    pixels = uneven.mask()
    pixels[11:14] = 0
    path = write_seg(tmp_path / "uneven.dcm", ct_slices(uneven.stack, OTHER, 3.0), pixels)
    assert read(path, image_of(ball((5.0,) * 12).stack, 5.0)).volume_ml == pytest.approx(
        4 / 3 * np.pi * 5.832, rel=0.01
    )


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_outlines_over_one_another_but_far_apart_are_not_bridged(tmp_path: Path, kind: str) -> None:
    drawn, stack = reconstruction(5.0, 0.5), reconstruction(5.0).stack
    circles, pixels = drawn.circles()[1:-1:3], np.zeros_like(drawn.mask())
    lesions = [7, 10]
    pixels[lesions] = drawn.mask()[lesions]
    assert (pixels[7] & pixels[10]).any()
    if kind == "SEG":
        path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 5.0), pixels)
        restated(path, 5.0, None)
        right_ml = pixels.sum() * 0.7 * 0.6 * 5 / 1000
    else:
        contours = [("CLOSED_PLANAR", points) for points in circles]
        path = write_structure_set(tmp_path / "rt.dcm", {"clot": contours}, series=OTHER)
        right_ml = contours_ml(circles, 5.0)
    mask = read(path, image_of(stack, 5.0))
    assert mask.volume_ml == pytest.approx(right_ml, rel=0.01)
    assert "skipped_slices" in mask.flags


def test_a_segmentation_of_tilted_slices_on_a_file_that_has_others(tmp_path: Path) -> None:
    """As of an uneven, tilted series that dcm2niix wrote with one equal step."""
    drawn = ball(UNEVEN, 15.0)
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, SERIES, 5.0), drawn.mask())
    ends = np.array(drawn.stack.positions_mm)[[0, -1]]
    positions = np.linspace(*ends, len(drawn.stack.positions_mm))
    equal = replace(drawn.stack, positions_mm=tuple(map(tuple, positions.tolist())))
    error = refused(path, image_file(equal))
    assert (error.kind, "DICOM series" in error.message) == ("mask_off_slices", True)
    assert read(path, image_file(drawn.stack)).place == drawn.stack
    even = ball((5.0,) * 12, 15.0)
    fine = replace(even.stack, positions_mm=ball((2.5,) * 24, 15.0).stack.positions_mm)
    path = write_seg(tmp_path / "even.dcm", ct_slices(even.stack, SERIES, 5.0), even.mask())
    assert read(path, image_file(fine)).flags == ("other_slices", "unverified_slices")


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_outlines_of_either_kind_on_and_off_the_slices_of_a_tilted_image_file(tmp_path: Path, kind: str) -> None:
    """A file of one step that continues the first gap, as dcm2niix writes it, where the series has others farther up."""
    drawn = ball((5.0,) * 4 + (4.0,) * 9, 15.0)

    def write(pixels: np.ndarray, circles: Sequence[np.ndarray]) -> Path:
        if kind == "SEG":
            return write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, SERIES, 5.0), pixels)
        return write_structure_set(tmp_path / "rt.dcm", {"clot": [("CLOSED_PLANAR", points) for points in circles]})

    one_step = ball((5.0,) * 13, 15.0).stack
    positions = np.array(one_step.positions_mm) - np.array(one_step.positions_mm[0]) + drawn.stack.positions_mm[0]
    image = image_file(replace(one_step, positions_mm=tuple(map(tuple, positions.tolist()))))
    path = write(drawn.mask(), drawn.circles())
    error = refused(path, image)
    assert (error.kind, "DICOM series" in error.message) == ("mask_off_slices", True)
    own = read(path, image_file(drawn.stack))
    assert (own.place, own.flags) == (drawn.stack, ("unverified_slices",))
    assert read(path, image_of(drawn.stack, 5.0)).flags == ()


def test_frames_beside_one_another_in_a_plane_off_the_slices_are_refused(tmp_path: Path) -> None:
    drawn, stack = reconstruction(2.0, 0.5), reconstruction(5.0).stack
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 2.0), drawn.mask())
    dataset = pydicom.dcmread(path)
    first, second = (frame.PlanePositionSequence[0] for frame in dataset.PerFrameFunctionalGroupsSequence[4:6])
    x, y, z = first.ImagePositionPatient
    second.ImagePositionPatient = [x + 5, y, z]
    dataset.save_as(path)
    assert refused(path, image_of(stack, 5.0)).kind == "mask_off_slices"


def test_an_outline_of_another_reconstruction_beside_the_image_is_refused(folder: Path) -> None:
    for kind in ("SEG", "RTSTRUCT"):
        path, _ = outline(folder, kind, 2.0, 0.5)
        stack = reconstruction(3.0).stack
        for move, kind_of_error in [
            ((60.0, 0, 0), "mask_outside_image"),
            ((20.0, 0, 0), "mask_cut"),
            ((0, 0, 40.0), "mask_cut"),
        ]:
            positions = tuple(map(tuple, (np.array(stack.positions_mm) + move).tolist()))
            assert refused(path, image_of(replace(stack, positions_mm=positions))).kind == kind_of_error


CASES = [
    ("thin_1mm", "seg_on_1mm", 26.0, 0.01, 0.05, ()),
    ("thin_1mm", "seg_on_2mm", 26.0, 0.01, 0.05, ("other_slices",)),
    ("thin_1mm", "rt_on_3mm", 26.0, 0.05, 0.05, ("other_slices",)),
    ("ge", "ge_seg", 26.0, 0.01, 0.06, ()),
]


@pytest.mark.parametrize(("image", "mask", "ml", "within", "stored_within", "flags"), CASES)
def test_real_geometry(
    image: str, mask: str, ml: float, within: float, stored_within: float, flags: tuple[str, ...]
) -> None:
    slices = ImageSlices.of(read_volume(case(outside(f"cases/{image}"))))
    found = read(outside(f"cases/{mask}.dcm"), slices)
    assert found.volume_ml == pytest.approx(ml, rel=within)
    assert stored(found, slices.stack)[0] == pytest.approx(ml, rel=stored_within)
    assert found.flags == flags
    assert (found.place == slices.stack) == (flags == ())


def test_a_segmentation_of_this_series_keeps_its_digest() -> None:
    """As it was before outlines of other series were told apart."""
    for image, mask, digest in [("thin_1mm", "seg_on_1mm", "dc501dabb4ea"), ("ge", "ge_seg", "7efcfaf775a2")]:
        slices = ImageSlices.of(read_volume(case(outside(f"cases/{image}"))))
        assert read(outside(f"cases/{mask}.dcm"), slices).mask_digest().startswith(digest)
