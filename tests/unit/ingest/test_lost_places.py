"""Images and masks that were saved as arrays, without the place that they had."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack
from cvtbatch.ingest import read_mask, read_volume
from tests.support.mask_files import ball, roi, slices_of
from tests.support.series import case


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_mask_that_lost_its_place_is_refused_and_one_whose_place_it_is_is_read(tmp_path: Path, suffix: str) -> None:
    """`sitk.GetImageFromArray` without `CopyInformation`: it was placed where its file says, at a tenth of its volume."""
    drawn = ball()
    mask = sitk.GetImageFromArray(drawn.mask())
    path = tmp_path / f"mask{suffix}"
    sitk.WriteImage(mask, str(path))
    with pytest.raises(InputError, match="an array that is saved without a place") as raised:
        read_mask(roi(path), lambda: slices_of(drawn.stack))
    assert raised.value.kind == "missing_geometry"
    for lost, spacing in ((drawn.mask(), (0.9, 0.8, 5.0)), (drawn.mask().T, (1.0, 1.0, 1.0))):
        image = sitk.GetImageFromArray(lost)
        image.SetSpacing(spacing)
        sitk.WriteImage(image, str(path))
        with pytest.raises(InputError, match="an array that is saved without a place"):
            read_mask(roi(path), lambda: slices_of(drawn.stack))
    sitk.WriteImage(mask, str(path))
    places = tuple((0.0, 0.0, float(depth)) for depth in range(len(drawn.mask())))
    own = SliceStack(80, 72, (1.0, 1.0), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), places)
    assert read_mask(roi(path), lambda: slices_of(own)).flags == ()
    mask.SetOrigin((0.0, 0.0, 0.5))
    sitk.WriteImage(mask, str(path))
    assert read_mask(roi(path), lambda: slices_of(drawn.stack)).flags == ("other_slices",)


def test_an_image_that_lost_its_place_is_refused_where_no_head_is_so_large(tmp_path: Path) -> None:
    hu = np.random.default_rng(1).integers(-1000, 1500, (10, 64, 512)).astype(np.int16)
    for columns, refused in ((512, True), (256, False)):
        sitk.WriteImage(sitk.GetImageFromArray(hu[..., :columns]), str(tmp_path / "ct.nii.gz"))
        if refused:
            with pytest.raises(InputError, match="512 x 64 x 10 voxels are 1 mm long"):
                read_volume(case(tmp_path / "ct.nii.gz"))
        else:
            assert np.array_equal(read_volume(case(tmp_path / "ct.nii.gz")).hu_zyx, hu[..., :columns])
