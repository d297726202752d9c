"""Parameter files and small ROIs from a seed, for the fast engine beside stock PyRadiomics."""

import logging
import warnings

import numpy as np
import SimpleITK as sitk

from cvtbatch.radiomics.feature_names import DEPRECATED, FEATURES

Document = dict[str, dict[str, object]]


def stock_values(document: Document, ct: sitk.Image, mask: sitk.Image) -> dict[str, float]:
    """What PyRadiomics makes of the document itself; it refuses by ValueError or RuntimeError."""
    import radiomics
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    radiomics.setVerbosity(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = RadiomicsFeatureExtractor(document)
        extractor.settings["additionalInfo"] = False
        found = extractor.execute(ct, mask)
    return {name: float(np.real(value)) for name, value in found.items()}


def random_parameters(rng: np.random.Generator) -> Document:
    """A parameter file that the fast engine computes; most keys of most files are left out."""

    def one(*choices: object) -> object:
        return choices[rng.integers(len(choices))]

    def maybe(share: float, **settings: object) -> dict[str, object]:
        return settings if rng.random() < share else {}

    calculation = {
        **maybe(0.8, binWidth=one(2, 5, 10.0, 25)),
        **maybe(0.15, binCount=one(1, 4, 16, 32)),
        **maybe(0.2, voxelArrayShift=one(0, 300, 1000)),
        **maybe(0.25, distances=one([1], [2], [1, 2], [1, 3], [4])),
        **maybe(0.3, weightingNorm=one("euclidean", "manhattan", "infinity", "no_weighting", None)),
        **maybe(0.25, symmetricalGLCM=one(True, False)),
        **maybe(0.25, gldm_a=one(0, 1, 3)),
    }
    setting = {
        **calculation,
        **maybe(0.25, force2D=one(True, True, False), force2Ddimension=one(0, 0, 1, 2)),
        **maybe(0.2, normalize=True, normalizeScale=one(1, 100, 50.5), **maybe(0.5, removeOutliers=one(1, 2.5, 3))),
        **maybe(0.3, resampledPixelSpacing=one([1, 1, 1], [2, 2, 2], [2.5, 2, 0], [3, 3, 0], [0, 0, 0])),
        **maybe(0.2, interpolator=one("sitkBSpline", "sitkLinear", "sitkNearestNeighbor")),
        **maybe(0.3, preCrop=one(True, False)),
        **maybe(0.5, padDistance=one(2, 5, 8)),
        **maybe(0.2, minimumROIDimensions=one(1, 2, 3), minimumROISize=one(None, 3, 20)),
        **maybe(
            0.25,
            **one(  # type: ignore[arg-type]
                {"resegmentRange": [-20, 60]},
                {"resegmentRange": [0.2, 0.9], "resegmentMode": "relative"},
                {"resegmentRange": [-1.5, 1.5], "resegmentMode": "sigma"},
                {"resegmentRange": [10], "resegmentMode": "absolute"},
            ),
            resegmentShape=one(True, False),
        ),
        **maybe(0.2, label=one(1, 2)),
        **maybe(0.3, additionalInfo=one(True, False)),
    }
    image_types: dict[str, object] = {
        "Original": maybe(0.2, **calculation),
        "LoG": {"sigma": one([1.0], [2.0, 1], [3.5]), **maybe(0.2, binWidth=one(3, 8))},
        "Wavelet": {
            **maybe(0.4, wavelet=one("coif1", "haar", "db2", "bior1.3")),
            **maybe(0.3, level=one(1, 2)),
            **maybe(0.2, start_level=one(0, 1)),
            **maybe(0.2, force2D=one(True, False)),
        },
        "Square": {},
        "SquareRoot": maybe(0.2, binCount=8),
        "Logarithm": {},
        "Exponential": {},
        "Gradient": maybe(0.5, gradientUseSpacing=one(True, False)),
        "LBP3D": {"binWidth": one(0.5, 1.0)},
    }
    chosen = rng.choice(list(image_types), rng.integers(1, 4), replace=False)
    classes: dict[str, object] = {}
    for name in rng.permutation([name for name in FEATURES if name != "shape2D"])[: rng.integers(1, 8)]:
        known = (*FEATURES[name], *DEPRECATED.get(name, ()))
        some = rng.choice(known, rng.integers(1, len(known) + 1), replace=False).tolist()
        classes[str(name)] = one(None, [], some)
    if setting.get("force2D") and setting["force2Ddimension"] != 1 and rng.random() < 0.5:
        classes["shape2D"] = None
    document: Document = {"imageType": {str(name): image_types[name] for name in chosen}, "setting": setting}
    # Of all classes PyRadiomics cannot compute shape2D in coronal planes, and then computes nothing.
    if rng.random() < 0.85 or setting.get("force2Ddimension") == 1:
        document["featureClass"] = classes
    return document


def random_roi(rng: np.random.Generator) -> tuple[sitk.Image, sitk.Image]:
    """A volume of 6 to 14 voxels an axis with a lumpy label 1, and some of label 2."""
    shape = tuple(int(n) for n in rng.integers(6, 15, 3))
    hu = rng.normal(30, 15, shape)
    if rng.random() < 0.5:
        hu = np.cumsum(hu - 30, axis=2) / 2 + 30
    mask = np.zeros(shape, np.uint8)
    z, y, x = np.indices(shape)
    middle = [n / 2 + rng.normal(0, 1) for n in shape]
    radius2 = ((z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2) * (1 + 0.4 * rng.random(shape))
    mask[radius2 < rng.uniform(3, 20)] = 1
    if rng.random() < 0.2:
        mask[np.arange(shape[0]) != int(middle[0])] = 0
    if rng.random() < 0.2:
        mask[mask == 1] = np.where(rng.random(int((mask == 1).sum())) < 0.7, 1, 2)
    ct, roi = sitk.GetImageFromArray(np.round(hu).astype(np.int16)), sitk.GetImageFromArray(mask)
    spacing = ((1.0, 1.0, 1.0), (0.7, 0.7, 3.0), (2.0, 2.0, 2.0), (1.0, 1.5, 2.5))[rng.integers(4)]
    for image in (ct, roi):
        image.SetSpacing(spacing)
        image.SetOrigin((-12.5, 3.25, 40.0))
    return ct, roi
