"""The two profiles, and PyRadiomics parameter files as a third way to say the same settings.

A profile fixes every setting that moves a value. What it does not name has PyRadiomics 3.0.1's default and cannot be changed:
the features' names would stay and their meaning would not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import yaml

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.nearest import did_you_mean

Engine = Literal["fast", "pyradiomics"]
FIRST_ORDER = (
    "10Percentile 90Percentile Energy Entropy InterquartileRange Kurtosis Maximum MeanAbsoluteDeviation Mean Median "
    "Minimum Range RobustMeanAbsoluteDeviation RootMeanSquared Skewness TotalEnergy Uniformity Variance"
).split()
GLCM = (
    "Autocorrelation JointAverage ClusterProminence ClusterShade ClusterTendency Contrast Correlation "
    "DifferenceAverage DifferenceEntropy DifferenceVariance JointEnergy JointEntropy Imc1 Imc2 Idm Idmn Id Idn "
    "InverseVariance MaximumProbability SumEntropy SumSquares"
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
    """Settings of the study's features; PyRadiomics' own names are given by `to_pyradiomics`.

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
            "binWidth": 0 < self.bin_width < math.inf,
            "normalizeScale": 0 < self.normalize_scale < math.inf,
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
FIXED_SETTINGS: Mapping[str, tuple[object, ...]] = {
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
    "weightingNorm": (None,),
}


def load_profile(profile: str) -> Profile:
    """Return a named profile, or the settings of a PyRadiomics parameter file.

    A file may change settings; image types and features, where it lists them, must be the study's.

    Raises:
        InputError: there is no such profile or file, or it is not YAML.
        ProblemsError: with every setting of the file that is unknown, unsupported or out of range.
    """
    if profile in PROFILES:
        return PROFILES[profile]
    path = Path(profile)
    if not path.is_file():
        what = "there is no such file" if path.suffix else "there is no such profile"
        raise InputError(
            "no_profile",
            f"radiomics.profile {profile!r}: {what}; {did_you_mean(profile, PROFILES)}it is {' or '.join(PROFILES)}, or the path "
            "of a PyRadiomics parameter file",
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("bad_parameter_file", f"parameter file {path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError("bad_parameter_file", f"parameter file {path} holds no settings")
    problems = [
        f"section {key!r} is not supported" for key in content if key not in {"setting", "imageType", "featureClass"}
    ]
    problems += _image_type_problems(content.get("imageType")) + _feature_problems(content.get("featureClass"))
    settings = {} if content.get("setting") is None else content["setting"]
    chosen, setting_problems = (
        _settings(settings) if isinstance(settings, dict) else ({}, ["section 'setting' is no mapping"])
    )
    problems += setting_problems
    if problems:
        raise ProblemsError.of("bad_parameter_file", f"parameter file {path}", problems, advice=_advice())
    # PyRadiomics' defaults, not the profiles', hold for what a parameter file leaves out.
    return replace(Profile(bin_width=25.0, pre_crop=False, pad_distance=5), **chosen)  # type: ignore[arg-type]


def _advice() -> str:
    """Say what a parameter file may hold, with one that is whole."""
    return (
        f"the features are always {_all_features()}: leave imageType and featureClass out, and under setting keep none but "
        f'{", ".join(_PYRADIOMICS_NAMES.values())}, as the whole file "setting: {{binWidth: 25}}" does'
    )


def profile_of(settings: Mapping[str, object]) -> Profile:
    """Return the profile that a specification tells of, as `Profile.to_pyradiomics` gave it.

    Raises:
        ProblemsError: a setting is unknown, of the wrong type or out of range.
    """
    chosen, problems = _settings(settings)
    if problems:
        raise ProblemsError.of("bad_setting", "the settings of a radiomics specification", problems)
    return Profile(**chosen)  # type: ignore[arg-type]


def _settings(settings: Mapping[str, object]) -> tuple[dict[str, float | int | bool | None], list[str]]:
    """Return a file's settings under the profile's names, and what is wrong with the others."""
    by_pyradiomics = {theirs: ours for ours, theirs in _PYRADIOMICS_NAMES.items()}
    types = {"bin_width": float, "normalize_scale": float, "normalize": bool, "pre_crop": bool}
    chosen: dict[str, float | int | bool | None] = {}
    problems = []
    for name, value in settings.items():
        ours = by_pyradiomics.get(name)
        if name in FIXED_SETTINGS:
            allowed = FIXED_SETTINGS[name]
            if value not in allowed:
                problems.append(f"setting {name} = {value!r} is not supported; it is {allowed[-1]!r} here")
        elif ours is None:
            problems.append(f"setting {name} is not supported")
        elif value is None and ours == "minimum_roi_size":
            chosen[ours] = None
        elif isinstance(value, bool) != (types.get(ours, int) is bool) or not isinstance(value, int | float):
            problems.append(f"setting {name} = {value!r} is of the wrong type")
        elif types.get(ours, int) is int and not float(value).is_integer():
            problems.append(f"setting {name} = {value!r} is no whole number")
        else:
            chosen[ours] = types.get(ours, int)(value)
    try:
        Profile(**chosen)  # type: ignore[arg-type]
    except InputError as error:
        problems.append(error.message)
    return chosen, problems


def _all_features() -> str:
    return f"the {len(contracts.feature_names()):,}"


def _image_type_problems(image_types: object) -> list[str]:
    if image_types is None:
        return []
    if not isinstance(image_types, dict):
        return ["section 'imageType' is no mapping"]
    problems = [f"image type {name} is not among {_all_features()}" for name in image_types if name not in IMAGE_TYPES]
    problems += [
        f"image type {name} is missing; {_all_features()} need it" for name in IMAGE_TYPES if name not in image_types
    ]
    for name, own in image_types.items():
        fixed = IMAGE_TYPES.get(name, {})
        if own is not None and not isinstance(own, dict):
            problems.append(f"image type {name}: {own!r} is no mapping of settings")
            continue
        for setting, value in (own or {}).items():
            allowed = (fixed[setting],) if setting in fixed else FIXED_SETTINGS.get(setting)
            if allowed is None or value not in allowed:
                problems.append(f"image type {name}: setting {setting} = {value!r} is not supported")
        problems += [
            f"image type {name}: setting {setting} must be {value}"
            for setting, value in fixed.items()
            if setting not in (own or {})
        ]
    return problems


def _feature_problems(feature_classes: object) -> list[str]:
    if feature_classes is None:
        return []
    if not isinstance(feature_classes, dict):
        return ["section 'featureClass' is no mapping"]
    problems = [
        f"feature class {name} is not among {_all_features()}"
        for name in feature_classes
        if name not in FEATURE_CLASSES
    ]
    problems += [
        f"feature class {name} is missing; {_all_features()} need it"
        for name in FEATURE_CLASSES
        if name not in feature_classes
    ]
    for name, chosen in feature_classes.items():
        if chosen is not None and not (isinstance(chosen, list) and all(isinstance(entry, str) for entry in chosen)):
            problems.append(f"feature class {name}: {chosen!r} is no list of features")
            continue
        wanted = {"glcm": set(GLCM), "firstorder": set(FIRST_ORDER)}.get(name)
        if name in FEATURE_CLASSES and chosen and (wanted is None or set(chosen) != wanted):
            problems.append(f"feature class {name}: its list of features is not that of {_all_features()}")
        if name == "glcm" and not chosen:
            problems.append(
                f"feature class glcm: all features would include {' and '.join(sorted(GLCM_LEFT_OUT))}, "
                f"which are not among {_all_features()}"
            )
    return problems
