"""What an object states of its planes and of the series that it was drawn on, where its frames say otherwise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import read_mask
from tests.support.mask_files import SERIES, Ball, ct_slices, image_of, read, roi, write_seg, write_structure_set
from tests.support.reconstructions import (
    BALL_ML,
    OTHER,
    RADIUS,
    contours_ml,
    drawn_ml,
    reconstruction,
    restated,
    stored,
)


def uneven_series(center_z: float) -> Ball:
    """A ball on planes every 2.5 mm up to z = 60, and every 5 mm above."""
    fine = reconstruction(2.5).stack
    depths = [*np.arange(0, 60, 2.5).tolist(), *np.arange(60, 111, 5.0).tolist()]
    positions = tuple((-19.0, -31.0, z) for z in depths)
    return Ball(replace(fine, positions_mm=positions), np.array([4.3, -7.9, center_z]), RADIUS)


@pytest.mark.parametrize(
    ("center_z", "omit"), [(75.0, True), (65.0, True), (60.0, True), (75.0, False), (60.0, False), (50.0, False)]
)
def test_a_stated_step_that_does_not_hold_for_all_planes(tmp_path: Path, center_z: float, omit: bool) -> None:
    drawn, stack = uneven_series(center_z), reconstruction(1.0).stack
    stack = replace(stack, positions_mm=tuple((-19.0, -31.0, float(z)) for z in range(111)))
    path = tmp_path / "seg.dcm"
    write_seg(path, ct_slices(drawn.stack, OTHER, 2.5), drawn.mask(), omit_empty_frames=omit)
    depths = np.array(drawn.stack.positions_mm)[:, 2]
    steps = np.diff([depths[0] - 2.5, *((depths[1:] + depths[:-1]) / 2), depths[-1] + 2.5])
    right_ml = float(drawn.mask().sum(axis=(1, 2)) @ steps) * 0.7 * 0.6 / 1000
    mask = read(restated(path, 2.5, 2.5), image_of(stack, 1.0))
    assert mask.volume_ml == pytest.approx(right_ml, rel=1e-6)
    assert mask.volume_ml == pytest.approx(BALL_ML, rel=0.02)
    assert stored(mask, stack)[0] == pytest.approx(BALL_ML, rel=0.05)
    assert mask.flags == ("other_slices",)


def test_a_stated_step_that_all_two_planes_and_their_thickness_contradict(tmp_path: Path) -> None:
    drawn, stack = reconstruction(5.0), reconstruction(1.0).stack
    pixels = np.zeros_like(drawn.mask())
    pixels[8:10] = drawn.mask()[8:10]
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 5.0), pixels)
    area = pixels.sum() * 0.7 * 0.6 / 1000
    assert read(restated(path, 5.0, 2.5), image_of(stack, 1.0)).volume_ml == pytest.approx(area * 5)
    # The thickness bears it out: two hematomas, or a plane between them that was forgotten.
    assert read(restated(path, 2.5, 2.5), image_of(stack, 1.0)).volume_ml == pytest.approx(area * 2.5)
    # One slab of 5 mm, of those that there are every 2.5 mm.
    pixels[8] = 0
    path = write_seg(tmp_path / "one.dcm", ct_slices(drawn.stack, OTHER, 5.0), pixels)
    one_ml = pixels.sum() * 0.7 * 0.6 * 2.5 / 1000
    assert read(restated(path, 5.0, 2.5), image_of(stack, 1.0)).volume_ml == pytest.approx(one_ml)
    # Frames of this segment that were left empty every 5 mm say that they are not.
    path = write_seg(tmp_path / "all.dcm", ct_slices(drawn.stack, OTHER, 5.0), pixels, omit_empty_frames=False)
    assert read(restated(path, 5.0, 2.5), image_of(stack, 1.0)).volume_ml == pytest.approx(one_ml * 2)


def test_planes_of_other_segments_do_not_contradict_the_step_of_one(tmp_path: Path) -> None:
    drawn, stack = reconstruction(2.0), reconstruction(1.0).stack
    one, two = np.zeros_like(drawn.mask()), drawn.mask()
    one[20], two[18:23], two[::3] = two[20], 0, 0
    path = write_seg(
        tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 2.0), np.stack([one, two], axis=-1), ("one", "two")
    )
    mask = read_mask(roi(restated(path, 2.0, 2.0), segment="one"), lambda: image_of(stack, 1.0))
    assert mask.volume_ml == pytest.approx(one.sum() * 0.7 * 0.6 * 2 / 1000)


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_an_object_that_names_the_thick_and_the_thin_series_does_not_say_which(tmp_path: Path, kind: str) -> None:
    def write(step: float) -> tuple[Path, float]:
        drawn = reconstruction(step)
        if kind == "RTSTRUCT":
            path = tmp_path / "rt.dcm"
            write_structure_set(path, {"clot": [("CLOSED_PLANAR", points) for points in drawn.circles()]})
            dataset = pydicom.dcmread(path)
            named = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
            named.RTReferencedSeriesSequence.append(pydicom.Dataset())
            named.RTReferencedSeriesSequence[1].SeriesInstanceUID = OTHER
            dataset.save_as(path)
            return path, contours_ml(drawn.circles(), step)
        path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, SERIES, step), drawn.mask())
        dataset = pydicom.dcmread(restated(path, None, None))
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            del frame.DerivationImageSequence
        dataset.ReferencedSeriesSequence.append(pydicom.Dataset())
        dataset.ReferencedSeriesSequence[1].SeriesInstanceUID = OTHER
        dataset.save_as(path)
        return path, drawn_ml(drawn, step)

    stack = reconstruction(1.0).stack
    for step, flags in ((5.0, ("other_slices",)), (1.0, ())):
        path, right_ml = write(step)
        mask = read(path, image_of(stack, 1.0))
        assert mask.volume_ml == pytest.approx(right_ml, rel=0.05)
        assert mask.volume_ml == pytest.approx(BALL_ML, rel=0.05)
        assert mask.flags == flags


def test_frames_that_name_slices_of_both_series_do_not_say_which(tmp_path: Path) -> None:
    drawn, stack = reconstruction(5.0), reconstruction(1.0).stack
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, OTHER, 5.0), drawn.mask())
    dataset = pydicom.dcmread(restated(path, None, None))
    thin_mm = np.array(stack.positions_mm)[:, 2]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        z = frame.PlanePositionSequence[0].ImagePositionPatient[2]
        sources = frame.DerivationImageSequence[0].SourceImageSequence
        sources.append(pydicom.Dataset())
        sources[1].ReferencedSOPInstanceUID = f"{SERIES}.{int(np.abs(thin_mm - z).argmin()) + 1}"
    dataset.save_as(path)
    mask = read(path, image_of(stack, 1.0))
    assert (mask.volume_ml, mask.flags) == (pytest.approx(drawn_ml(drawn, 5.0)), ("other_slices",))
