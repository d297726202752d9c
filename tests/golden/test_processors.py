"""No processor may surprise a user: at other levels of this one values lie within the contract, but for those that are named."""

from pathlib import Path

import numpy as np
import pytest

from cvtbatch import contracts
from tests.golden.make_golden import FOLDER
from tests.golden.processors import (
    NEWER_THAN_V3,
    SETTINGS,
    STOCK,
    Values,
    embedding_deviation,
    measure,
    moved_features,
    present_levels,
)
from tests.golden.radiomics_cases import CASES
from tests.support.parity import NAMES, skip_without_pyradiomics

# Small ROIs, and two whose value of the named feature did move.
ROIS = ("ml003", "flat", "isotropic", "two_components", "border")
# The ends; what lies between them, `python -m tests.golden.processors` tells.
LEVELS = ("as it is", "oldest")
EMBEDDING_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Values:
    values, _ = measure(SETTINGS["as it is"], ROIS, tmp_path_factory.mktemp("values"))
    return values


def _kept() -> Values:
    kept: dict[str, np.ndarray] = {}
    for name in ROIS:
        with np.load(FOLDER / f"{name}.npz") as golden:
            kept |= {f"{name}/{key}": golden[key] for key in CASES[name].profiles}
    return kept


@pytest.mark.parametrize("level", LEVELS)
def test_values_at_every_level_are_stocks_but_for_those_that_are_named(
    level: str, as_it_is: Values, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_pyradiomics()
    setting, bound = SETTINGS[level], set(contracts.processor_bound_features())
    if lacking := [
        name for name in setting.numpy_without if name in NEWER_THAN_V3[2:] and name not in present_levels()
    ]:
        with capsys.disabled():
            print(f"\n{level}: this processor has no {', '.join(lacking)}: nothing to switch off there")
    values, levels = (as_it_is, ()) if level == "as it is" else measure(setting, ROIS, tmp_path)
    assert not set(levels) & set(setting.numpy_without)
    assert set(moved_features(values, _kept())) <= bound
    # Stock's own values on the processor as it is seen: equal, those that follow it too.
    for name, key in STOCK:
        assert (
            moved_features(
                {f"{name}/{key}": values[f"{name}/{key}"]}, {f"{name}/{key}": values[f"stock of {name}/{key}"]}
            )
            == {}
        )
    assert set(moved_features(values, as_it_is)) <= bound
    np.testing.assert_array_equal(values["volume"], as_it_is["volume"])
    assert embedding_deviation(values["embedding"], as_it_is["embedding"]) <= EMBEDDING_TOLERANCE


def test_the_columns_that_are_named_carry_their_reason() -> None:
    bound = contracts.processor_bound_features()
    assert set(bound) <= set(NAMES)
    for name in NAMES:
        assert contracts.feature_metadata(name, calibrated=True).get("processor_bound") == bound.get(name)
