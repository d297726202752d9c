"""Whether values can be the HU of a head in air: what is refused is shown with the evidence."""

import numpy as np
import numpy.typing as npt

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import AIR_HU

# Air is near -1000 HU; a volume whose lowest value is above this has none, so it was scaled, windowed or shifted.
_LOWEST_AIR_HU = -200
# Least share of voxels between -1024 and 0. Fat and the noise of water and brain lie there in every head, besides air; where air is
# 0 or 24, as in stored values whose intercept was lost, or all that is negative is padding, hardly anything does.
_LEAST_NEGATIVE_SHARE = 1e-3
# Least share of voxels above the lowest value that tissue has: what was shifted down by an intercept of another series has none.
_LEAST_TISSUE_SHARE = 1e-3
_STRIDE = 4


def require_tissue(values_zyx: npt.NDArray[np.number]) -> None:
    """Refuse values that hold nothing but air.

    Raises:
        InputError: "not_hounsfield".
    """
    some = values_zyx[:, ::_STRIDE, ::_STRIDE]
    if np.mean(some > _LOWEST_AIR_HU) < _LEAST_TISSUE_SHARE:
        raise InputError(
            "not_hounsfield",
            f"values reach from {float(values_zyx.min()):g} to {float(values_zyx.max()):g}, and hardly any is above "
            f"{_LOWEST_AIR_HU}, which all tissue is in HU: the intercept is that of other images?",
        )


def require_hounsfield(values_zyx: npt.NDArray[np.number]) -> None:
    """Refuse values that cannot be HU.

    Raises:
        InputError: voxels are not finite, or no air or no tissue below water is among them.
    """
    if np.issubdtype(values_zyx.dtype, np.floating):
        count = sum(int(plane.size - np.count_nonzero(np.isfinite(plane))) for plane in values_zyx)
        if count:
            raise InputError(
                "non_finite_voxels", f"{counted(count, 'voxel of the image is', 'voxels of the image are')} not finite"
            )
    low, high = float(values_zyx.min()), float(values_zyx.max())
    if low > _LOWEST_AIR_HU:
        raise InputError(
            "not_hounsfield",
            f"values reach from {low:g} to {high:g}: none is near -1000, which air is in HU; "
            "the image was scaled, windowed or shifted, or is no CT",
        )
    some = values_zyx[:, ::_STRIDE, ::_STRIDE]
    share = float(np.mean((some > AIR_HU) & (some < 0)))
    if share < _LEAST_NEGATIVE_SHARE:
        raise InputError(
            "not_hounsfield",
            f"values reach from {low:g} to {high:g}, but only {share:.2%} of the voxels lie between {AIR_HU} and 0, where air, "
            "fat and noise are in HU: the intercept was lost?",
        )
    require_tissue(values_zyx)
