"""The two profiles, and PyRadiomics parameter files as a third way to say the same settings.

A profile fixes every setting that moves a value. What it does not name has PyRadiomics 3.0.1's default and cannot be changed:
the 1,834 names would stay and their meaning would not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import yaml

from cvtbatch.errors import InputError, ProblemsError

FIRST_ORDER = (
    "10Percentile 90Percentile Energy Entropy InterquartileRange Kurtosis Maximum MeanAbsoluteDeviation Mean Median Minimum "
    "Range RobustMeanAbsoluteDeviation RootMeanSquared Skewness TotalEnergy Uniformity Variance"
).split()
GLCM = (
    "Autocorrelation JointAverage ClusterProminence ClusterShade ClusterTendency Contrast Correlation DifferenceAverage "
    "DifferenceEntropy DifferenceVariance JointEnergy JointEntropy Imc1 Imc2 Idm Idmn Id Idn InverseVariance "
    "MaximumProbability SumEntropy SumSquares"
).split()
GLCM_LEFT_OUT = {"SumAverage", "MCC"}
FEATURE_CLASSES = ("shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")
IMAGE_TYPES: dict[str, dict[str, list[float]]] = {
    "Original": {},
    "LoG": {"sigma": [1.0, 2.0, 3.0]},
    "Wavelet": {},
    "Square": {},
    "SquareRoot": {},
    "Logarithm": {},
    "Exponential": {},
    "Gradient": {},
    "LBP3D": {},
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings of the 1,834 features; PyRadiomics' own names are given by `to_pyradiomics`.

    Attributes:
        bin_width: width of a gray level, in the units of the filtered image (HU for the original).
        voxel_array_shift: added to gray values before Energy, TotalEnergy and RootMeanSquared are taken (HU).
        normalize: centre the whole stored volume at its mean and divide by its standard deviation, before anything else.
        normalize_scale: the factor after that division.
        pre_crop: crop to the ROI's box and `pad_distance` voxels around it before filtering.
        pad_distance: voxels around the ROI's box, where `pre_crop`.
        minimum_roi_dimensions: axes along which the ROI must span more than one voxel (1 to 3).
        minimum_roi_size: the ROI must have more voxels than this; None for no limit.
    """

    bin_width: float = 5.0
    voxel_array_shift: int = 0
    normalize: bool = False
    normalize_scale: float = 1.0
    pre_crop: bool = True
    pad_distance: int = 10
    minimum_roi_dimensions: int = 2
    minimum_roi_size: int | None = None

    def __post_init__(self) -> None:
        checks = {
            "binWidth": self.bin_width > 0,
            "normalizeScale": self.normalize_scale > 0,
            "padDistance": self.pad_distance >= 0,
            "minimumROIDimensions": 1 <= self.minimum_roi_dimensions <= 3,
            "minimumROISize": self.minimum_roi_size is None or self.minimum_roi_size > 0,
        }
        for setting, holds in checks.items():
            if not holds:
                value = self.to_pyradiomics()[setting]
                raise InputError("bad_setting", f"radiomics setting {setting} = {value!r} is out of range")

    def to_pyradiomics(self) -> dict[str, float | int | bool | None]:
        """Return the settings under PyRadiomics' names."""
        return {_PYRADIOMICS_NAMES[field.name]: getattr(self, field.name) for field in fields(self)}


_PYRADIOMICS_NAMES = {
    "bin_width": "binWidth",
    "voxel_array_shift": "voxelArrayShift",
    "normalize": "normalize",
    "normalize_scale": "normalizeScale",
    "pre_crop": "preCrop",
    "pad_distance": "padDistance",
    "minimum_roi_dimensions": "minimumROIDimensions",
    "minimum_roi_size": "minimumROISize",
}

PROFILES: Mapping[str, Profile] = {
    "cvt-1834": Profile(),
    "onekey-1834": Profile(voxel_array_shift=1000, normalize=True, normalize_scale=1000.0),
}

# Settings that may stand in a parameter file, but only with the value that they have here anyway.
FIXED_SETTINGS: Mapping[str, object] = {
    "additionalInfo": (True, False),
    "distances": ([1],),
    "force2D": (False,),
    "force2Ddimension": (0, 1, 2),
    "geometryTolerance": (None, 1e-6),
    "gldm_a": (0,),
    "gradientUseSpacing": (True,),
    "label": (1,),
    "label_channel": (0,),
    "lbp3DIcosphereRadius": (1,),
    "lbp3DIcosphereSubdivision": (1,),
    "lbp3DLevels": (2,),
    "level": (1,),
    "removeOutliers": (None,),
    "resampledPixelSpacing": (None,),
    "resegmentRange": (None,),
    "start_level": (0,),
    "symmetricalGLCM": (True,),
    "wavelet": ("coif1",),
    "weightingNorm": (None, "no_weighting"),
}
