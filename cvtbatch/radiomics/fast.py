"""The fast engine: PyRadiomics' values without PyRadiomics.

One box is cut, each image type is computed at the ROI's voxels alone, discretised once and sorted once, and every matrix comes
from compiled loops over ROI voxels. The contract with PyRadiomics 3.0.1, for every feature:
|fast - stock| <= 1e-9 |stock| + 1e-12, or both NaN.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.discretisation import GrayLevels, discretise
from cvtbatch.radiomics.filters import filter_images
from cvtbatch.radiomics.firstorder import first_order_features
from cvtbatch.radiomics.glcm import glcm_features
from cvtbatch.radiomics.glrlm_glszm_gldm import gldm_features, glrlm_features, glszm_features
from cvtbatch.radiomics.ngtdm import ngtdm_features
from cvtbatch.radiomics.profiles import GLCM, Profile
from cvtbatch.radiomics.shape import shape_features
from cvtbatch.radiomics.texture_matrices import TextureGrid, TextureMatrices, fill_matrices, lay_grid

TEXTURE_CLASSES = ("gldm", "glrlm", "glszm", "ngtdm", "glcm")


@dataclass(frozen=True, slots=True)
class FastResult:
    """The values of one ROI.

    Attributes:
        values: every feature by PyRadiomics' name, class after class within an image type.
        filter_scale_hu: the largest magnitude in the box (HU, before any normalisation): square, squareroot, logarithm and
            exponential scale by it.
        degenerate: classes that say nothing about texture, and why, e.g. "exponential/glcm: one gray level".
    """

    values: dict[str, float]
    filter_scale_hu: float
    degenerate: tuple[str, ...]


def compute_features(ct: sitk.Image, mask: sitk.Image, profile: Profile) -> FastResult:
    """Compute all features of the ROI that `mask` marks with 1.

    Args:
        ct: the stored volume, any real pixel type (HU); it is computed on as float64.
        mask: label image on the same grid.
        profile: the settings.

    Raises:
        InputError: what cannot be computed, see `box.cut_box`, `filters.filter_images`, `discretisation.discretise`.
    """
    box = cut_box(ct, mask, profile)
    grid = lay_grid(box)
    voxel_mm3 = float(np.multiply.reduce(ct.GetSpacing()))
    values = {f"original_shape_{name}": value for name, value in shape_features(box).items()}
    degenerate: list[str] = []
    for image, gray_values in filter_images(box):
        gray = discretise(gray_values, profile.bin_width)
        matrices = fill_matrices(grid, gray)
        first_order = first_order_features(gray_values, gray.counts, profile.voxel_array_shift, voxel_mm3)
        values.update({f"{image}_firstorder_{name}": value for name, value in first_order.items()})
        values.update({f"{image}_{name}": value for name, value in _texture_features(matrices, gray, grid).items()})
        degenerate += [f"{image}/{reason}" for reason in _degeneracies(matrices, gray, grid)]
        undefined = int(np.isnan(gray_values).sum())
        if undefined:
            degenerate.append(f"{image}/firstorder: {undefined} voxels without a value")
    return FastResult(values, box.largest_hu, tuple(degenerate))


def _texture_features(matrices: TextureMatrices, gray: GrayLevels, grid: TextureGrid) -> dict[str, float]:
    glcm = glcm_features(matrices.glcm, gray.levels)
    by_class = {
        "gldm": gldm_features(matrices, gray.levels),
        "glrlm": glrlm_features(matrices, gray.levels, grid.with_lines),
        "glszm": glszm_features(matrices, gray.levels),
        "ngtdm": ngtdm_features(matrices.ngtdm, gray.levels, gray.counts),
        "glcm": {name: glcm[name] for name in GLCM},
    }
    return {f"{name}_{feature}": value for name, features in by_class.items() for feature, value in features.items()}


def _degeneracies(matrices: TextureMatrices, gray: GrayLevels, grid: TextureGrid) -> list[str]:
    reasons = []
    if len(gray.levels) == 1:
        reasons += [f"{name}: one gray level" for name in TEXTURE_CLASSES]
    if not matrices.glcm.any():
        reasons.append("glcm: no neighbouring voxels")
    if not grid.with_lines.any():
        reasons.append("glrlm: no line of voxels")
    return reasons
