"""The fast engine against stock PyRadiomics' kept values, twenty parameter files on six ROIs."""

import json

import numpy as np
import pytest

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.parameter_file import check_parameters
from tests.golden.make_parameter_golden import KEPT, PROVENANCE
from tests.golden.parameter_file_cases import FILES, ROIS
from tests.golden.radiomics_cases import digest
from tests.support.parity import broken_values


@pytest.mark.parametrize("roi", ROIS)
def test_values_of_parameter_files_equal_stock(roi: str) -> None:
    pair, bound = ROIS[roi](), contracts.processor_bound_features()
    with np.load(KEPT) as kept:
        voxels = json.loads(str(kept[PROVENANCE]))["voxels_sha256"]
        stock = {file: kept[f"{file}.{roi}"].tolist() for file in FILES if f"{file}.{roi}" in kept}
    assert digest(pair) == voxels[roi], "other voxels than the kept values': run make_parameter_golden.py"
    for file, content in FILES.items():
        feature_set = check_parameters(dict(content)).feature_set
        assert feature_set is not None
        if file not in stock:
            with pytest.raises(InputError):
                compute_features(*pair, feature_set, as_given=True)
            continue
        fast = compute_features(*pair, feature_set, as_given=True).values
        assert tuple(fast) == feature_set.names()
        broken = broken_values(fast, dict(zip(fast, stock[file], strict=True)))
        # Stock's own value of these is another one on the processor where it was kept: `test_processors` holds them to stock here.
        assert [found for found in broken if found.name not in bound] == [], file


def test_one_file_is_refused_on_one_roi() -> None:
    """By PyRadiomics too: a voxel of skull is the maximum there, and 0.6 of it leaves nothing."""
    with np.load(KEPT) as kept:
        missing = {f"{file}.{roi}" for file in FILES for roi in ROIS} - set(kept)
    assert missing == {"pet.several_parts"}
