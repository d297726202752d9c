"""Local binary patterns by slice, which PyRadiomics computes: values are its own, and no process runs out of memory over them."""

import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics import roi_features
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.parameter_file import check_parameters
from tests.support.archives import tiny_head
from tests.support.parity import skip_without_pyradiomics

CLASSES = {"firstorder": ["Mean", "Entropy"], "glcm": ["Contrast"]}


def head() -> tuple[sitk.Image, sitk.Image]:
    """A head and its hematoma, as numbers with a point: the filter of a whole number's image is rounded."""
    ct, mask = tiny_head(1)
    return sitk.Cast(ct, sitk.sitkFloat64), mask


def set_of(**own: object) -> FeatureSet:
    document = {"imageType": {"LBP2D": own}, "featureClass": CLASSES, "setting": {"force2D": True}}
    found = check_parameters(document).feature_set  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("method", ["default", "ror", "uniform"])
@pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern`")
def test_values_are_pyradiomics_own(method: str) -> None:
    skip_without_pyradiomics()
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    own = {"binWidth": 1, "lbp2DMethod": method, "lbp2DSamples": 6, "lbp2DRadius": 2}
    ct, mask = head()
    found = roi_features(ct, mask, set_of(**own), "pyradiomics")
    extractor = RadiomicsFeatureExtractor(force2D=True, additionalInfo=False)
    extractor.disableAllImageTypes()
    extractor.enableImageTypeByName("LBP2D", customArgs=own)
    extractor.disableAllFeatures()
    extractor.enableFeaturesByName(**CLASSES)
    stock = extractor.execute(ct, mask)
    assert found.values == {name: float(value) for name, value in stock.items() if name.startswith("lbp-2D")}
    assert len(found.values) == 3


def test_a_range_that_would_fill_the_memory_is_refused() -> None:
    skip_without_pyradiomics()
    ct, mask = head()
    with pytest.raises(InputError, match="lbp-2D spans") as caught:
        roi_features(ct, mask, set_of(binWidth=0.001, lbp2DMethod="var"), "pyradiomics")
    assert caught.value.kind == "too_many_gray_levels"
