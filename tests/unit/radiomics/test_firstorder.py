"""First-order statistics beside NumPy's functions, to the last bit: also where voxels have no value, which those pass over."""

import numpy as np
import pytest

from cvtbatch.radiomics.firstorder import first_order_features


@pytest.mark.parametrize("count", [2, 7, 8, 9, 100, 128, 129, 135, 136, 257, 1023, 1024, 1025, 5000, 70_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_have_the_order_of_numpy(count: int, dtype: type[np.floating]) -> None:
    values = (np.random.default_rng(count).normal(3, 9, count)).astype(dtype)
    x = values.astype(np.float64)
    found = first_order_features(values, np.array([count]), 100.0, 1.0)
    mean = x.mean()
    variance = ((x - mean) ** 2).mean()
    core = (x >= found["10Percentile"]) & (x <= found["90Percentile"])
    assert (found["Mean"], found["Variance"]) == (mean, variance)
    assert found["Skewness"] == ((x - mean) * (x - mean) ** 2).mean() / variance**1.5
    assert found["Kurtosis"] == (((x - mean) ** 2) ** 2).mean() / variance**2
    assert found["MeanAbsoluteDeviation"] == np.abs(x - mean).mean()
    assert found["Energy"] == ((x + 100) ** 2).sum()
    assert found["Median"] == np.median(x)
    if core.any():
        in_core = np.add.reduce(np.where(core, x, 0.0)) / core.sum()
        robust = np.add.reduce(np.where(core, np.abs(x - in_core), 0.0)) / core.sum()
        assert found["RobustMeanAbsoluteDeviation"] == robust


def test_a_voxel_without_a_value_is_left_out_as_pyradiomics_does() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(-3, 9, 3001)
    values[rng.random(3001) < 0.1] = np.nan
    found = first_order_features(values, np.array([3001]), 2.0, 0.5)
    low, high = np.nanpercentile(values, [10, 90])
    core = np.where((values < low) | (values > high), np.nan, values)
    mean = np.nanmean(values)
    assert (found["10Percentile"], found["90Percentile"]) == (low, high)
    assert found["Mean"] == mean
    assert found["MeanAbsoluteDeviation"] == np.nanmean(np.abs(values[~np.isnan(values)] - mean))
    assert found["RobustMeanAbsoluteDeviation"] == np.nanmean(np.abs(core - np.nanmean(core)))
    assert found["Energy"] == np.nansum((values[~np.isnan(values)] + 2.0) ** 2) == 2 * found["TotalEnergy"]
