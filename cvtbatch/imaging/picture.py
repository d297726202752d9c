"""A picture of one slice with the outline of a mask."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion

# Yellow: told apart from gray by every kind of colour vision.
OUTLINE_RGB = (255, 210, 0)


def outline_picture(
    hu_yx: npt.NDArray[np.int16], mask_yx: npt.NDArray[np.uint8], level_hu: float = 40, width_hu: float = 80
) -> npt.NDArray[np.uint8]:
    """Return RGB (y, x, 3) of a slice under a CT window, the mask's inner border drawn over it.

    Args:
        level_hu, width_hu: centre and width of the window.
    """
    gray = np.clip((hu_yx.astype(np.float32) - (level_hu - width_hu / 2)) / width_hu, 0, 1)
    picture = np.repeat(np.rint(gray * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    inside = mask_yx > 0
    picture[inside & ~binary_erosion(inside)] = OUTLINE_RGB
    return picture
