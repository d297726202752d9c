"""PyRadiomics' classes, features and image types by name.

Source: PyRadiomics 3.0.1, `getFeatureClasses`, `getFeatureNames` and `getImageTypes`, in its own order.
"""

from collections.abc import Mapping

_SHARED = "GrayLevelNonUniformity GrayLevelNonUniformityNormalized GrayLevelVariance"
FEATURES: Mapping[str, tuple[str, ...]] = {
    name: tuple(features.split())
    for name, features in {
        "firstorder": (
            "10Percentile 90Percentile Energy Entropy InterquartileRange Kurtosis Maximum MeanAbsoluteDeviation Mean "
            "Median Minimum Range RobustMeanAbsoluteDeviation RootMeanSquared Skewness TotalEnergy Uniformity Variance"
        ),
        "glcm": (
            "Autocorrelation ClusterProminence ClusterShade ClusterTendency Contrast Correlation DifferenceAverage "
            "DifferenceEntropy DifferenceVariance Id Idm Idmn Idn Imc1 Imc2 InverseVariance JointAverage JointEnergy "
            "JointEntropy MCC MaximumProbability SumAverage SumEntropy SumSquares"
        ),
        "gldm": (
            "DependenceEntropy DependenceNonUniformity DependenceNonUniformityNormalized DependenceVariance "
            "GrayLevelNonUniformity GrayLevelVariance HighGrayLevelEmphasis LargeDependenceEmphasis "
            "LargeDependenceHighGrayLevelEmphasis LargeDependenceLowGrayLevelEmphasis LowGrayLevelEmphasis "
            "SmallDependenceEmphasis SmallDependenceHighGrayLevelEmphasis SmallDependenceLowGrayLevelEmphasis"
        ),
        "glrlm": (
            f"{_SHARED} HighGrayLevelRunEmphasis LongRunEmphasis LongRunHighGrayLevelEmphasis "
            "LongRunLowGrayLevelEmphasis LowGrayLevelRunEmphasis RunEntropy RunLengthNonUniformity "
            "RunLengthNonUniformityNormalized RunPercentage RunVariance ShortRunEmphasis "
            "ShortRunHighGrayLevelEmphasis ShortRunLowGrayLevelEmphasis"
        ),
        "glszm": (
            f"{_SHARED} HighGrayLevelZoneEmphasis LargeAreaEmphasis LargeAreaHighGrayLevelEmphasis "
            "LargeAreaLowGrayLevelEmphasis LowGrayLevelZoneEmphasis SizeZoneNonUniformity "
            "SizeZoneNonUniformityNormalized SmallAreaEmphasis SmallAreaHighGrayLevelEmphasis "
            "SmallAreaLowGrayLevelEmphasis ZoneEntropy ZonePercentage ZoneVariance"
        ),
        "ngtdm": "Busyness Coarseness Complexity Contrast Strength",
        "shape": (
            "Elongation Flatness LeastAxisLength MajorAxisLength Maximum2DDiameterColumn Maximum2DDiameterRow "
            "Maximum2DDiameterSlice Maximum3DDiameter MeshVolume MinorAxisLength Sphericity SurfaceArea "
            "SurfaceVolumeRatio VoxelVolume"
        ),
        "shape2D": (
            "Elongation MajorAxisLength MaximumDiameter MeshSurface MinorAxisLength Perimeter PerimeterSurfaceRatio "
            "PixelSurface Sphericity"
        ),
    }.items()
}
# Deprecated features that have a value when they are named, and are left out when a whole class is asked for.
DEPRECATED: Mapping[str, tuple[str, ...]] = {
    "firstorder": ("StandardDeviation",),
    "shape": ("Compactness1", "Compactness2", "SphericalDisproportion"),
    "shape2D": ("SphericalDisproportion",),
}
# Deprecated features without a value in PyRadiomics, and what says the same.
WITHOUT_VALUE: Mapping[str, Mapping[str, str]] = {
    "glcm": {
        "Dissimilarity": "it equals DifferenceAverage",
        "Homogeneity1": "it equals Id",
        "Homogeneity2": "it equals Idm",
        "SumVariance": "it equals ClusterTendency",
    },
    "gldm": {
        "DependencePercentage": "it is always 1",
        "GrayLevelNonUniformityNormalized": "it equals firstorder Uniformity",
    },
}
# Of these, one set of values an ROI and not one an image type.
SHAPE_CLASSES = ("shape", "shape2D")
TEXTURE_CLASSES = ("gldm", "glrlm", "glszm", "ngtdm", "glcm")
# Of these, what is counted over `distances`.
DISTANCE_CLASSES = ("glcm", "gldm", "ngtdm")
IMAGE_TYPES = (
    *("Exponential", "Gradient", "LBP2D", "LBP3D", "LoG", "Logarithm", "Original", "Square", "SquareRoot", "Wavelet"),
)
