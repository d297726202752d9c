"""Reading: the real head, series with known answers, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.geometry import SliceStack
from cvtbatch.imaging import resample_stack
from cvtbatch.ingest import image_fingerprint, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.archives import tiny_head
from tests.support.outside_data import outside
from tests.support.series import case, refused


def series(folder: Path, gaps=(5.0,) * 9, name="S", shift_y_per_mm=0.0, slice_axis=1.0) -> np.ndarray:
    """Write a series of 24 x 20 pixels and return its HU."""
    depths = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = tuple((-6.0, float(d * shift_y_per_mm), float(d * slice_axis)) for d in depths)
    column = (0.0, slice_axis, 0.0)
    stack = SliceStack(24, 20, (0.5, 0.5), (1.0, 0.0, 0.0), column, (0.0, 0.0, slice_axis), positions)
    hu = np.random.default_rng(0).integers(-1000, 1500, (len(depths), 20, 24)).astype(np.int16)
    write_series(folder, hu, stack, SeriesTags(name, "test", 0.0))
    return hu


def test_real_head_by_its_own_positions() -> None:
    volume = read_volume(case(outside("head_ct_ge")))
    gaps = volume.stack.gaps_mm()
    assert np.allclose(gaps, [4.002] * 13 + [1.081] + [6.999] * 13, atol=2e-3)
    assert volume.stack.tilt_deg() == pytest.approx(18.5, abs=0.01)
    assert (volume.hu_zyx.shape, volume.hu_zyx.dtype) == ((28, 512, 512), np.int16)
    assert volume.hu_zyx.min() >= -1024  # the padding value is -1500


def test_real_head_positions_are_kept_in_the_stored_grid() -> None:
    """The vertex and the base of the stored volume are where the slices themselves say, to 0.1 mm."""
    source = read_volume(case(outside("head_ct_ge")))
    hu, grid = resample_stack(source.hu_zyx, source.stack, (0.5, 0.5, 5.0))
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in outside("head_ct_ge").glob("*.dcm")]
    for dataset in files:
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        index = grid.to_index(corner[None])[0]
        assert np.abs(grid.to_point(index[None])[0] - corner).max() < 1e-6
        assert -0.01 <= index[1] <= grid.size_xyz[1]
    # The centre of gravity of bone in a source slice, in space, against the stored slices around it.
    for k in (4, 22):
        bone = np.argwhere(source.hu_zyx[k] > 400).mean(axis=0)[::-1] * 0.48828
        position, stack = np.array(source.stack.positions_mm[k]), source.stack
        centre = position + bone[0] * np.array(stack.row_axis) + bone[1] * np.array(stack.column_axis)
        z = grid.to_index(centre[None])[0, 2]
        low = int(np.floor(z))
        rows = [np.argwhere(hu[j] > 400).mean(axis=0)[::-1] for j in (low, low + 1)]
        between = rows[0] * (low + 1 - z) + rows[1] * (z - low)
        assert np.abs(between * 0.5 - grid.to_index(centre[None])[0, :2] * 0.5).max() < 2.5


def test_slices_come_back_in_order_and_exact(tmp_path: Path) -> None:
    hu = series(tmp_path / "s")
    names = sorted((tmp_path / "s").iterdir())
    for number, path in enumerate(reversed(names)):
        path.rename(path.with_name(f"x{number}.ima"))
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.source_format == "DICOM"


def test_rescale_signed_pixels_and_padding(tmp_path: Path) -> None:
    series(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(path)
        stored = np.full((20, 24), 100, np.int16)
        stored[0, 0], stored[1, 1] = -2000, -2000
        stored[2, 2] = -900
        dataset.PixelRepresentation, dataset.RescaleSlope, dataset.RescaleIntercept = 1, "2", "-50"
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        dataset.save_as(path)
    volume = read_volume(case(tmp_path / "s"))
    plane = volume.hu_zyx[0]
    assert (plane[5, 5], plane[0, 0], plane[2, 2]) == (150, -1024, -1024)
    assert volume.clipped_voxels == len(volume.hu_zyx)  # -1850 is clipped, padding is not counted


def test_orders_of_slices_along_either_axis(tmp_path: Path) -> None:
    series(tmp_path / "s", slice_axis=-1.0)
    stack = read_volume(case(tmp_path / "s")).stack
    assert stack.slice_axis == (0.0, 0.0, -1.0)
    assert (stack.gaps_mm() > 0).all()


def test_other_files_and_objects_are_passed_over(tmp_path: Path) -> None:
    hu = series(tmp_path / "s" / "deep" / "er")
    (tmp_path / "s" / "README.txt").write_text("notes")
    report = pydicom.dcmread(next((tmp_path / "s" / "deep" / "er").iterdir()))
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SeriesInstanceUID = "1.2.3"
    report.save_as(tmp_path / "s" / "report")
    assert read_volume(case(tmp_path / "s")).hu_zyx.shape == hu.shape


def test_several_series_need_a_name(tmp_path: Path) -> None:
    series(tmp_path / "s" / "1", name="one")
    series(tmp_path / "s" / "2", name="two", gaps=(4.0,) * 5)
    error = refused(tmp_path / "s")
    assert (error.kind, "10, 6 images" in error.message) == ("several_series", True)
    uid = str(pydicom.dcmread(tmp_path / "s" / "2" / "0001.dcm").SeriesInstanceUID)
    assert uid in error.private
    assert len(read_volume(case(tmp_path / "s", uid)).hu_zyx) == 6
    assert refused(tmp_path / "s", series_uid="1.2.3").kind == "no_such_series"


def test_missing_slices_are_refused_unless_allowed(tmp_path: Path) -> None:
    series(tmp_path / "s")
    (tmp_path / "s" / "0005.dcm").unlink()
    assert refused(tmp_path / "s").kind == "missing_slices"
    assert len(read_volume(case(tmp_path / "s", allow_gaps=True)).hu_zyx) == 9


def edit(folder: Path, **tags: object) -> None:
    path = folder / "0003.dcm"
    dataset = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({"ImageOrientationPatient": ["0", "1", "0", "0", "0", "1"]}, "mixed_orientations"),
        ({"ImagePositionPatient": None}, "missing_geometry"),
        ({"ImagePositionPatient": ["1", "2"]}, "missing_geometry"),
        ({"PixelSpacing": ["0.6", "0.5"]}, "mixed_spacings"),
        ({"Rows": 10, "Columns": 48}, "mixed_sizes"),
        ({"PixelData": b"\0" * 100}, "unreadable_pixels"),
        ({"PixelData": None}, "unreadable_pixels"),
        ({"ImagePositionPatient": ["-6", "0", "5"]}, "duplicate_slices"),
        ({"RescaleIntercept": None}, "missing_rescale"),
        ({"RescaleSlope": None}, "missing_rescale"),
        ({"RescaleSlope": ["1", "2"]}, "missing_rescale"),
        ({"RescaleSlope": "0"}, "not_hounsfield"),
        ({"RescaleSlope": "-1"}, "not_hounsfield"),
        ({"RescaleType": "MGML"}, "not_hounsfield"),
    ],
)
def test_slices_that_build_no_volume(tmp_path: Path, tags: dict[str, object], kind: str) -> None:
    series(tmp_path / "s")
    edit(tmp_path / "s", **tags)
    error = refused(tmp_path / "s")
    # A unit is told by what it is.
    assert (error.kind, "RescaleType" in tags or "0003.dcm" in error.private) == (kind, True)


@pytest.mark.parametrize(("content", "kind"), [(b"", "unreadable_file"), (b"no DICOM at all", "unreadable_file")])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    series(tmp_path / "s")
    (tmp_path / "s" / "0003.dcm").write_bytes(content)
    assert refused(tmp_path / "s").kind == kind


@pytest.mark.parametrize("slice_name", ["0001.dcm", "0005.dcm"])
def test_a_truncated_slice_is_refused_by_name_wherever_it_ends(tmp_path: Path, slice_name: str) -> None:
    """Its header may lack its type or its unit, so that it is of another stack, beside a series that allows gaps."""
    series(tmp_path / "s")
    path = tmp_path / "s" / slice_name
    whole = path.read_bytes()
    for kept in [1, *range(140, len(whole), 24), len(whole) - 1]:
        path.write_bytes(whole[:kept])
        error = refused(tmp_path / "s", allow_gaps=True)
        assert error.kind in {"unreadable_file", "unreadable_pixels", "missing_geometry"}, kept
        assert slice_name in error.private, kept


@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"\0" * 128 + b"DIC"])
def test_a_damaged_file_without_a_suffix_is_not_passed_over(tmp_path: Path, content: bytes) -> None:
    """At the end of a series nothing else would tell."""
    series(tmp_path / "s")
    for path in list((tmp_path / "s").iterdir()):
        path.rename(path.with_suffix(""))
    (tmp_path / "s" / "README").write_text("how this was exported")
    assert len(read_volume(case(tmp_path / "s")).hu_zyx) == 10
    (tmp_path / "s" / "0010").write_bytes(content)
    assert refused(tmp_path / "s").kind == "unreadable_file"


@pytest.mark.parametrize("name", ["ct.nrrd", "ct.mha", "ct.nii.gz"])
def test_damaged_compressed_voxels_are_refused(tmp_path: Path, name: str) -> None:
    """SimpleITK passes over the checksums of all three."""
    sitk.WriteImage(tiny_head(0)[0], str(tmp_path / name), useCompression=True)
    assert read_volume(case(tmp_path / name)).hu_zyx.any()
    data = bytearray((tmp_path / name).read_bytes())
    data[-3000:-2800] = bytes(200)
    (tmp_path / name).write_bytes(data)
    assert refused(tmp_path / name).kind == "unreadable_file"


def test_single_slice_and_no_slice(tmp_path: Path) -> None:
    series(tmp_path / "s", gaps=(5.0,))
    (tmp_path / "s" / "0002.dcm").unlink()
    assert refused(tmp_path / "s").kind == "single_slice"
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "s").mkdir()
    assert refused(tmp_path / "s").kind == "no_ct_series"


@pytest.mark.parametrize(("suffix", "name"), [(".nii.gz", "NIfTI"), (".nrrd", "NRRD"), (".mha", "MetaImage")])
def test_image_files(tmp_path: Path, suffix: str, name: str) -> None:
    ct, _ = tiny_head(0)
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(ct, str(path))
    volume = read_volume(case(path))
    assert np.array_equal(volume.hu_zyx, np.maximum(sitk.GetArrayFromImage(ct), -1024))
    assert (volume.source_format, volume.stack.positions_mm[0]) == (name, ct.GetOrigin())


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_truncated_image_files_are_refused(tmp_path: Path, name: str, kept: float) -> None:
    """SimpleITK reads a truncated NIfTI file as 0, without a word."""
    sitk.WriteImage(tiny_head(0)[0], str(tmp_path / name))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
    assert refused(tmp_path / name).kind == "unreadable_file"


def test_a_nifti_file_is_not_taken_for_its_neighbour(tmp_path: Path) -> None:
    """SimpleITK opens ct.nii when it is asked for ct.nii.gz and both are there."""
    for seed, name in enumerate(("ct.nii", "ct.nii.gz")):
        sitk.WriteImage(tiny_head(seed)[0], str(tmp_path / name))
    for seed, name in enumerate(("ct.nii", "ct.nii.gz")):
        values = read_volume(case(tmp_path / name)).hu_zyx
        assert np.array_equal(values, np.maximum(sitk.GetArrayFromImage(tiny_head(seed)[0]), -1024))


def test_image_files_that_are_no_head_ct(tmp_path: Path) -> None:
    ct, mask = tiny_head(0)
    sitk.WriteImage(mask, str(tmp_path / "m.nii.gz"))
    assert refused(tmp_path / "m.nii.gz").kind == "not_hounsfield"
    sitk.WriteImage(sitk.Compose([ct, ct]), str(tmp_path / "v.nrrd"))
    assert refused(tmp_path / "v.nrrd").kind == "not_a_volume"
    sitk.WriteImage(ct, str(tmp_path / "t.nrrd"))
    data = (tmp_path / "t.nrrd").read_bytes()
    (tmp_path / "t.nrrd").write_bytes(data[: len(data) // 2])
    assert refused(tmp_path / "t.nrrd").kind == "unreadable_file"
    (tmp_path / "x.jpg").write_bytes(b"x")
    assert refused(tmp_path / "x.jpg").kind == "unknown_format"
    values = sitk.GetArrayFromImage(ct).astype(np.float32)
    values[0, 0, 0] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "n.mha"))
    assert refused(tmp_path / "n.mha").kind == "non_finite_voxels"


def test_digest_follows_voxels_and_geometry(tmp_path: Path) -> None:
    ct, _ = tiny_head(0)

    def digest(name: str) -> str:
        sitk.WriteImage(ct, str(tmp_path / name))
        return read_volume(case(tmp_path / name)).image_digest()

    first = digest("a.nrrd")
    assert digest("b.mha") == first
    ct.SetSpacing((1.0, 1.0, 5.5))
    assert digest("c.nrrd") != first
    ct.SetSpacing((1.0, 1.0, 5.0))
    ct[3, 3, 3] = 99
    assert digest("d.nrrd") != first


def test_fingerprint_follows_files_and_selectors(tmp_path: Path) -> None:
    series(tmp_path / "s")
    first = image_fingerprint(case(tmp_path / "s"))
    assert image_fingerprint(case(tmp_path / "s")) == first
    assert image_fingerprint(case(tmp_path / "s", series_uid="1.2")) != first
    assert image_fingerprint(case(tmp_path / "s", allow_gaps=True)) != first
    (tmp_path / "s" / "0003.dcm").touch()
    touched = image_fingerprint(case(tmp_path / "s"))
    assert touched != first
    (tmp_path / "s" / "0003.dcm").rename(tmp_path / "s" / "3.dcm")
    assert image_fingerprint(case(tmp_path / "s")) != touched


def test_fingerprint_tells_files_of_equal_size_and_time_apart(tmp_path: Path) -> None:
    import os

    names = [tmp_path / name for name in ("a.nii", "b.nii")]
    for path in names:
        path.write_bytes(b"same size")
        os.utime(path, ns=(1, 1))
    assert image_fingerprint(case(names[0])) != image_fingerprint(case(names[1]))


def test_names_that_are_no_text_and_links_that_lead_nowhere_do_not_stop_a_series(tmp_path: Path) -> None:
    import os

    hu = series(tmp_path / "s")
    first = image_fingerprint(case(tmp_path / "s"))
    os.rename(os.fsencode(tmp_path / "s" / "0003.dcm"), os.fsencode(tmp_path / "s") + b"/M\xfcller.dcm")  # noqa: PTH104
    (tmp_path / "s" / ".#lock").symlink_to(tmp_path / "nowhere")
    (tmp_path / "s" / "._0001.dcm").write_bytes(b"\x00\x05\x16\x07")
    second = image_fingerprint(case(tmp_path / "s"))
    assert second != first
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
    (tmp_path / "s" / "0004.dcm").touch()
    assert image_fingerprint(case(tmp_path / "s")) != second


def test_headers_of_voxels_that_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    ct, _ = tiny_head(0)
    sitk.WriteImage(ct, str(tmp_path / "ct.mhd"))
    assert refused(tmp_path / "ct.mhd").kind == "unknown_format"
    header = (tmp_path / "ct.mhd").read_text()
    (tmp_path / "local.raw").write_bytes((tmp_path / "ct.raw").read_bytes())
    for name in ("ct.raw", "local.raw"):
        for lead in ("", " "):
            changed = header.replace("ElementDataFile = ct.raw", f"{lead}ElementDataFile = {name}")
            (tmp_path / "x.mha").write_text(changed)
            assert refused(tmp_path / "x.mha").kind == "detached_data"
    sitk.WriteImage(ct, str(tmp_path / "ct.nhdr"))
    (tmp_path / "ct.nhdr").rename(tmp_path / "x.nrrd")
    assert refused(tmp_path / "x.nrrd").kind == "detached_data"


def test_suffixes_in_capitals(tmp_path: Path) -> None:
    sitk.WriteImage(tiny_head(0)[0], str(tmp_path / "ct.nii.gz"))
    (tmp_path / "ct.nii.gz").rename(tmp_path / "CT.NII.GZ")
    assert read_volume(case(tmp_path / "CT.NII.GZ")).source_format == "NIfTI"
