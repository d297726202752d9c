"""The grid of a source as it is, and masks on its voxels: what ITK makes of the same series, and what no grid holds."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.ingest import SourceMask, on_image_voxels, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.mask_files import ball
from tests.support.series import case


@pytest.mark.parametrize("orientation", ["axial", "coronal"])
def test_a_series_has_the_grid_of_itk(tmp_path: Path, orientation: str) -> None:
    drawn = ball((4.1,) * 15, orientation=orientation)
    write_series(tmp_path / "ct", drawn.hu(), drawn.stack, SeriesTags("S", "test", 0.0))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "ct")))
    image = reader.Execute()
    source = read_volume(case(tmp_path / "ct"))
    grid = source.regular_grid()
    assert grid == Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    assert (source.hu_zyx == sitk.GetArrayFromImage(image)).all()
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    file = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))
    assert read_volume(case(tmp_path / "ct.nii.gz")).regular_grid() == Grid(
        file.GetSize(), file.GetSpacing(), file.GetOrigin(), file.GetDirection()
    )


@pytest.mark.parametrize(("gaps", "tilt_deg"), [((4.0,) * 15, 18.5), ((2.5,) * 8 + (5.0,) * 8, 0.0)])
def test_tilted_or_uneven_slices_make_none(tmp_path: Path, gaps: tuple[float, ...], tilt_deg: float) -> None:
    drawn = ball(gaps, tilt_deg)
    write_series(tmp_path / "ct", drawn.hu(), drawn.stack, SeriesTags("S", "test", tilt_deg))
    source = read_volume(case(tmp_path / "ct"))
    with pytest.raises(
        InputError, match=rf"tilted by {tilt_deg} degrees, and {gaps[0]:g} to {gaps[-1]:g} mm apart"
    ) as raised:
        source.regular_grid()
    assert raised.value.kind == "irregular_source"


def test_a_mask_on_the_voxels_of_the_image_is_put_in_their_order() -> None:
    drawn = ball()
    stack, mask = drawn.stack, drawn.mask().astype(np.uint8)
    assert (on_image_voxels(SourceMask(mask, stack, ""), stack) == mask).all()
    axes = np.array([stack.row_axis, stack.column_axis, stack.slice_axis]).T
    last = np.array(stack.positions_mm[-1]) + axes[:, 0] * stack.pixel_mm[0] * (stack.columns - 1)
    turned = Grid(
        (stack.columns, stack.rows, len(mask)),
        (*stack.pixel_mm, 4.0),
        tuple(last.tolist()),
        tuple((axes * (-1, 1, -1)).ravel().tolist()),
    )
    assert (on_image_voxels(SourceMask(mask[::-1, :, ::-1], turned, ""), stack) == mask).all()
    off = Grid(turned.size_xyz, turned.spacing_mm, tuple((last + np.array([0.4, 0, 0])).tolist()), turned.direction)
    with pytest.raises(InputError, match="was drawn on other voxels than the image's") as raised:
        on_image_voxels(SourceMask(mask, off, ""), stack)
    assert raised.value.kind == "grid_mismatch"
