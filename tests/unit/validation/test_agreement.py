"""Intraclass correlation against published tables."""

import numpy as np
import pytest

from cvtbatch.errors import InputError
from cvtbatch.validation.agreement import icc_agreement, icc_one_way

# Shrout and Fleiss 1979, table 2: four judges rate six targets; table 4: ICC(2,1) = 0.29.
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def test_shrout_and_fleiss_table_gives_their_value_and_r_psychs_interval() -> None:
    found = icc_agreement(SHROUT_FLEISS[:, :, None])
    assert found.icc[0] == pytest.approx(0.29, abs=0.005)
    # R's psych::ICC(sf): ICC2 0.29, 95 % interval 0.019 to 0.761.
    assert (found.low[0], found.high[0]) == pytest.approx((0.019, 0.761), abs=0.0005)


def test_features_are_computed_side_by_side_as_they_are_alone() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(30, 1, 3))
    readings = truth + np.array([0.1, 0.5, 2]) * rng.normal(size=(30, 2, 3))
    readings[:, 1] += 0.3
    together = icc_agreement(readings)
    for feature in range(3):
        alone = icc_agreement(readings[:, :, feature : feature + 1])
        assert alone.icc[0] == pytest.approx(together.icc[feature], rel=1e-12)
        assert together.low[feature] < together.icc[feature] < together.high[feature]
    assert list(together.icc) == sorted(together.icc, reverse=True)


def test_a_reader_who_adds_a_constant_agrees_less_and_equal_readings_agree_wholly() -> None:
    values = np.random.default_rng(1).normal(size=(20, 1, 1))
    same = icc_agreement(np.concatenate([values, values], axis=1))
    assert same.icc[0] == pytest.approx(1)
    shifted = icc_agreement(np.concatenate([values, values + 1], axis=1))
    # Absolute agreement: 2 var / (2 var + shift^2), with the sample variance (McGraw and Wong's ICC(A,1) for two readers).
    variance = values.var(ddof=1)
    assert shifted.icc[0] == pytest.approx(2 * variance / (2 * variance + 1), rel=1e-12)


def test_what_does_not_vary_has_no_agreement() -> None:
    found = icc_agreement(np.ones((10, 2, 1)))
    assert np.isnan([found.icc[0], found.low[0], found.high[0]]).all()
    with pytest.raises(InputError, match="1 subjects"):
        icc_agreement(np.ones((1, 2, 1)))


def one_way(readings: np.ndarray):
    means = readings.mean(axis=1)
    return icc_one_way(means, ((readings - means[:, None]) ** 2).sum(axis=1), readings.shape[1])


def test_one_way_gives_shrout_and_fleiss_value_and_r_psychs_interval() -> None:
    found = one_way(SHROUT_FLEISS[:, :, None])
    # Their table 4: ICC(1,1) = 0.17. R's psych::ICC(sf): ICC1 0.17, 95 % interval -0.133 to 0.723.
    assert found.icc[0] == pytest.approx(0.17, abs=0.005)
    assert (found.low[0], found.high[0]) == pytest.approx((-0.133, 0.723), abs=0.0005)


def test_one_way_does_not_depend_on_the_order_of_readings() -> None:
    rng = np.random.default_rng(3)
    readings = rng.normal(size=(12, 1, 2)) + 0.3 * rng.normal(size=(12, 5, 2))
    found = one_way(readings)
    shuffled = np.stack([row[rng.permutation(5)] for row in readings])
    assert one_way(shuffled).icc == pytest.approx(found.icc, rel=1e-12)
    assert (found.low < found.icc).all()
    assert (found.icc < found.high).all()


def test_one_way_of_equal_readings_is_whole_and_of_constants_none() -> None:
    values = np.repeat(np.arange(6.0)[:, None, None], 4, axis=1)
    found = one_way(values)
    assert (found.icc[0], found.low[0], found.high[0]) == (1, 1, 1)
    # A tenth has no exact double, and the mean of seven of them is none of them.
    assert np.isnan(icc_one_way(np.full((7, 1), 0.1), np.zeros((7, 1)), 4).icc[0])
    with pytest.raises(InputError, match="1 readings of 6 subjects"):
        one_way(np.ones((6, 1, 1)))
