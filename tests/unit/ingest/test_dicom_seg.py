"""DICOM SEG: dcmqi's files against the same segments as NRRD, and what highdicom writes."""

import shutil
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.imaging.resampling import stack_of
from cvtbatch.ingest import ImageSlices, SourceMask, read_mask
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.mask_files import ORIENTATIONS, UNEVEN, Ball, ball, datasets, roi, slices_of, write_seg
from tests.support.outside_data import outside


def series(folder: Path, drawn: Ball) -> list[pydicom.Dataset]:
    write_series(folder, drawn.hu(), drawn.stack, SeriesTags(folder.name, "test", 0.0))
    return datasets(folder)


def read(path: Path, stack: SliceStack, **selectors) -> SourceMask:
    return read_mask(roi(path, **selectors), lambda: slices_of(stack))


def refused(path: Path, image: ImageSlices, **selectors) -> InputError:
    with pytest.raises(InputError) as raised:
        read_mask(roi(path, **selectors), lambda: image)
    assert str(path.parent) not in raised.value.message
    return raised.value


def reference(name: str) -> tuple[np.ndarray, SliceStack]:
    image = sitk.ReadImage(str(outside(f"segmentations/dicom_seg/{name}")))
    return sitk.GetArrayFromImage(image), stack_of(image)


def test_dcmqis_liver() -> None:
    expected, stack = reference("liver_seg.nrrd")
    for selectors in ({}, {"segment": "liver"}, {"label": 1}):
        mask = read(outside("segmentations/dicom_seg/liver.dcm"), stack, **selectors)
        assert np.array_equal(mask.voxels_zyx, expected == 1)
        assert (mask.place, mask.mask_format, mask.flags) == (stack, "DICOM SEG", ())


@pytest.mark.parametrize(
    ("number", "name", "file"),
    [(1, "GREEN", 1), (2, "ORANGE", 2), (3, "PURPLE", 3), (4, "LIGHT_BLUE", 1), (5, "DARK_BLUE", 1)],
)
def test_dcmqis_overlapping_segments_with_frames_left_out(number: int, name: str, file: int) -> None:
    expected, stack = reference(f"partial_overlaps-{file}.nrrd")
    path = outside("segmentations/dicom_seg/partial_overlaps.dcm")
    assert np.array_equal(read(path, stack, label=number).voxels_zyx, expected == number)
    assert np.array_equal(read(path, stack, segment=name).voxels_zyx, expected == number)


def test_selection_is_refused_without_naming_names_in_public() -> None:
    _, stack = reference("liver_seg.nrrd")
    image = slices_of(stack)
    several = refused(outside("segmentations/dicom_seg/partial_overlaps.dcm"), image)
    assert (several.kind, "5 segments" in several.message, "PURPLE" in several.private) == (
        "ambiguous_mask",
        True,
        True,
    )
    assert "PURPLE" not in several.message
    assert (
        refused(outside("segmentations/dicom_seg/partial_overlaps.dcm"), image, segment="RED").kind == "no_such_segment"
    )
    assert refused(outside("segmentations/dicom_seg/partial_overlaps.dcm"), image, label=6).kind == "no_such_segment"


@pytest.mark.parametrize(
    ("gaps", "tilt", "orientation"),
    [((4.0,) * 15, 20.0, "axial"), ((4.0,) * 15, -20.0, "oblique"), (UNEVEN, 12.0, "coronal")]
    + [((2.5,) * 20, 0.0, name) for name in ORIENTATIONS],
)
def test_a_ball_lands_where_it_is(tmp_path: Path, gaps: tuple[float, ...], tilt: float, orientation: str) -> None:
    drawn = ball(gaps, tilt, orientation)
    path = write_seg(tmp_path / "seg.dcm", series(tmp_path / "ct", drawn), drawn.mask())
    mask = read(path, drawn.stack)
    assert np.array_equal(mask.voxels_zyx, drawn.mask())
    grid = stored_grid(drawn.stack, (0.5, 0.5, 5.0))
    placed, truth = place_mask(mask.voxels_zyx, mask.place, grid).astype(bool), drawn.on(grid)
    assert np.abs(np.argwhere(placed).mean(axis=0) - np.argwhere(truth).mean(axis=0)).max() < 0.5
    assert 2 * (placed & truth).sum() / (placed.sum() + truth.sum()) > 0.95
    assert mask.volume_ml == pytest.approx(4 / 3 * np.pi * 18**3 / 1000, rel=0.03)


@pytest.fixture(scope="module")
def drawn() -> Ball:
    return ball(UNEVEN, 10.0)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory, drawn: Ball) -> list[pydicom.Dataset]:
    return series(tmp_path_factory.mktemp("seg") / "ct", drawn)


def test_fractions_from_one_half_on(tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]) -> None:
    shares = np.random.default_rng(2).random(drawn.mask().shape) * drawn.mask()
    for largest in (255, 200, 3):
        path = write_seg(tmp_path / f"{largest}.dcm", slices, shares, kind="FRACTIONAL", max_fractional_value=largest)
        expected = np.around(shares * largest) / largest >= 0.5
        assert np.array_equal(read(path, drawn.stack).voxels_zyx, expected)
        assert 0 < expected.sum() < drawn.mask().sum()
    dataset = pydicom.dcmread(path)
    dataset.MaximumFractionalValue = 0
    dataset.save_as(path)
    assert refused(path, slices_of(drawn.stack)).kind == "unreadable_file"


def test_a_label_map_object(tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]) -> None:
    labels = drawn.mask()
    labels[:, :, :40] *= 2
    path = write_seg(tmp_path / "labels.dcm", slices, labels, ("clot", "edema"), "LABELMAP")
    assert pydicom.dcmread(path).SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert np.array_equal(read(path, drawn.stack, segment="clot").voxels_zyx, labels == 1)
    assert np.array_equal(read(path, drawn.stack, label=2).voxels_zyx, labels == 2)
    assert refused(path, slices_of(drawn.stack)).kind == "ambiguous_mask"


def test_overlapping_segments_and_sparse_frames_in_any_order(
    tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]
) -> None:
    one, two = drawn.mask(), drawn.mask()
    one[:6], two[:, 30:] = 0, 0
    one[8] = 0
    assert (one & two).any()
    path = write_seg(tmp_path / "two.dcm", slices, np.stack([one, two], axis=-1), ("one", "two"))
    assert np.array_equal(read(path, drawn.stack, segment="one").voxels_zyx, one)
    assert np.array_equal(read(path, drawn.stack, segment="two").voxels_zyx, two)
    # highdicom itself, of the frames that are there
    written = highdicom.seg.segread(path)
    uids = [dataset.SOPInstanceUID for dataset in slices]
    theirs = written.get_pixels_by_source_instance(uids, segment_numbers=[1], assert_missing_frames_are_empty=True)
    assert np.array_equal(theirs[..., 0], one)


def test_compressed_frames_and_pixels_that_fill_no_byte(tmp_path: Path) -> None:
    drawn = ball()
    odd = replace(drawn, stack=replace(drawn.stack, columns=77, rows=71))
    slices = series(tmp_path / "ct", odd)
    plain = write_seg(tmp_path / "plain.dcm", slices, odd.mask())
    assert np.array_equal(read(plain, odd.stack).voxels_zyx, odd.mask())
    shares = write_seg(tmp_path / "shares.dcm", slices, odd.mask().astype(float), kind="FRACTIONAL")
    for plugin, syntax in [
        ("pydicom", pydicom.uid.RLELossless),
        ("pyjpegls", pydicom.uid.JPEGLSLossless),
        ("pylibjpeg", pydicom.uid.JPEG2000Lossless),
    ]:
        dataset = pydicom.dcmread(shares)
        dataset.compress(syntax, encoding_plugin=plugin)
        dataset.save_as(tmp_path / f"{plugin}.dcm")
        assert np.array_equal(read(tmp_path / f"{plugin}.dcm", odd.stack).voxels_zyx, odd.mask())


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("flip_x", "flip_y"), [(False, False), (True, False), (True, True)])
def test_frames_that_run_another_way_over_the_same_slices(
    tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset], flip_x: bool, flip_y: bool, turned: bool
) -> None:
    """Cropped, mirrored and transposed frames: pixels of the same slices all the same."""
    stack = drawn.stack
    row, column = np.array(stack.row_axis), np.array(stack.column_axis)
    low = np.array([7, 5])
    pixels = drawn.mask()[:, 5:60, 7:77]
    corner = low + np.array([69 if flip_x else 0, 54 if flip_y else 0])
    pixels = pixels[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]
    axes = (-row if flip_x else row), (-column if flip_y else column)
    spacing = stack.pixel_mm
    if turned:
        pixels, axes, spacing = pixels.transpose(0, 2, 1), axes[::-1], spacing[::-1]
    positions = np.array(stack.positions_mm) + corner[0] * 0.9 * row + corner[1] * 0.8 * column
    path = write_seg(
        tmp_path / "seg.dcm",
        slices,
        np.ascontiguousarray(pixels),
        pixel_measures=highdicom.PixelMeasuresSequence((spacing[1], spacing[0]), 4.0),
        plane_orientation=highdicom.PlaneOrientationSequence("PATIENT", [*axes[0], *axes[1]]),
        plane_positions=[highdicom.PlanePositionSequence("PATIENT", position) for position in positions.round(6)],
    )
    mask = read(path, stack)
    assert isinstance(mask.place, SliceStack)
    expected = np.zeros_like(drawn.mask())
    expected[:, 5:60, 7:77] = drawn.mask()[:, 5:60, 7:77]
    assert np.array_equal(mask.voxels_zyx, expected)


def test_frames_of_larger_pixels_lie_on_slices_of_their_own(tmp_path: Path) -> None:
    drawn = ball()
    stack = replace(drawn.stack, columns=40, rows=36, pixel_mm=(1.8, 1.6))
    coarse = Ball(stack, drawn.center_mm)
    path = write_seg(tmp_path / "seg.dcm", series(tmp_path / "ct", coarse), coarse.mask())
    mask = read(path, drawn.stack)
    assert mask.flags == ("other_slices",)
    grid = stored_grid(drawn.stack, (0.5, 0.5, 5.0))
    placed, truth = place_mask(mask.voxels_zyx, mask.place, grid).astype(bool), drawn.on(grid)
    assert 2 * (placed & truth).sum() / (placed.sum() + truth.sum()) > 0.94


def test_another_frame_of_reference_is_refused(tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]) -> None:
    path = write_seg(tmp_path / "seg.dcm", slices, drawn.mask())
    own = str(slices[0].FrameOfReferenceUID)
    assert read_mask(roi(path), lambda: slices_of(drawn.stack, own)).voxels_zyx.any()
    error = refused(path, slices_of(drawn.stack, "1.2.3.4", str(slices[0].SeriesInstanceUID)))
    assert (error.kind, own in error.private) == ("other_frame_of_reference", True)
    assert "1.2.3.4" not in error.message
    assert read_mask(roi(path), lambda: slices_of(drawn.stack)).voxels_zyx.any()  # an image file knows of none


def test_a_mask_beside_the_image_is_refused(tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]) -> None:
    path = write_seg(tmp_path / "seg.dcm", slices, drawn.mask())
    stack = drawn.stack
    row, column = np.array(stack.row_axis) * 0.9, np.array(stack.column_axis) * 0.8

    def moved(x: int, y: int) -> ImageSlices:
        positions = np.array(stack.positions_mm) + x * row + y * column
        return slices_of(replace(stack, positions_mm=tuple(map(tuple, positions.tolist()))))

    assert refused(path, moved(80, 0)).kind == "mask_outside_image"
    assert refused(path, moved(40, 0)).kind == "mask_cut"
    assert read_mask(roi(path), lambda: moved(5, -3)).voxels_zyx.sum() == drawn.mask().sum()


def test_what_is_wrong_with_an_object(tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]) -> None:
    path, image = write_seg(tmp_path / "seg.dcm", slices, drawn.mask()), slices_of(drawn.stack)

    def changed(change) -> str:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(tmp_path / "changed.dcm")
        return refused(tmp_path / "changed.dcm", image).kind

    frames = "PerFrameFunctionalGroupsSequence"
    assert changed(lambda dataset: setattr(dataset, "NumberOfFrames", 2)) == "unreadable_file"
    assert changed(lambda dataset: setattr(dataset, "Rows", 100)) == "unreadable_file"
    assert changed(lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:300])) == "unreadable_file"
    assert changed(lambda dataset: setattr(dataset, "PixelData", bytes(len(dataset.PixelData)))) == "empty_mask"
    assert changed(lambda dataset: dataset.__delattr__("PixelData")) == "unreadable_file"
    assert changed(lambda dataset: dataset.__delattr__(frames)) == "unreadable_file"
    assert changed(lambda dataset: (dataset.__delattr__(frames), setattr(dataset, "NumberOfFrames", 0))) == "empty_mask"
    assert changed(lambda dataset: setattr(dataset, "SegmentSequence", [])) == "empty_mask"
    assert changed(lambda dataset: setattr(dataset, "SegmentationType", "SURFACE")) == "unsupported_mask"
    assert (
        changed(lambda dataset: setattr(dataset, "SOPClassUID", pydicom.uid.SecondaryCaptureImageStorage))
        == "unsupported_mask"
    )

    def tear(dataset: pydicom.Dataset) -> None:
        dataset[frames].value[1].PlanePositionSequence[0].ImagePositionPatient = [0, 0, float("nan")]

    def turn(dataset: pydicom.Dataset) -> None:
        dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [
            1,
            0,
            0,
            1,
            0,
            0,
        ]

    assert changed(tear) == "bad_geometry"
    assert changed(turn) == "bad_geometry"


def test_the_only_object_of_a_folder(tmp_path: Path, drawn: Ball, slices: list[pydicom.Dataset]) -> None:
    folder = tmp_path / "study"
    path = write_seg(tmp_path / "seg.dcm", slices, drawn.mask())
    series(folder / "ct", drawn)
    (folder / "notes.txt").write_text("read me")
    image = slices_of(drawn.stack)
    assert refused(folder, image).kind == "no_mask_object"
    (folder / "seg").mkdir()
    shutil.copy(path, folder / "seg" / "IM0001")
    assert np.array_equal(read_mask(roi(folder), lambda: image).voxels_zyx, drawn.mask())
    shutil.copy(path, folder / "again.dcm")
    assert refused(folder, image).kind == "several_mask_objects"


@pytest.mark.parametrize("equal", [True, False])
def test_frames_of_one_segment_and_place_must_be_equal(tmp_path: Path, equal: bool) -> None:
    """As of two times: both together were read as one outline."""
    drawn = ball()
    later = drawn.mask() if equal else np.roll(drawn.mask(), 3, axis=2)
    slices = series(tmp_path / "ct", drawn)
    path = write_seg(tmp_path / "seg.dcm", slices, np.stack([drawn.mask(), later], axis=-1), ("clot", "later"))
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1
    dataset.save_as(path)
    if equal:
        assert np.array_equal(read(path, drawn.stack, label=1).voxels_zyx, drawn.mask())
    else:
        error = refused(path, slices_of(drawn.stack), label=1)
        assert (error.kind, "that differ lie at one place" in error.message) == ("unreadable_file", True)
