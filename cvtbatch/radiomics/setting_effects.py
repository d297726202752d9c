"""Which settings of a set change no value, and why: they are said to be without effect, and not passed over."""

from collections.abc import Callable, Mapping

from cvtbatch.radiomics.feature_names import DISTANCE_CLASSES
from cvtbatch.radiomics.feature_set import FeatureSet, ImageType
from cvtbatch.radiomics.settings import IbsiPreparation, Preparation

_PREPARATION: Mapping[str, Callable[[Preparation], str]] = {
    "additionalInfo": lambda _: "diagnostics are no features",
    "label_channel": lambda _: "a mask of several channels is refused",
    "correctMask": lambda _: "a mask on another grid than the image's is refused",
    "normalizeScale": lambda own: "" if own.normalize else "normalize is not true",
    "removeOutliers": lambda own: "" if own.normalize else "normalize is not true",
    "interpolator": lambda own: "" if own.resampled_spacing_mm else "there is no resampledPixelSpacing",
    "resampledPixelSpacing": lambda own: "" if own.interpolator else "interpolator is null",
    "preCrop": lambda own: "resampling crops to the ROI and padDistance" if own.resampled else "",
    "padDistance": lambda own: "" if own.resampled or own.pre_crop else "preCrop is not true and nothing is resampled",
    "resegmentMode": lambda own: "" if own.resegment_range else "there is no resegmentRange",
    "resegmentShape": lambda own: "" if own.resegment_range else "there is no resegmentRange",
}
_IMAGE_TYPE_OF = {
    "sigma": "LoG",
    "wavelet": "Wavelet",
    "level": "Wavelet",
    "start_level": "Wavelet",
    "gradientUseSpacing": "Gradient",
    **dict.fromkeys(("lbp2DRadius", "lbp2DSamples", "lbp2DMethod"), "LBP2D"),
    **dict.fromkeys(("lbp3DLevels", "lbp3DIcosphereRadius", "lbp3DIcosphereSubdivision"), "LBP3D"),
}
_CLASSES_OF = {
    "voxelArrayShift": ("firstorder",),
    "distances": DISTANCE_CLASSES,
    "weightingNorm": ("glcm", "glrlm"),
    "symmetricalGLCM": ("glcm",),
    "gldm_a": ("gldm",),
}


def without_effect(key: str, feature_set: FeatureSet, image_type: ImageType | None = None) -> str | None:
    """Return why a setting of the set, or of one image type, changes nothing; None where it does."""
    if key in ("preCrop", "padDistance") and isinstance(feature_set.preparation, IbsiPreparation):
        return "with processing: ibsi no filter is computed"
    if key in _PREPARATION:
        return _PREPARATION[key](feature_set.preparation) or None
    image_types = feature_set.image_types if image_type is None else (image_type,)
    if key in _IMAGE_TYPE_OF and _IMAGE_TYPE_OF[key] not in {found.name for found in image_types}:
        return f"it is of image type {_IMAGE_TYPE_OF[key]}"
    classes = _CLASSES_OF.get(key, ())
    if classes and not set(classes) & set(feature_set.image_classes()):
        return f"it is of feature class {', '.join(classes)}"
    if key == "binWidth" and all(found.calculation.bin_count is not None for found in image_types):
        return "binCount says how many gray levels there are"
    if key == "force2Ddimension" and not any(found.calculation.force_2d for found in image_types):
        return "force2D is not true"
    return None
