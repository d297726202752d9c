"""What every feature class has beside its module; CONTRIBUTING.md lists the steps."""

import pytest

from cvtbatch import contracts
from cvtbatch.radiomics import PROFILES
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.feature_names import FEATURES, TEXTURE_CLASSES
from tests.support.archives import tiny_head
from tests.support.paths import ROOT

STUDY_CLASSES = sorted(set(FEATURES) - {"shape2D"})
MODULES = "_".join(path.stem for path in (ROOT / "cvtbatch" / "radiomics").glob("*.py"))


def test_the_contract_names_features_of_these_classes() -> None:
    assert {name.split("_")[1] for name in contracts.feature_names()} == set(STUDY_CLASSES)


def test_the_fast_engine_computes_each_on_every_image_type() -> None:
    found = compute_features(*tiny_head(1), PROFILES["cvt-1834"]).values
    assert {name.split("_")[1] for name in found} == set(STUDY_CLASSES)
    image_types = {name.split("_")[0] for name in found}
    for kind in set(STUDY_CLASSES) - {"shape"}:
        assert {name.split("_")[0] for name in found if name.split("_")[1] == kind} == image_types


def test_all_but_shape_and_first_order_are_of_texture() -> None:
    assert set(TEXTURE_CLASSES) == set(STUDY_CLASSES) - {"shape", "firstorder"}


@pytest.mark.parametrize("kind", STUDY_CLASSES)
def test_a_module_is_named_after_it(kind: str) -> None:
    assert kind in MODULES.split("_")
