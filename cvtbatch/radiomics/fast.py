"""The fast engine: PyRadiomics' values without PyRadiomics, and those of IBSI's order of processing.

One box is cut, each image type is computed at the ROI's voxels alone, discretised once and sorted once, and every matrix comes
from compiled loops over ROI voxels. The contract with PyRadiomics 3.0.1, for every feature of a set in PyRadiomics' order:
|fast - stock| <= 1e-9 |stock| + 1e-12, or both NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cvtbatch.radiomics.angles import pair_weights, run_weights
from cvtbatch.radiomics.box import RoiBox
from cvtbatch.radiomics.discretisation import GrayLevels, discretise
from cvtbatch.radiomics.feature_names import TEXTURE_CLASSES
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.filters import filter_images, require_support
from cvtbatch.radiomics.firstorder import first_order_features
from cvtbatch.radiomics.glcm import glcm_features
from cvtbatch.radiomics.glrlm_glszm_gldm import gldm_features, glrlm_features, glszm_features
from cvtbatch.radiomics.ngtdm import ngtdm_features
from cvtbatch.radiomics.processing import process_roi
from cvtbatch.radiomics.settings import Calculation
from cvtbatch.radiomics.shape import shape_features
from cvtbatch.radiomics.shape_2d import shape_2d_features
from cvtbatch.radiomics.texture_grid import TextureGrid, lay_grid
from cvtbatch.radiomics.texture_matrices import TextureMatrices, fill_matrices


@dataclass(frozen=True, slots=True)
class FastResult:
    """The values of one ROI.

    Attributes:
        values: every feature by PyRadiomics' name, in its order.
        filter_scale_hu: the largest magnitude in the box (HU, before any normalisation): square, squareroot, logarithm and
            exponential scale by it.
        degenerate: classes that say nothing about texture, and why, e.g. "exponential/glcm: one gray level".
    """

    values: dict[str, float]
    filter_scale_hu: float
    degenerate: tuple[str, ...]


def compute_features(
    ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet, *, as_given: bool = False
) -> FastResult:
    """Compute the features of the ROI that `mask` marks with the set's label.

    Args:
        ct: the volume, any real pixel type (HU).
        mask: label image on the same grid.
        feature_set: one that the fast engine computes (`FeatureSet.stock_reasons` is empty).
        as_given: compute on the volume with its own pixel type, instead of as float64.

    Raises:
        InputError: what cannot be computed, see `processing.process_roi` and `box_features`.
    """
    return box_features(process_roi(ct, mask, feature_set.preparation, as_given=as_given), feature_set)


def box_features(box: RoiBox, feature_set: FeatureSet) -> FastResult:
    """Compute the features of the ROI in a box that was cut for the set.

    Raises:
        InputError: what cannot be computed, see `filters.filter_images`, `discretisation.discretise`,
            `texture_grid.lay_grid`, `shape_2d.shape_2d_features`.
    """
    if feature_set.image_classes():
        require_support(box, feature_set.image_types)
    values: dict[str, float] = {}
    for name in feature_set.shape_classes():
        found = shape_features(box) if name == "shape" else shape_2d_features(box, feature_set.calculation)
        values.update({f"original_{name}_{feature}": found[feature] for feature in feature_set.features(name)})
    degenerate: list[str] = []
    grids: dict[tuple[object, ...], TextureGrid] = {}
    texture = [name for name in TEXTURE_CLASSES if feature_set.features(name)]
    for image_type in feature_set.image_types if feature_set.image_classes() else ():
        own = image_type.calculation
        neighbourhood = own.distances, own.force_2d, own.force_2d_dimension
        if texture and neighbourhood not in grids:
            grids[neighbourhood] = lay_grid(box, own, texture)
        for image, gray_values in filter_images(box, image_type):
            gray = discretise(gray_values, own, feature_set.preparation.first_bin_edge)
            by_class: dict[str, dict[str, float]] = {}
            if texture:
                grid = grids[neighbourhood]
                matrices = fill_matrices(grid, gray, own.gldm_a, texture)
                by_class.update(_texture_features(matrices, gray, grid, box, own, feature_set))
                degenerate += [f"{image}/{reason}" for reason in _degeneracies(matrices, gray, grid, texture)]
            if feature_set.features("firstorder"):
                by_class["firstorder"] = first_order_features(
                    gray_values, gray.counts, own.voxel_array_shift, box.voxel_mm3
                )
                if np.isnan(gray_values.max()):
                    undefined = int(np.isnan(gray_values).sum())
                    degenerate.append(f"{image}/firstorder: {undefined} voxels without a value")
            values.update(_named(image, by_class, feature_set))
    return FastResult(values, box.largest_hu, tuple(degenerate))


def _named(
    image: str, by_class: Mapping[str, Mapping[str, float]], feature_set: FeatureSet
) -> Iterator[tuple[str, float]]:
    """Yield one image's features by name, in the set's order."""
    for name in feature_set.image_classes():
        yield from ((f"{image}_{name}_{feature}", by_class[name][feature]) for feature in feature_set.features(name))


def _texture_features(
    matrices: TextureMatrices,
    gray: GrayLevels,
    grid: TextureGrid,
    box: RoiBox,
    own: Calculation,
    feature_set: FeatureSet,
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each texture class that is asked for, with its features."""
    levels, norm = gray.levels, own.weighting_norm
    if feature_set.features("gldm"):
        yield "gldm", gldm_features(matrices, levels)
    if feature_set.features("glrlm"):
        weights = run_weights(grid.line_angles, box.spacing_mm, norm) if norm else None
        yield "glrlm", glrlm_features(matrices, levels, grid.with_lines, weights)
    if feature_set.features("glszm"):
        yield "glszm", glszm_features(matrices, levels)
    if feature_set.features("ngtdm"):
        yield "ngtdm", ngtdm_features(matrices.ngtdm, levels, gray.counts)
    if feature_set.features("glcm"):
        weights = pair_weights(grid.angles, box.spacing_mm, norm) if norm else None
        wanted = feature_set.features("glcm")
        yield "glcm", glcm_features(matrices.glcm, levels, own.symmetrical_glcm, weights, wanted)


def _degeneracies(
    matrices: TextureMatrices, gray: GrayLevels, grid: TextureGrid, texture: Sequence[str]
) -> Iterator[str]:
    if len(gray.levels) == 1:
        yield from (f"{name}: one gray level" for name in texture)
    if "glcm" in texture and not matrices.glcm.any():
        yield "glcm: no neighbouring voxels"
    if "glrlm" in texture and not grid.with_lines.any():
        yield "glrlm: no line of voxels"
