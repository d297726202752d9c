"""NIfTI, NRRD and MetaImage: places as the formats' own texts define them, and values that cannot be HU."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.ingest import image_files, nifti, read_volume
from cvtbatch.ingest.image_files import read_image_file
from tests.support.archives import tiny_head
from tests.support.nifti_files import HU, SHAPE, nifti1
from tests.support.paths import DATA
from tests.support.series import case, refused

SROW = (0.0, -0.5, 0.0, 10.0, 0.6, 0.0, 0.0, -20.0, 0.0, 0.0, 5.0, 30.0)


def point(path: Path, i: int, j: int, k: int) -> list[float]:
    """Return where a voxel lies as read, LPS mm."""
    stack = read_volume(case(path)).stack
    position = np.array(stack.positions_mm[k])
    return (
        position
        + i * stack.pixel_mm[0] * np.array(stack.row_axis)
        + j * stack.pixel_mm[1] * np.array(stack.column_axis)
    ).tolist()


def ras(x: float, y: float, z: float) -> list[float]:
    return [-x, -y, z]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_sform_before_pixdim(tmp_path: Path, name: str, order: str) -> None:
    """x = srow_x . (i, j, k, 1), and so on; its spacing is its own, whatever pixdim says."""
    path = nifti1(tmp_path / name, order=order, sform_code=1, srow=SROW, pixdim=(1, 9, 9, 9, 1, 1, 1, 1))
    assert np.array_equal(read_volume(case(path)).hu_zyx, HU)
    for i, j, k in [(0, 0, 0), (3, 0, 0), (1, 2, 3)]:
        assert point(path, i, j, k) == pytest.approx(ras(-0.5 * j + 10, 0.6 * i - 20, 5 * k + 30), abs=1e-5)


@pytest.mark.parametrize(
    ("quatern", "qfac", "axes"),
    [
        ((0, 0, 0), 1, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ((0, 0, 0), -1, [[1, 0, 0], [0, 1, 0], [0, 0, -1]]),
        ((0, 0, 0), 0, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ((0, 0, 1), 1, [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]),
        ((0, 0, np.sqrt(0.5)), 1, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),  # a quarter turn about z
        ((np.sqrt(0.5), 0, 0), 1, [[1, 0, 0], [0, 0, 1], [0, -1, 0]]),  # a quarter turn about x
    ],
)
def test_qform(tmp_path: Path, quatern: tuple[float, ...], qfac: float, axes: list[list[float]]) -> None:
    """Turns whose axes are known without the formula; `axes` are those of i, j and k."""
    pixdim = (qfac, 0.5, 0.6, 5, 1, 1, 1, 1)
    path = nifti1(tmp_path / "a.nii", qform_code=1, quatern=quatern, qoffset=(1.0, 2.0, 3.0), pixdim=pixdim)
    expected = np.array([1, 2, 3]) + np.array([2 * 0.5, 3 * 0.6, 1 * 5.0]) @ np.array(axes)
    assert point(path, 2, 3, 1) == pytest.approx(ras(*expected), abs=1e-5)


def test_without_either_form_pixdim_is_all_there_is(tmp_path: Path) -> None:
    assert point(nifti1(tmp_path / "a.nii"), 2, 3, 1) == pytest.approx(ras(1.0, 1.8, 5.0), abs=1e-5)


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (2 | 8, 1)])
def test_units(tmp_path: Path, unit: int, factor: float) -> None:
    srow = tuple(value / factor for value in SROW)
    path = nifti1(tmp_path / "a.nii", sform_code=1, srow=srow, xyzt_units=unit)
    assert point(path, 1, 2, 3) == pytest.approx(ras(9, -19.4, 45), abs=1e-3)


def test_nifti_agrees_with_simpleitk_where_simpleitk_is_right(tmp_path: Path) -> None:
    ct, _ = tiny_head(1)
    ct.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3).GetMatrix())
    ct.SetOrigin((-31.0, 12.0, 7.0))
    sitk.WriteImage(ct, str(tmp_path / "a.nii.gz"))
    image = read_image_file(tmp_path / "a.nii.gz").image
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(ct))
    for index in [(0, 0, 0), (63, 0, 5), (10, 63, 11)]:
        assert image.TransformIndexToPhysicalPoint(index) == pytest.approx(
            ct.TransformIndexToPhysicalPoint(index), abs=1e-4
        )


def test_a_sheared_sform_is_a_tilted_stack(tmp_path: Path) -> None:
    shear = (0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 1.5, 0.0, 0.0, 0.0, 5.0, 0.0)
    stack = read_volume(case(nifti1(tmp_path / "a.nii", sform_code=1, srow=shear))).stack
    assert stack.tilt_deg() == pytest.approx(np.degrees(np.arctan(1.5 / 5)))
    assert np.allclose(stack.gaps_mm(), 5)
    skew = (0.5, 0.2, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0)
    assert refused(nifti1(tmp_path / "b.nii", sform_code=1, srow=skew)).kind == "bad_orientation"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"sform_code": 1, "srow": (np.nan, *SROW[1:])}, "bad_geometry"),
        ({"sform_code": 1, "srow": (0.0,) * 12}, "bad_geometry"),
        ({"sform_code": 1, "srow": (1.0, 1.0, 0, 0, 0, 0, 0.5, 0, 0, 0, 5.0, 0)}, "bad_geometry"),
        ({"qform_code": 1, "pixdim": (1, 0, 0.6, 5, 1, 1, 1, 1)}, "bad_geometry"),
        ({"qform_code": 1, "pixdim": (1, np.nan, 0.6, 5, 1, 1, 1, 1)}, "bad_geometry"),
        ({"pixdim": (1, 0.5, 0.6, np.inf, 1, 1, 1, 1)}, "bad_geometry"),
        ({"sform_code": 1, "srow": SROW, "xyzt_units": 5}, "bad_geometry"),
        ({"dim": (4, 6, 5, 2, 2, 1, 1, 1)}, "not_a_volume"),
        ({"dim": (2, 6, 20, 1, 1, 1, 1, 1)}, "not_a_volume"),
        ({"dim": (3, 120, 1, 1, 1, 1, 1, 1)}, "single_slice"),
        ({"dim": (3, -6, 5, 4, 1, 1, 1, 1)}, "not_a_volume"),
        ({"dim": (9, 6, 5, 4, 1, 1, 1, 1)}, "not_a_volume"),
        ({"dim": (3, 6, 5, 5, 1, 1, 1, 1)}, "unreadable_file"),
        ({"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)}, "too_large"),
        ({"dim": (3, 1000, 1000, 1000, 1, 1, 1, 1)}, "unreadable_file"),
        ({"vox_offset": 0.0}, "unreadable_file"),
        ({"vox_offset": 344.0}, "unreadable_file"),
        ({"datatype": 32}, "not_a_volume"),
        ({"datatype": 128}, "not_a_volume"),
        ({"datatype": 0}, "not_a_volume"),
        ({"scl_slope": 2.0, "scl_inter": np.nan}, "not_hounsfield"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, fields: dict[str, object], kind: str) -> None:
    assert refused(nifti1(tmp_path / "a.nii", **fields)).kind == kind


def test_four_dimensions_with_one_frame_and_nifti_2(tmp_path: Path) -> None:
    path = nifti1(tmp_path / "a.nii", dim=(5, *SHAPE[::-1], 1, 1, 1, 1), sform_code=1, srow=SROW)
    assert np.array_equal(read_volume(case(path)).hu_zyx, HU)
    header = bytearray(544)
    struct.pack_into("<i", header, 0, 540)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    struct.pack_into("<hh", header, 12, 4, 16)
    struct.pack_into("<8q", header, 16, 3, *SHAPE[::-1], 1, 1, 1, 1)
    struct.pack_into("<8d", header, 104, 1, 9, 9, 9, 1, 1, 1, 1)
    struct.pack_into("<qdd", header, 168, 544, 0, 0)
    struct.pack_into("<ii", header, 344, 0, 1)
    struct.pack_into("<12d", header, 400, *SROW)
    struct.pack_into("<i", header, 500, 2)
    (tmp_path / "b.nii").write_bytes(bytes(header) + HU.tobytes())
    assert np.array_equal(read_volume(case(tmp_path / "b.nii")).hu_zyx, HU)
    assert point(tmp_path / "b.nii", 1, 2, 3) == pytest.approx(point(path, 1, 2, 3), abs=1e-5)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (0.75, -500.0), (np.nan, 0.0), (0.0, 7.0)])
def test_scaling(tmp_path: Path, slope: float, intercept: float) -> None:
    stored = (HU + 1024).astype(np.uint16) if slope == 1 else HU
    values = read_volume(
        case(nifti1(tmp_path / "a.nii", stored, 512 if slope == 1 else 4, scl_slope=slope, scl_inter=intercept))
    ).hu_zyx
    expected = HU if slope != 0.75 else np.maximum(HU * 0.75 - 500, -1024)
    assert np.allclose(values, expected, atol=1e-4)


def test_a_gzip_bomb_takes_no_memory(tmp_path: Path) -> None:
    """What the header does not promise is not unpacked."""
    path = nifti1(tmp_path / "a.nii", dim=(3, 32767, 32767, 2, 1, 1, 1, 1))
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(path.read_bytes()[:352])
    body = b"".join(packer.compress(bytes(1 << 24)) for _ in range(2)) + packer.flush()
    (tmp_path / "b.nii.gz").write_bytes(head + body)
    assert refused(tmp_path / "b.nii.gz").kind == "too_large"


def nrrd(path: Path, **fields: str) -> Path:
    """Write an NRRD file by the format's text (teem.sourceforge.net/nrrd/format.html)."""
    lines = {
        "type": "int16", "dimension": "3", "space": "left-posterior-superior", "sizes": "6 5 4",
        "space directions": "(0,0.6,0) (-0.5,0,0) (0,0,5)", "kinds": "domain domain domain", "endian": "little",
        "encoding": "raw", "space origin": "(1,2,3)", **fields,
    }  # fmt: skip
    header = "NRRD0005\n" + "".join(f"{name}: {value}\n" for name, value in lines.items() if value)
    path.write_bytes(header.encode() + b"\n" + HU.tobytes())
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (1, 1, 1)), ("RAS", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1))],
)
def test_nrrd_spaces(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    path = nrrd(tmp_path / "a.nrrd", space=space)
    expected = np.array([1 - 0.5 * 2, 2 + 0.6 * 3, 3 + 5.0]) * signs
    assert point(path, 3, 2, 1) == pytest.approx(expected.tolist(), abs=1e-9)
    assert np.array_equal(read_volume(case(path)).hu_zyx, HU)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"space": ""}, "missing_geometry"),
        ({"space": "scanner-xyz"}, "missing_geometry"),
        ({"space directions": "", "spacings": "1 1 5"}, "missing_geometry"),
        ({"space directions": "(0,0.6,0) (-0.5,0,0) none"}, "missing_geometry"),
        ({"space origin": ""}, "missing_geometry"),
        ({"space units": '"furlong" "furlong" "furlong"'}, "bad_geometry"),
        ({"space units": '"mm" "mm" "cm"'}, "bad_geometry"),
        ({"space directions": "(0,nan,0) (-0.5,0,0) (0,0,5)"}, "unreadable_file"),
        ({"sizes": "65535 65535 65535"}, "too_large"),
        ({"sizes": "1000 1000 1000"}, "unreadable_file"),
        ({"sizes": "6 5 -4"}, "unreadable_file"),
        (
            {
                "dimension": "4",
                "sizes": "2 3 5 4",
                "kinds": "list domain domain domain",
                "space directions": "none (1,0,0) (0,1,0) (0,0,1)",
            },
            "not_a_volume",
        ),
    ],
)
def test_nrrd_that_is_refused(tmp_path: Path, fields: dict[str, str], kind: str) -> None:
    assert refused(nrrd(tmp_path / "a.nrrd", **fields)).kind == kind


def test_nrrd_units(tmp_path: Path) -> None:
    path = nrrd(
        tmp_path / "a.nrrd", **{"space units": '"cm" "cm" "cm"', "space directions": "(0.06,0,0) (0,0.05,0) (0,0,0.5)"}
    )
    assert point(path, 3, 2, 1) == pytest.approx([10 + 1.8, 20 + 1.0, 30 + 5.0])


def metaimage(path: Path, lines: str) -> Path:
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    )
    path.write_bytes(f"{header}{lines}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n".encode() + HU.tobytes())
    return path


@pytest.mark.parametrize("names", [("TransformMatrix", "Offset"), ("Orientation", "Position"), ("Rotation", "Origin")])
def test_metaimage_axes_stand_one_after_another(tmp_path: Path, names: tuple[str, str]) -> None:
    """The matrix lists the axes of i, j and k; AnatomicalOrientation describes it, and moves nothing."""
    placed = f"{names[0]} = 0 1 0 -1 0 0 0 0 1\n{names[1]} = 1 2 3\n"
    lines = f"{placed}ElementSpacing = 0.6 0.5 5\nAnatomicalOrientation = RAS\nDimSize = 6 5 4"
    assert point(metaimage(tmp_path / "a.mha", lines), 3, 2, 1) == pytest.approx([0.0, 3.8, 8.0])


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("Offset = 0 0 0\nDimSize = 6 5 4", "missing_geometry"),
        ("ElementSpacing = 0.5 0.5 5\nDimSize = 6 5 4", "missing_geometry"),
        (
            "ElementSpacing = 0.5 0.5 5\nOffset = 0 0 0\nDimSize = 6 5 4\nElementToIntensityFunctionSlope = 2",
            "unreadable_file",
        ),
        ("ElementSpacing = 0 0.5 5\nOffset = 0 0 0\nDimSize = 6 5 4", "unreadable_file"),
        ("HeaderSize = 10\nElementSpacing = 0.5 0.5 5\nOffset = 0 0 0\nDimSize = 6 5 4", "unreadable_file"),
        ("ElementSpacing = 0.5 0.5 5\nDimSize = 65535 65535 65535", "too_large"),
        ("ElementSpacing = 0.5 0.5 5\nDimSize = 6 5 400", "unreadable_file"),
        ("ElementSpacing = 0.5 0.5 5\nOffset = 0 0 0\nDistanceUnits = parsec\nDimSize = 6 5 4", "bad_geometry"),
        ("ElementSpacing = 0.5 0.5 5\nOffset = 0 0 0\nElementNumberOfChannels = 2\nDimSize = 6 5 2", "not_a_volume"),
    ],
)
def test_metaimage_that_is_refused(tmp_path: Path, lines: str, kind: str) -> None:
    assert refused(metaimage(tmp_path / "a.mha", lines)).kind == kind


def test_metaimage_units(tmp_path: Path) -> None:
    path = metaimage(
        tmp_path / "a.mha", "ElementSpacing = 500 500 5000\nOffset = 1000 0 0\nDistanceUnits = um\nDimSize = 6 5 4"
    )
    assert point(path, 2, 2, 1) == pytest.approx([2.0, 1.0, 5.0])


def test_compressed_voxels_are_not_unpacked_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "_UNPACKED_LIMIT_BYTES", 1000)
    monkeypatch.setattr(image_files, "_CHUNK_BYTES", 100)
    ct, _ = tiny_head(0)
    for name in ("a.nrrd", "a.mha"):
        sitk.WriteImage(ct, str(tmp_path / name), useCompression=True)
        assert refused(tmp_path / name).kind == "unreadable_file"
    assert nifti.VOXEL_LIMIT == image_files.VOXEL_LIMIT


NO_HU = {
    "8 bit": lambda hu: np.clip(hu, 0, 255).astype(np.uint8),
    "positive": lambda hu: (hu + 1024).astype(np.int16),
    "0 to 1": lambda hu: ((hu + 1024) / 4095).astype(np.float32),
    "0 to 255": lambda hu: ((hu + 1024) / 4095 * 255).astype(np.float32),
    "standardised": lambda hu: ((hu - hu.mean()) / hu.std()).astype(np.float32),
    "windowed": lambda hu: np.clip(hu, -20, 100).astype(np.int16),
    "lost intercept beside padding": lambda hu: np.where(np.arange(hu.shape[2]) < 5, -2000, hu + 1024).astype(np.int16),
}


@pytest.mark.parametrize("name", NO_HU)
def test_what_cannot_be_hu_is_refused_with_the_evidence(tmp_path: Path, name: str) -> None:
    ct, _ = tiny_head(0)
    values = NO_HU[name](sitk.GetArrayFromImage(ct).astype(np.float64))
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(ct)
    for suffix in ("nii.gz", "nrrd", "mha"):
        sitk.WriteImage(image, str(tmp_path / f"a.{suffix}"))
        error = refused(tmp_path / f"a.{suffix}")
        assert error.kind == "not_hounsfield"
        assert (f"{values.max():g}" in error.message) or "cannot hold HU" in error.message


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_integers_and_floats_in_hu_are_read(tmp_path: Path, dtype: type) -> None:
    ct, _ = tiny_head(0)
    for suffix in ("nii.gz", "nrrd", "mha"):
        sitk.WriteImage(sitk.GetImageFromArray(sitk.GetArrayFromImage(ct).astype(dtype)), str(tmp_path / f"a.{suffix}"))
        values = read_volume(case(tmp_path / f"a.{suffix}")).hu_zyx
        assert np.array_equal(values, sitk.GetArrayFromImage(ct))
        assert values.dtype == (np.int16 if np.issubdtype(dtype, np.integer) else np.float32)


def test_color_and_complex_are_refused(tmp_path: Path) -> None:
    ct, _ = tiny_head(0)
    sitk.WriteImage(sitk.Compose([sitk.Cast(ct, sitk.sitkUInt8)] * 3), str(tmp_path / "rgb.nii"))
    sitk.WriteImage(
        sitk.RealAndImaginaryToComplex(sitk.Cast(ct, sitk.sitkFloat32), sitk.Cast(ct, sitk.sitkFloat32)),
        str(tmp_path / "c.nii"),
    )
    assert {refused(tmp_path / name).kind for name in ("rgb.nii", "c.nii")} == {"not_a_volume"}


def test_the_real_outline_lies_where_simpleitk_puts_it() -> None:
    path = DATA / "head_ct_ge_roi.nii.gz"
    image, expected = read_image_file(path).image, sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    corner = [size - 1 for size in expected.GetSize()]
    assert image.TransformIndexToPhysicalPoint(corner) == pytest.approx(
        expected.TransformIndexToPhysicalPoint(corner), abs=1e-3
    )
