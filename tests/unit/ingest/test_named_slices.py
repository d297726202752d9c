"""Outlines that lie far from the slice that they name themselves contradict themselves, and are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import ImageSlices, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.mask_files import (
    FRAME_OF_REFERENCE,
    SERIES,
    UNEVEN,
    ball,
    ct_slices,
    datasets,
    image_of,
    read,
    refused,
    slices_of,
    write_seg,
    write_structure_set,
)
from tests.support.outside_data import outside
from tests.support.series import case


def test_contours_that_name_a_slice_lie_within_half_a_gap_of_it(tmp_path: Path) -> None:
    drawn = ball(UNEVEN, 18.0)
    normal, stack = np.array(drawn.stack.slice_axis), drawn.stack
    depths = stack.depths_mm()

    def write(move_mm: float, series: str = SERIES) -> Path:
        contours = []
        for points in drawn.circles():
            k = int(np.abs(depths - (points[0] - np.array(stack.positions_mm[0])) @ normal).argmin())
            contours.append(("CLOSED_PLANAR", points + move_mm * normal, f"{series}.{k + 1}"))
        return write_structure_set(tmp_path / "rt.dcm", {"clot": contours}, FRAME_OF_REFERENCE, series)

    assert np.abs(read(write(0.0), image_of(stack)).volume_ml - 4 / 3 * np.pi * 18**3 / 1000) < 1
    assert read(write(0.5), image_of(stack)).flags == ("contours_between_slices",)  # half of 1.1 mm is the least
    for move in (0.7, 15.0, -20.0):
        error = refused(write(move), image_of(stack))
        assert (error.kind, f"{abs(move):.1f} mm" in error.message) == ("mask_off_named_slice", True)
    assert read(write(15.0, "1.9.9"), image_of(stack)).volume_ml > 0  # it names slices that the image does not have


def test_frames_that_name_a_slice_lie_within_half_a_gap_of_it(tmp_path: Path) -> None:
    drawn = ball((4.0,) * 15, 18.0)
    path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, SERIES, 4.0), drawn.mask())
    assert read(path, image_of(drawn.stack)).place == drawn.stack
    dataset = pydicom.dcmread(path)
    frames = dataset.PerFrameFunctionalGroupsSequence
    named = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in frames]
    uids = [item.ReferencedSOPInstanceUID for item in named]
    for item, uid in zip(named, reversed(uids), strict=True):
        item.ReferencedSOPInstanceUID = uid
    dataset.save_as(path)
    assert refused(path, image_of(drawn.stack)).kind == "mask_off_named_slice"
    assert read(path, slices_of(drawn.stack)).place == drawn.stack


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_one_source_for_all_planes_is_no_statement_of_their_place(tmp_path: Path, kind: str) -> None:
    """Some writers give every frame the first instance of the series."""
    drawn = ball((4.0,) * 15, 18.0)
    if kind == "SEG":
        path = write_seg(tmp_path / "seg.dcm", ct_slices(drawn.stack, SERIES, 4.0), drawn.mask())
        dataset = pydicom.dcmread(path)
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = f"{SERIES}.1"
        dataset.save_as(path)
    else:
        contours = [("CLOSED_PLANAR", points, f"{SERIES}.1") for points in drawn.circles()]
        path = write_structure_set(tmp_path / "rt.dcm", {"clot": contours}, FRAME_OF_REFERENCE, SERIES)
    mask = read(path, image_of(drawn.stack))
    assert (mask.place, mask.flags) == (drawn.stack, ())
    assert (mask.voxels_zyx != drawn.mask()).sum() <= 4  # a circle of 240 corners is a little less than a circle


def test_a_series_of_files_knows_its_instances(tmp_path: Path) -> None:
    """Contours of a tilted series that were put where its slices would lie without the tilt, each naming its slice."""
    drawn = ball((4.0,) * 15, 18.0)
    folder = tmp_path / "ct"
    write_series(folder, drawn.hu(), drawn.stack, SeriesTags("tilted", "test", 0.0))
    image = ImageSlices.of(read_volume(case(folder)))
    written = {str(dataset.SOPInstanceUID): dataset for dataset in datasets(folder)}
    positions = [[float(value) for value in written[uid].ImagePositionPatient] for uid, _ in image.instances]
    assert np.allclose(positions, drawn.stack.positions_mm, atol=1e-4)

    def write(move_mm: float) -> Path:
        normal, origin = np.array(drawn.stack.slice_axis), np.array(drawn.stack.positions_mm[0])
        contours = []
        for points in drawn.circles():
            k = int(np.abs(drawn.stack.depths_mm() - (points[0] - origin) @ normal).argmin())
            contours.append(("CLOSED_PLANAR", points + move_mm * normal, image.instances[k][0]))
        return write_structure_set(tmp_path / "rt.dcm", {"clot": contours}, "", "1.9.9")

    assert read(write(0.0), image).place == image.stack
    assert refused(write(9.0), image).kind == "mask_off_named_slice"


def test_rt_utils_contours_of_a_tilted_series() -> None:
    slices = ImageSlices.of(read_volume(case(outside("cases/ge"))))
    error = refused(outside("cases/ge_rt_utils.dcm"), slices)
    assert (error.kind, "17.4 mm" in error.message) == ("mask_off_named_slice", True)


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_an_outline_that_names_other_images_is_flagged_where_nothing_ties_it_to_these(
    tmp_path: Path, kind: str
) -> None:
    """On slices at the same places, as heads on one scanner often are: it may be another patient's."""
    drawn, other = ball(), "1.2.77"

    def write(series: str) -> Path:
        if kind == "SEG":
            return write_seg(tmp_path / "mask.dcm", ct_slices(drawn.stack, series, 4.0), drawn.mask())
        contours = [("CLOSED_PLANAR", points) for points in drawn.circles()]
        return write_structure_set(tmp_path / "mask.dcm", {"clot": contours}, FRAME_OF_REFERENCE, series)

    known = image_of(drawn.stack, 4.0)
    unknown = replace(known, frame_of_reference_uid=None)
    assert read(write(other), unknown).flags == ("other_slices",)
    assert read(write(other), known).flags == ()
    assert read(write(other), replace(unknown, series_uid=None)).flags == ()
    assert read(write(SERIES), unknown).flags == ()
