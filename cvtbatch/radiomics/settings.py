"""Settings of a feature set under names of ours, and the rules that PyRadiomics' own schema sets for them.

They stand in three groups, by what they change: the ROI before any filter (`Preparation`), the filters (`Filtering`), and what is
computed of each filtered image (`Calculation`). An image type may change the last two for itself alone. Defaults are
PyRadiomics'. A value that exists keeps the rules.

Source: PyRadiomics 3.0.1, `schemas/paramSchema.yaml` and `schemas/schemaFuncs.py`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Literal

from cvtbatch.errors import InputError

Number = int | float
Value = Number | bool | str | None | tuple[Number, ...]
Kind = Literal["whole number", "number", "true or false", "word", "list of whole numbers", "list of numbers"]
INTERPOLATORS = tuple(
    f"sitk{name}"
    for name in (
        *("NearestNeighbor", "Linear", "BSpline", "Gaussian", "LabelGaussian", "HammingWindowedSinc"),
        *("CosineWindowedSinc", "WelchWindowedSinc", "LanczosWindowedSinc", "BlackmanWindowedSinc"),
    )
)

_ORDERS = "1.1 1.3 1.5 2.2 2.4 2.6 2.8 3.1 3.3 3.5 3.7 3.9 4.4 5.5 6.8".split()
# The discrete ones of PyWavelets, which is loaded where it filters.
WAVELETS = (
    *(f"bior{order}" for order in _ORDERS),
    *(f"coif{order}" for order in range(1, 18)),
    *(f"db{order}" for order in range(1, 39)),
    *("dmey", "haar"),
    *(f"rbio{order}" for order in _ORDERS),
    *(f"sym{order}" for order in range(2, 21)),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting may be.

    Attributes:
        attribute: its name in the groups below.
        above, least, most: bounds of the number, or of each of a list; None for no bound.
        words: the words that are allowed.
        lengths: how many entries a list may have; the larger is None for any number.
        optional: whether it may be null, which turns it off.
    """

    attribute: str
    kind: Kind
    above: float | None = None
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    lengths: tuple[int, int | None] = (1, None)
    optional: bool = False

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a value, a list or tuple where a list is asked for; None if nothing is."""
        if value is None:
            return None if self.optional else f"is null (it takes a {self.kind})"
        if self.kind in ("list of whole numbers", "list of numbers"):
            if not isinstance(value, list | tuple):
                return f"is no {self.kind}"
            least, most = self.lengths
            if not least <= len(value) <= (most or len(value)):
                limit = f"at least {least}" if most is None else f"{least}" if most == least else f"{least} to {most}"
                return f"has {len(value)} entries (limit {limit})"
            return next((found for found in map(self._entry_problem, value) if found), None)
        return self._entry_problem(value)

    def _entry_problem(self, value: object) -> str | None:
        if self.kind == "true or false":
            return None if isinstance(value, bool) else "is neither true nor false"
        if self.kind == "word":
            return None if value in self.words else f"is not one of {', '.join(self.words)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"is no {self.kind}"
        if "whole" in self.kind and not float(value).is_integer():
            return f"is no {self.kind}"
        if not math.isfinite(value):
            return "is out of range (limit: finite)"
        if self.above is not None and not value > self.above:
            return f"is out of range (limit: above {self.above:g})"
        if self.least is not None and not value >= self.least:
            return f"is out of range (limit: at least {self.least:g})"
        if self.most is not None and not value <= self.most:
            return f"is out of range (limit: at most {self.most:g})"
        return None

    def convert(self, value: object) -> Value:
        """Return a value that has no problem in its own type; a list's entries stay as they are written, for they name images."""
        if isinstance(value, list | tuple):
            return tuple(int(entry) for entry in value) if "whole" in self.kind else tuple(value)
        if self.kind == "number" and isinstance(value, int | float):
            return float(value)
        if self.kind == "whole number" and isinstance(value, int | float):
            return int(value)
        return value  # type: ignore[return-value]


# By PyRadiomics' keys, and those of ours.
RULES: Mapping[str, Rule] = {
    "label": Rule("label", "whole number", above=0),
    "label_channel": Rule("label_channel", "whole number", least=0),
    "geometryTolerance": Rule("geometry_tolerance", "number", above=0, optional=True),
    "correctMask": Rule("correct_mask", "true or false"),
    "minimumROIDimensions": Rule("minimum_roi_dimensions", "whole number", least=1, most=3),
    "minimumROISize": Rule("minimum_roi_size", "whole number", above=0, optional=True),
    "normalize": Rule("normalize", "true or false"),
    "normalizeScale": Rule("normalize_scale", "number", above=0),
    "removeOutliers": Rule("remove_outliers", "number", above=0, optional=True),
    "resampledPixelSpacing": Rule("resampled_spacing_mm", "list of numbers", least=0, lengths=(3, 3), optional=True),
    "interpolator": Rule("interpolator", "word", words=INTERPOLATORS, optional=True),
    "preCrop": Rule("pre_crop", "true or false"),
    "padDistance": Rule("pad_distance", "whole number", least=0),
    "resegmentRange": Rule("resegment_range", "list of numbers", lengths=(1, 2), optional=True),
    "resegmentMode": Rule("resegment_mode", "word", words=("absolute", "relative", "sigma")),
    "resegmentShape": Rule("resegment_shape", "true or false"),
    "additionalInfo": Rule("additional_info", "true or false"),
    "processing": Rule("processing", "word", words=("ibsi",)),
    "resegmentOutliers": Rule("resegment_outliers", "number", above=0, optional=True),
    "sigma": Rule("sigma_mm", "list of numbers", above=0, lengths=(0, None)),
    "wavelet": Rule("wavelet", "word", words=WAVELETS),
    "level": Rule("level", "whole number", above=0),
    "start_level": Rule("start_level", "whole number", least=0),
    "gradientUseSpacing": Rule("gradient_use_spacing", "true or false"),
    "lbp2DRadius": Rule("lbp2d_radius", "number", above=0),
    "lbp2DSamples": Rule("lbp2d_samples", "whole number", least=1),
    "lbp2DMethod": Rule("lbp2d_method", "word", words=("default", "ror", "uniform", "var")),
    "lbp3DLevels": Rule("lbp3d_levels", "whole number", least=1),
    "lbp3DIcosphereRadius": Rule("lbp3d_radius", "number", above=0),
    "lbp3DIcosphereSubdivision": Rule("lbp3d_subdivision", "whole number", least=0),
    "binWidth": Rule("bin_width", "number", above=0),
    "binCount": Rule("bin_count", "whole number", above=0, optional=True),
    "voxelArrayShift": Rule("voxel_array_shift", "whole number"),
    "distances": Rule("distances", "list of whole numbers", above=0),
    "force2D": Rule("force_2d", "true or false"),
    "force2Ddimension": Rule("force_2d_dimension", "whole number", least=0, most=2),
    "weightingNorm": Rule(
        "weighting_norm", "word", words=("euclidean", "manhattan", "infinity", "no_weighting"), optional=True
    ),
    "symmetricalGLCM": Rule("symmetrical_glcm", "true or false"),
    "gldm_a": Rule("gldm_a", "whole number", least=0),
}
KEYS: Mapping[str, str] = {rule.attribute: key for key, rule in RULES.items()}
# Keys that PyRadiomics does not know: of `IbsiPreparation`.
OWN_KEYS = ("processing", "resegmentOutliers")


class _Group:
    """What the groups share: checks, and the way back to PyRadiomics' keys."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for key, value in self.to_pyradiomics().items():
            if problem := RULES[key].problem(value):
                raise InputError("bad_setting", f"radiomics setting {key} = {value!r} {problem}")

    def to_pyradiomics(self) -> dict[str, Value]:
        """Return the settings under the keys of a parameter file."""
        return {KEYS[field.name]: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Preparation(_Group):
    """What happens to image and ROI before any filter.

    Attributes:
        label: value of the ROI's voxels in the mask.
        label_channel, correct_mask, additional_info: without effect here, see `setting_effects`.
        geometry_tolerance: of the two grids; None for SimpleITK's.
        minimum_roi_dimensions: axes along which the ROI must span more than one voxel (1 to 3).
        minimum_roi_size: the ROI must have more voxels than this; None for no limit.
        normalize: centre the whole volume at its mean and divide by its standard deviation, before anything else.
        normalize_scale: the factor after that division.
        remove_outliers: clip to as many standard deviations, before that factor; None for not.
        resampled_spacing_mm: (x, y, z) of the grid to compute on, 0 for as it is; None for the image's own.
        interpolator: SimpleITK's name; None for no resampling.
        pre_crop: crop to the ROI's box and `pad_distance` voxels around it before filtering.
        pad_distance: voxels around the ROI's box, where `pre_crop` or resampled.
        resegment_range: one or two thresholds, between which a voxel stays in the ROI; None for all of them.
        resegment_mode: gray values, shares of the ROI's maximum, or standard deviations from its mean.
        resegment_shape: whether shape is that of the ROI after it.
    """

    label: int = 1
    label_channel: int = 0
    geometry_tolerance: float | None = None
    correct_mask: bool = False
    minimum_roi_dimensions: int = 2
    minimum_roi_size: int | None = None
    normalize: bool = False
    normalize_scale: float = 1.0
    remove_outliers: float | None = None
    resampled_spacing_mm: tuple[float, float, float] | None = None
    interpolator: str | None = "sitkBSpline"
    pre_crop: bool = False
    pad_distance: int = 5
    resegment_range: tuple[float, ...] | None = None
    resegment_mode: str = "absolute"
    resegment_shape: bool = False
    additional_info: bool = True

    @property
    def resampled(self) -> bool:
        """Whether image and mask are resampled."""
        return self.resampled_spacing_mm is not None and self.interpolator is not None

    @property
    def first_bin_edge(self) -> float | None:
        """Where bins of a width start; None for the multiple of the width at or below the ROI's minimum, as PyRadiomics has it."""
        return None


@dataclass(frozen=True, slots=True)
class IbsiPreparation(Preparation):
    """What happens to image and ROI in the order of IBSI, the Image Biomarker Standardisation Initiative, see `ibsi_processing`.

    Of the settings above, those that belong to PyRadiomics' order alone must be left out (`ibsi_problems`).

    Attributes:
        resegment_outliers: after `resegment_range`, keep what lies within as many standard deviations from the mean; None for all.
    """

    processing: str = "ibsi"
    resegment_outliers: float | None = None

    def __post_init__(self) -> None:
        Preparation.__post_init__(self)
        values: dict[str, Value] = {field.name: getattr(self, field.name) for field in fields(self)}
        for key, reason in ibsi_problems(values):
            raise InputError("bad_setting", f"radiomics setting {key} = {values[RULES[key].attribute]!r} {reason}")

    @property
    def first_bin_edge(self) -> float | None:
        """The lower bound of resegmentation; None where there is none."""
        return min(self.resegment_range) if self.resegment_range else None


# What `processing: ibsi` takes of PyRadiomics' settings, its default first.
_WITH_IBSI: Mapping[str, tuple[tuple[Value, ...], str]] = {
    "normalize": ((False,), "false: gray values are HU"),
    "resegment_mode": (("absolute",), "absolute, in HU"),
    "resegment_shape": ((False,), "false: shape is that of the morphological mask"),
    "interpolator": (("sitkBSpline", "sitkLinear", None), "sitkLinear or sitkBSpline"),
}


def ibsi_problems(values: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Yield each key whose value, by attribute, `processing: ibsi` does not take, and why."""
    for attribute, (taken, limit) in _WITH_IBSI.items():
        if values.get(attribute, taken[0]) not in taken:
            yield KEYS[attribute], f"is not taken with processing: ibsi (limit: {limit})"


@dataclass(frozen=True, slots=True)
class Filtering(_Group):
    """Of the filters, each reads its own.

    Attributes:
        sigma_mm: one LoG image each; as written, for 1 and 1.0 give images of different names.
        wavelet, level, start_level: of PyWavelets; images of `level` levels after `start_level`.
        gradient_use_spacing: differences by mm, not by voxel.
        lbp2d_radius, lbp2d_samples, lbp2d_method, lbp3d_levels, lbp3d_radius, lbp3d_subdivision: of local binary patterns.
    """

    sigma_mm: tuple[Number, ...] = ()
    wavelet: str = "coif1"
    level: int = 1
    start_level: int = 0
    gradient_use_spacing: bool = True
    lbp2d_radius: float = 1.0
    lbp2d_samples: int = 8
    lbp2d_method: str = "uniform"
    lbp3d_levels: int = 2
    lbp3d_radius: float = 1.0
    lbp3d_subdivision: int = 1


@dataclass(frozen=True, slots=True)
class Calculation(_Group):
    """How the features of one image are computed.

    Attributes:
        bin_width: width of a gray level, in the units of the filtered image (HU for the original).
        bin_count: number of gray levels instead; None for a width.
        voxel_array_shift: added to gray values before Energy, TotalEnergy and RootMeanSquared are taken (HU).
        distances: between neighbours of GLCM, GLDM and NGTDM, in voxels.
        force_2d: neighbours, runs, zones and wavelets lie in planes.
        force_2d_dimension: the axis across those planes, of (z, y, x).
        weighting_norm: of the distance by which angles of GLCM and GLRLM are weighted into one; None for means over angles.
        symmetrical_glcm: count each pair both ways.
        gldm_a: gray levels apart that still depend on each other.
    """

    bin_width: float = 25.0
    bin_count: int | None = None
    voxel_array_shift: int = 0
    distances: tuple[int, ...] = (1,)
    force_2d: bool = False
    force_2d_dimension: int = 0
    weighting_norm: str | None = None
    symmetrical_glcm: bool = True
    gldm_a: int = 0

    @property
    def repeats_distances(self) -> bool:
        """Whether a distance is listed twice: PyRadiomics then takes more angles, further down its list of them."""
        return len(set(self.distances)) < len(self.distances)
