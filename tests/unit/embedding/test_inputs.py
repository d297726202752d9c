"""What other networks than image networks of one window see, against torch and against the slow, obvious way."""

import numpy as np
import pytest

from cvtbatch.embedding.inputs import WINDOWS, NetworkInput
from cvtbatch.embedding.preprocessing import Preprocessing, prepare_slices
from cvtbatch.errors import InputError
from tests.unit.embedding.test_preprocessing import SPACING_MM, a_volume

BRAIN, BLOOD, BONE = WINDOWS["brain"], WINDOWS["blood"], WINDOWS["bone"]
CLIP = NetworkInput("box", side=56, depth=16)


def under(hu: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return every slice under one window alone."""
    mask = np.ones(hu.shape, np.uint8)
    return prepare_slices(mask, lambda index: hu[list(index)], SPACING_MM, Preprocessing(*window)).gray


def test_the_default_is_specified_as_it_always_was() -> None:
    assert Preprocessing().settings() == {
        "window": {"level_hu": 40.0, "width_hu": 80.0},
        "field": {"kind": "slice"},
        "slices": "all that the mask touches; the first of those with the largest area is the largest",
        "resize": {"size_yx": [224, 224], "filter": "bilinear, antialiased", "aspect": "not kept"},
        "channels": {"equal": 3, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    }


def test_three_windows_are_the_three_slices_that_each_gives_alone() -> None:
    hu, mask = a_volume(2)
    preprocessing = Preprocessing(windows=(BRAIN, BLOOD, BONE))
    slices = prepare_slices(mask, lambda index: hu[list(index)], SPACING_MM, preprocessing)
    alone = np.stack([under(hu, window)[1:5] for window in (BRAIN, BLOOD, BONE)], axis=1)
    np.testing.assert_array_equal(slices.gray, alone)
    assert preprocessing.settings()["windows"] == [[40.0, 80.0], [60.0, 40.0], [600.0, 2800.0]]
    assert "window" not in preprocessing.settings()


@pytest.mark.parametrize("part", ["all", "largest", "others"])
def test_neighbours_are_the_slices_below_and_above_and_at_an_end_the_slice_itself(part: str) -> None:
    hu, mask = a_volume(3)
    mask[0] = mask[1]  # the lowest slice of the volume has none below
    preprocessing = Preprocessing(taken=NetworkInput("neighbours"))
    read: list[int] = []

    def read_slices(index: list[int]) -> np.ndarray:
        read.extend(index)
        return hu[index]

    slices = prepare_slices(mask, read_slices, SPACING_MM, preprocessing, part)  # type: ignore[arg-type]
    whole = under(hu, (40, 80))
    stacked = np.stack([whole[[max(z - 1, 0), z, z + 1]] for z in slices.index])
    np.testing.assert_array_equal(slices.gray, stacked)
    assert len(set(read)) == len(read)


@pytest.mark.parametrize("windows", [(), (BRAIN, BLOOD, BONE)])
def test_a_box_is_what_torch_makes_of_the_slices_that_the_outline_spans(
    windows: tuple[tuple[float, float], ...],
) -> None:
    import torch
    from torch.nn import functional

    hu, mask = a_volume(4)
    mask[2] = 0  # a gap in the outline is part of the box
    preprocessing = Preprocessing(windows=windows, taken=CLIP)
    box = prepare_slices(mask, lambda index: hu[list(index)], SPACING_MM, preprocessing)
    given = np.stack([np.clip((hu[1:5] - (level - width / 2)) / width, 0, 1) for level, width in windows or [BRAIN]])
    plane = functional.interpolate(
        torch.tensor(given).flatten(0, 1)[:, None], (56, 56), mode="bilinear", antialias=True
    )
    # Four slices become sixteen: no antialiasing along z, which torch does in planes alone.
    stock = functional.interpolate(plane.view(1, len(given), 4, 56, 56), (16, 56, 56), mode="trilinear")
    assert box.gray.shape == (1, len(given), 16, 56, 56)
    np.testing.assert_allclose(box.gray, stock.numpy(), rtol=0, atol=1e-6)
    # Its one row is the largest slice's, the smallest's and that of all: areas of an outline add up to its mask.
    assert (box.index, box.largest, box.smallest, box.area_mm2) == ((3,), 3, 3, (float(mask.sum()) * 0.25,))


@pytest.mark.parametrize(
    ("windows", "taken", "told"),
    [
        ((BRAIN, BONE), NetworkInput(), "names 2, and the network has 3 channels"),
        ((BRAIN,) * 3, NetworkInput("neighbours"), "channels are neighbouring slices"),
    ],
)
def test_windows_that_a_network_cannot_see_are_refused(
    windows: tuple[tuple[float, float], ...], taken: NetworkInput, told: str
) -> None:
    with pytest.raises(InputError, match=told) as raised:
        Preprocessing(windows=windows, taken=taken)
    assert raised.value.kind == "bad_windows"


def test_an_input_that_contradicts_itself_is_refused_with_every_reason() -> None:
    with pytest.raises(InputError) as raised:
        NetworkInput("neighbours", depth=3, mean=(0.5,), std=(0.0,), windows=(BRAIN, BONE))
    assert raised.value.kind == "bad_backbone"
    for told in ("std is above zero", "that of a box", "neighbours are three channels", "windows are one a channel"):
        assert told in raised.value.message
