"""Twenty parameter files and six ROIs whose stock values are kept: files of the usual kinds, IBSI's configurations, and files that
turn one screw each. Images have the pixel types that scanners and programs write.

Source of IBSI's settings: A. Zwanenburg et al., Radiology 2020;295:328, configurations A to E, as far as PyRadiomics has them.
"""

from collections.abc import Callable, Mapping

import numpy as np
import SimpleITK as sitk

from tests.golden.radiomics_cases import SPACING_MM, Pair, bleed, images, one_slice, texture
from tests.support.parameter_files import Document

_FIRST = {"firstorder": []}
_SOME = {
    "firstorder": ["Mean", "Entropy", "Kurtosis", "RobustMeanAbsoluteDeviation"],
    "glcm": ["Contrast", "Imc1", "MCC", "SumAverage"],
    "glrlm": ["RunEntropy", "LongRunEmphasis"],
    "glszm": ["ZoneEntropy", "SizeZoneNonUniformity"],
    "gldm": ["DependenceEntropy"],
    "ngtdm": ["Busyness", "Strength"],
}
_TEXTURE = {"glcm": [], "glrlm": [], "glszm": []}
_ALL = {"shape": [], "firstorder": [], "glcm": [], "glrlm": [], "glszm": [], "gldm": [], "ngtdm": []}
_WAVELET_LOG = {"Original": {}, "LoG": {"sigma": [2.0, 4.0]}, "Wavelet": {}}
_RESAMPLED = {"resampledPixelSpacing": [2, 2, 2], "interpolator": "sitkLinear"}

FILES: Mapping[str, Document] = {
    "plain": {},
    "ct_1mm": {
        "imageType": _WAVELET_LOG,
        "featureClass": _SOME,
        "setting": {"binWidth": 25, "resampledPixelSpacing": [1, 1, 1], "padDistance": 10, "voxelArrayShift": 1000},
    },
    "ct_slices": {
        "imageType": _WAVELET_LOG,
        "featureClass": _SOME,
        "setting": {"binWidth": 10, "force2D": True, "preCrop": True, "resegmentRange": [0, 100]},
    },
    "mr_3mm": {
        "imageType": {"Original": {}, "Gradient": {}, "SquareRoot": {}},
        "featureClass": _ALL,
        "setting": {
            "normalize": True,
            "normalizeScale": 100,
            "removeOutliers": 3,
            "resampledPixelSpacing": [3, 3, 3],
            "binWidth": 5,
            "voxelArrayShift": 300,
        },
    },
    "mr_as_it_is": {
        "imageType": {"Original": {}, "Wavelet": {"wavelet": "haar"}},
        "featureClass": {"firstorder": ["Skewness", "Energy"], "glszm": []},
        "setting": {"normalize": True, "normalizeScale": 100, "binWidth": 5, "voxelArrayShift": 300, "preCrop": True},
    },
    "pet": {
        "featureClass": _ALL,
        "setting": {"resegmentRange": [0.6], "resegmentMode": "relative", "resegmentShape": True, "binWidth": 0.5},
    },
    "shape_alone": {"featureClass": {"shape": []}},
    "ibsi_a": {"featureClass": _ALL, "setting": {"force2D": True, "resegmentRange": [-500, 400], "binWidth": 25}},
    "ibsi_b": {
        "featureClass": _TEXTURE,
        "setting": {
            "resampledPixelSpacing": [2, 2, 0],
            "interpolator": "sitkLinear",
            "force2D": True,
            "resegmentRange": [-500, 400],
            "binCount": 32,
        },
    },
    "ibsi_c": {
        "featureClass": _ALL,
        "setting": {**_RESAMPLED, "resegmentRange": [-1000, 400], "binWidth": 25},
    },
    "ibsi_d": {
        "featureClass": _ALL,
        "setting": {**_RESAMPLED, "resegmentRange": [-3, 3], "resegmentMode": "sigma", "binCount": 32},
    },
    "ibsi_e": {
        "featureClass": _TEXTURE,
        "setting": {"resampledPixelSpacing": [2, 2, 2], "resegmentRange": [-1000, 400], "binCount": 32},
    },
    "distances": {
        "featureClass": {"glcm": [], "gldm": [], "ngtdm": []},
        "setting": {"distances": [1, 2, 3], "gldm_a": 1, "symmetricalGLCM": False, "binWidth": 5},
    },
    "wavelet_level_2": {
        "imageType": {"Wavelet": {"wavelet": "db2", "level": 2, "start_level": 1, "binWidth": 8}},
        "featureClass": {"firstorder": ["Mean", "Energy"], "glrlm": ["RunEntropy"]},
        "setting": {"preCrop": True, "padDistance": 8},
    },
    "weighted": {
        "featureClass": {"glcm": [], "glrlm": []},
        "setting": {"weightingNorm": "euclidean", "binWidth": 5},
    },
    "unweighted": {
        "featureClass": {"glcm": [], "glrlm": []},
        "setting": {"weightingNorm": "no_weighting", "force2D": True, "force2Ddimension": 2, "binCount": 12},
    },
    "lbp": {
        "imageType": {"LBP3D": {"binWidth": 0.5}},
        "featureClass": {"firstorder": ["Mean", "Entropy", "Kurtosis"], "glcm": [], "ngtdm": []},
        "setting": {"preCrop": True},
    },
    "nearest": {
        "imageType": {"Original": {}, "Square": {}, "Logarithm": {}, "Exponential": {"binWidth": 1}},
        "featureClass": {**_FIRST, "glszm": []},
        "setting": {"resampledPixelSpacing": [1.5, 1, 0], "interpolator": "sitkNearestNeighbor", "binWidth": 4},
    },
    "own_settings_of_types": {
        "imageType": {"Original": {"binCount": 8}, "LoG": {"sigma": [3], "binWidth": 2}, "Gradient": {"binWidth": 1}},
        "featureClass": {"glrlm": [], "gldm": []},
        "setting": {"gradientUseSpacing": False, "padDistance": 12, "preCrop": True, "binWidth": 10},
    },
    "deprecated": {
        "featureClass": {
            "firstorder": ["StandardDeviation", "Variance"],
            "shape": ["Compactness1", "Compactness2", "SphericalDisproportion", "Sphericity"],
        },
        "setting": {"minimumROISize": 5, "minimumROIDimensions": 1},
    },
}


def in_type(pair: Pair, pixel_type: int, spacing_mm: tuple[float, float, float] | None = None) -> Pair:
    """Return the pair with another pixel type (from 0 on without a sign, eighths where it has fractions) and another spacing."""
    ct, mask = pair
    hu = sitk.GetArrayFromImage(ct).astype(np.int64)
    values = np.maximum(hu, 0) if pixel_type == sitk.sitkUInt16 else hu
    if pixel_type == sitk.sitkFloat32:
        values = hu + np.random.default_rng(9).integers(-3, 4, hu.shape) / 8
    image = sitk.Cast(sitk.GetImageFromArray(values), pixel_type)
    for changed in (image, mask):
        changed.CopyInformation(ct)
        changed.SetSpacing(spacing_mm or ct.GetSpacing())
    return image, mask


def small(seed: int) -> Pair:
    """An ROI of 3 x 4 x 5 voxels in a small volume."""
    shape = (12, 24, 26)
    inside = np.zeros(shape, bool)
    inside[4:7, 9:13, 10:15] = True
    return images(40 + texture(seed, shape, 2), inside, spacing_mm=(1.0, 1.0, 2.0))


ROIS: Mapping[str, Callable[[], Pair]] = {
    "one_voxel_thick": lambda: one_slice(40),
    "small": lambda: small(41),
    "anisotropic": lambda: in_type(bleed(42, 2.0), sitk.sitkFloat32, (2.0, 2.0, 5.0)),
    "several_parts": lambda: in_type(bleed(43, 2.0, second_ml=0.4), sitk.sitkUInt16),
    "border": lambda: bleed(44, 3.0, shift=(-4, 20, -40)),
    "ml30": lambda: in_type(bleed(45, 30.0), sitk.sitkInt16, SPACING_MM),
}
