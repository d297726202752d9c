"""The backbone's input, against torchvision and torch."""

import numpy as np
import pytest

from cvtbatch.embedding.preprocessing import Preprocessing, prepare_slices, resize
from cvtbatch.errors import InputError

SPACING_MM = (0.5, 0.5, 5.0)


def a_volume(seed: int, shape: tuple[int, int, int] = (6, 120, 150)) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and a mask whose slices 1 to 4 have 200, 400, 400 and 100 voxels."""
    hu = np.random.default_rng(seed).integers(-100, 150, shape).astype(np.int16)
    mask = np.zeros(shape, np.uint8)
    for z, rows in zip(range(1, 5), (10, 20, 20, 5), strict=True):
        mask[z, 40 : 40 + rows, 70:90] = 1
    return hu, mask


@pytest.mark.parametrize("shape", [(500, 500), (460, 511), (224, 224), (224, 300), (100, 150), (13, 700), (1, 3)])
def test_resize_is_torchvisions(shape: tuple[int, int]) -> None:
    import torch
    from torchvision.transforms import functional

    image = np.random.default_rng(shape[0]).random(shape)
    stock = functional.resize(torch.tensor(image)[None], [224, 224], antialias=True)[0].numpy()
    np.testing.assert_allclose(resize(image), stock, rtol=0, atol=1e-12)


def test_the_input_is_what_torchvision_makes_of_the_windowed_slice() -> None:
    import torch
    from torchvision.transforms import functional

    hu, mask = a_volume(0)
    slices = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing(level_hu=35, width_hu=100))
    windowed = torch.tensor((np.clip(hu[1:5].astype(np.float64), -15, 85) + 15) / 100)
    stock = functional.resize(windowed, [224, 224], antialias=True).numpy()
    assert slices.gray.dtype == np.float32
    np.testing.assert_allclose(slices.gray, stock, rtol=0, atol=1e-7)
    assert (slices.gray.min() >= 0, slices.gray.max() <= 1) == (True, True)


def test_every_slice_with_hematoma_is_there_and_the_first_of_equals_is_the_largest() -> None:
    hu, mask = a_volume(1)
    slices = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing())
    assert slices.index == (1, 2, 3, 4)
    assert slices.area_mm2 == (50.0, 100.0, 100.0, 25.0)
    assert (slices.largest, slices.smallest) == (2, 4)
    alone = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing(), "largest")
    others = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing(), "others")
    assert (alone.index, alone.area_mm2) == ((2,), (100.0,))
    assert (others.index, others.area_mm2) == ((1, 3, 4), (50.0, 100.0, 25.0))
    assert {(part.largest, part.smallest) for part in (alone, others)} == {(2, 4)}
    np.testing.assert_array_equal(alone.gray, slices.gray[[1]])
    np.testing.assert_array_equal(others.gray, slices.gray[[0, 2, 3]])


def test_of_equal_slices_the_last_is_the_smallest_and_a_single_one_is_both() -> None:
    hu, mask = a_volume(1)
    mask[[1, 4]] = 0
    equal = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing())
    assert (equal.index, equal.largest, equal.smallest) == ((2, 3), 2, 3)
    mask[3] = 0
    single = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing(), "largest")
    assert (single.index, single.largest, single.smallest) == ((2,), 2, 2)


@pytest.mark.parametrize(("margin_mm", "voxels"), [(0.0, 0), (3.0, 6), (3.2, 7)])
def test_the_roi_field_is_the_box_of_the_whole_roi_and_its_margin(margin_mm: float, voxels: int) -> None:
    hu, mask = a_volume(2)
    crop = hu[:, 40 - voxels : 60 + voxels, 70 - voxels : 90 + voxels]
    cropped = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing(field="roi", margin_mm=margin_mm))
    whole = prepare_slices(
        mask[:, 40 - voxels : 60 + voxels, 70 - voxels : 90 + voxels],
        lambda index: crop[index],
        SPACING_MM,
        Preprocessing(),
    )
    np.testing.assert_array_equal(cropped.gray, whole.gray)


def test_a_margin_ends_at_the_edge_of_the_slice() -> None:
    hu, mask = a_volume(3)
    wide = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing(field="roi", margin_mm=500))
    whole = prepare_slices(mask, lambda index: hu[index], SPACING_MM, Preprocessing())
    np.testing.assert_array_equal(wide.gray, whole.gray)


def test_an_empty_mask_is_refused() -> None:
    hu, mask = a_volume(4)
    with pytest.raises(InputError, match="the stored mask is empty"):
        prepare_slices(mask * 0, lambda index: hu[index], SPACING_MM, Preprocessing())
