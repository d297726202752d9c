"""Image and mask are taken as PyRadiomics takes them; `tests/integration/test_pyradiomics.py` holds what is told of them to it."""

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics.diagnostics import take_roi
from cvtbatch.radiomics.settings import Preparation
from tests.support.archives import tiny_head


def test_one_channel_of_a_mask_is_taken() -> None:
    ct, mask = tiny_head(3)
    both = sitk.Compose(mask * 0, mask * 3)
    given = take_roi(ct, both, Preparation(label_channel=1))
    assert given.used_mask.GetPixelID() == sitk.sitkUInt32
    np.testing.assert_array_equal(sitk.GetArrayFromImage(given.used_mask), sitk.GetArrayFromImage(mask) * 3)
    with pytest.raises(InputError, match="label_channel is 2, and the mask has 2 channels") as raised:
        take_roi(ct, both, Preparation(label_channel=2))
    assert raised.value.kind == "channel_absent"


def test_a_mask_on_another_grid_is_brought_onto_the_image_where_that_is_asked_for() -> None:
    ct, mask = tiny_head(3)
    part = mask[8:-3, 5:, 1:-1]
    assert take_roi(ct, part, Preparation()).corrected is None
    given = take_roi(ct, part, Preparation(correct_mask=True))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(given.used_mask), sitk.GetArrayFromImage(mask))
    assert given.mask.GetSize() == part.GetSize()


@pytest.mark.parametrize(
    ("label", "kind", "told"), [(1, "outside_image", "reaches beyond the image"), (4, "label_absent", "it holds [1]")]
)
def test_a_mask_that_cannot_be_corrected_is_refused(label: int, kind: str, told: str) -> None:
    ct, mask = tiny_head(3)
    with pytest.raises(InputError) as raised:
        take_roi(ct[:30], mask, Preparation(correct_mask=True, label=label))
    assert raised.value.kind == kind
    assert told in raised.value.message
