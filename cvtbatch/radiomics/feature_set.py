"""A set of features: what a PyRadiomics parameter file asks for, as a value.

The names of its columns, in the file's order, and the document that says the same to PyRadiomics both follow from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from cvtbatch.errors import InputError
from cvtbatch.radiomics.feature_names import DISTANCE_CLASSES, SHAPE_CLASSES
from cvtbatch.radiomics.settings import KEYS, Calculation, Filtering, IbsiPreparation, Preparation, Value

# A table of more columns than this is no table.
MAXIMUM_FEATURES = 10_000
_SINGLE_IMAGES = {
    "Original": "original",
    "Square": "square",
    "SquareRoot": "squareroot",
    "Logarithm": "logarithm",
    "Exponential": "exponential",
    "Gradient": "gradient",
    "LBP2D": "lbp-2D",
}


@dataclass(frozen=True, slots=True)
class ImageType:
    """One image type and its settings: those of the file, and over them its own."""

    name: str
    filtering: Filtering
    calculation: Calculation

    def image_names(self) -> tuple[str, ...]:
        """Return the images that the type gives, as they are called in the features' names."""
        if self.name == "LoG":
            return tuple(f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D" for sigma in self.filtering.sigma_mm)
        if self.name == "LBP3D":
            return (*(f"lbp-3D-m{level}" for level in range(1, self.filtering.lbp3d_levels + 1)), "lbp-3D-k")
        if self.name == "Wavelet":
            return self._wavelet_names()
        return (_SINGLE_IMAGES[self.name],)

    def _wavelet_names(self) -> tuple[str, ...]:
        bands = ["".join(band) for band in product("LH", repeat=2 if self.calculation.force_2d else 3)]
        prefixes = ["wavelet", *(f"wavelet{level}" for level in range(2, self.filtering.level + 1))]
        details = [f"{prefix}-{band}" for prefix in prefixes for band in bands[1:]]
        return (*details, f"{prefixes[-1]}-{bands[0]}")


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Which features are computed, of which images, and how.

    Attributes:
        image_types: in the file's order; no image is there twice.
        classes: features by class, both in the file's order; no feature is there twice.
        filtering, calculation: what holds where an image type has nothing of its own.
    """

    preparation: Preparation
    filtering: Filtering
    calculation: Calculation
    image_types: tuple[ImageType, ...]
    classes: tuple[tuple[str, tuple[str, ...]], ...]

    def __post_init__(self) -> None:
        for key, reason in ibsi_set_problems(self.preparation, self.image_types):
            raise InputError("bad_feature_set", f"{key}: {reason}")
        names = self.names()
        if not names:
            raise InputError("bad_feature_set", "the set has no features: name an image type and a feature class")
        if len(names) > MAXIMUM_FEATURES:
            raise InputError("bad_feature_set", f"the set has {len(names):,} features (limit {MAXIMUM_FEATURES:,})")
        if len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise InputError("bad_feature_set", f"two features of the set are named {twice}")

    def features(self, name: str) -> tuple[str, ...]:
        """Return the features of a class, none where it is not asked for."""
        return dict(self.classes).get(name, ())

    def shape_classes(self) -> tuple[str, ...]:
        """Return the classes that have one set of values an ROI; PyRadiomics computes them first, and in this order."""
        return tuple(name for name in SHAPE_CLASSES if self.features(name))

    def image_classes(self) -> tuple[str, ...]:
        """Return the classes that are computed of every image."""
        return tuple(name for name, _ in self.classes if name not in SHAPE_CLASSES)

    def names(self) -> tuple[str, ...]:
        """Return PyRadiomics' names of all features, in its order."""
        return tuple(self._names())

    def _names(self) -> Iterator[str]:
        for name in self.shape_classes():
            yield from (f"original_{name}_{feature}" for feature in self.features(name))
        for image_type in self.image_types:
            for image in image_type.image_names():
                for name in self.image_classes():
                    yield from (f"{image}_{name}_{feature}" for feature in self.features(name))

    def settings(self) -> dict[str, Value]:
        """Return every setting of the file, left out or not, under its keys."""
        return {
            **self.preparation.to_pyradiomics(),
            **self.filtering.to_pyradiomics(),
            **self.calculation.to_pyradiomics(),
        }

    def to_document(self) -> dict[str, dict[str, object]]:
        """Return the set as a parameter file that says everything: each setting, and of each class its features.

        Files that say the same in other words, or leave out what is a default, have equal documents.
        """
        common = self.settings()
        image_types = {
            found.name: {
                key: _plain(value)
                for key, value in {**found.filtering.to_pyradiomics(), **found.calculation.to_pyradiomics()}.items()
                if value != common[key]
            }
            for found in self.image_types
        }
        return {
            "imageType": dict(image_types),
            "featureClass": {name: list(features) for name, features in self.classes},
            "setting": {key: _plain(value) for key, value in common.items()},
        }

    @property
    def is_pyradiomics(self) -> bool:
        """Whether the values are to be PyRadiomics', so that it can be asked for them."""
        return not isinstance(self.preparation, IbsiPreparation)

    def stock_reasons(self) -> tuple[str, ...]:
        """Return why PyRadiomics itself has to compute the set; empty where the fast engine does."""
        reasons = []
        by_distance = set(DISTANCE_CLASSES) & set(self.image_classes())
        for found in self.image_types:
            if by_distance and found.calculation.repeats_distances:
                reasons.append(f"distances = {list(found.calculation.distances)} lists a number twice")
            if found.name == "LBP2D":
                reasons.append("LBP2D is a filter of scikit-image")
            if found.name != "LBP3D":
                continue
            own = found.filtering
            for attribute, fast in (("lbp3d_levels", 2), ("lbp3d_radius", 1.0), ("lbp3d_subdivision", 1)):
                if (value := getattr(own, attribute)) != fast:
                    reasons.append(f"{KEYS[attribute]} = {value:g} (the fast engine has {fast:g})")
        return tuple(dict.fromkeys(reasons))


def ibsi_set_problems(preparation: Preparation, image_types: Iterable[ImageType]) -> Iterator[tuple[str, str]]:
    """Yield what `processing: ibsi` does not take of a set, each key of the file with the reason; nothing without it."""
    if not isinstance(preparation, IbsiPreparation):
        return
    for found in image_types:
        if found.name != "Original":
            yield f"imageType.{found.name}", "processing: ibsi computes the image type Original alone"
        elif found.calculation.repeats_distances:
            yield "setting.distances", "lists a number twice, which PyRadiomics alone computes"
        elif found.calculation.bin_count is None and preparation.first_bin_edge is None:
            yield (
                "setting.resegmentRange",
                "is missing: with processing: ibsi bins of a width start at its lower bound; give it, or binCount",
            )


def _plain(value: Value) -> object:
    return list(value) if isinstance(value, tuple) else value
