"""First-order statistics of an image with voxels that have no value, beside NumPy's functions that pass over them."""

import numpy as np

from cvtbatch.radiomics.firstorder import first_order_features


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
