"""Grids as headers tell them, against the grids of decoded volumes."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.ingest.header_grids import file_grid, is_same_grid
from cvtbatch.ingest.label_maps import grid_of
from cvtbatch.ingest.nifti import read_nifti
from tests.support.nifti_files import forms, nifti1

TURNED = (0.0, -1.0, 0.0, 0.8, 0.0, -0.6, 0.6, 0.0, 0.8)


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nii", "m.nrrd", "m.mha"])
def test_a_files_grid_is_that_of_its_voxels(tmp_path: Path, name: str) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.uint8))
    image.SetSpacing((0.5, 0.6, 4.8))
    image.SetOrigin((-100.25, 31.5, 7.0))
    image.SetDirection(TURNED)
    sitk.WriteImage(image, str(tmp_path / name))
    found = file_grid(tmp_path / name)
    assert found is not None
    assert found.size_xyz == (6, 5, 4)
    for axis in range(3):
        index = [0.0, 0.0, 0.0]
        index[axis] = 3.0
        assert np.allclose(
            found.to_point(np.array([index]))[0], image.TransformContinuousIndexToPhysicalPoint(index), atol=1e-4
        )
    whole = sitk.Flip(image, [False, False, True])
    assert is_same_grid(found, grid_of(whole))
    whole.SetOrigin([place + 0.5 for place in whole.GetOrigin()])
    assert not is_same_grid(found, grid_of(whole))


def test_a_file_that_states_two_places_has_none_and_one_that_is_damaged_neither(tmp_path: Path) -> None:
    one = np.array([[0.5, 0, 0, 3], [0, 0.6, 0, 4], [0, 0, 5, 5.0]])
    same = nifti1(tmp_path / "same.nii.gz", **forms(one, 1, one, 1))
    assert file_grid(same) == grid_of(read_nifti(same)[0])
    assert file_grid(nifti1(tmp_path / "two.nii.gz", **forms(one, 1, one + [[0, 0, 0, 9]] * 3, 1))) is None
    for number, content in enumerate((b"", b"\x1f\x8b\x08", b"NRRD0004\nsizes: 4", b"ObjectType = Image\n")):
        for suffix in (".nii.gz", ".nrrd", ".mha"):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(content)
            assert file_grid(path) is None
    assert file_grid(tmp_path / "absent.nrrd") is None
