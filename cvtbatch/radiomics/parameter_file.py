"""PyRadiomics parameter files: what becomes of each key, and the feature set that they ask for.

A file is taken as PyRadiomics takes it, or it is refused: no key is passed over in silence. Three things are read that PyRadiomics
refuses: an empty section or image type, as if it were `{}`, a whole number written as 10.0, and the setting `processing: ibsi`
with the one that belongs to it.

Source: PyRadiomics 3.0.1, `featureextractor._applyParams` and `schemas/paramSchema.yaml`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.extras import installed
from cvtbatch.nearest import did_you_mean
from cvtbatch.radiomics.feature_names import DEPRECATED, FEATURES, IMAGE_TYPES, WITHOUT_VALUE
from cvtbatch.radiomics.feature_set import FeatureSet, ImageType, ibsi_set_problems
from cvtbatch.radiomics.setting_effects import without_effect
from cvtbatch.radiomics.settings import (
    INTERPOLATORS,
    RULES,
    Calculation,
    Filtering,
    IbsiPreparation,
    Preparation,
    Value,
    ibsi_problems,
)

SECTIONS = ("imageType", "featureClass", "setting")
_PREPARATION = frozenset(field.name for field in fields(IbsiPreparation))
_FILTERING = frozenset(field.name for field in fields(Filtering))
_CALCULATION = frozenset(field.name for field in fields(Calculation))
Outcome = Literal["fast", "stock", "no effect", "refused", "accepted"]
# Once SimpleITK's number of the B-spline, now 23; PyRadiomics' schema takes it still, and its resampling fails.
_LOST_NUMBER = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one key of a file.

    Attributes:
        key: with its section, e.g. "imageType.LoG.sigma".
        value: as the file has it.
        outcome: "accepted" where another key of the file is refused, so that no engine computes it.
        reason: why it is not computed by the fast engine; empty where it is.
    """

    key: str
    value: object
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ParameterCheck:
    """Every key of a file, and the set that it asks for; None where something is refused."""

    verdicts: tuple[Verdict, ...]
    feature_set: FeatureSet | None

    def problems(self) -> list[str]:
        """Return what is refused, each with its reason."""
        return [f"{found.key}: {found.reason}" for found in self.verdicts if found.outcome == "refused"]


def read_parameters(path: str | os.PathLike[str]) -> dict[object, object]:
    """Read a parameter file, YAML 1.2 or JSON, with the library with which PyRadiomics reads it: in YAML 1.1 `010` is 8.

    Raises:
        InputError: this is no path, the file cannot be read, or it holds no mapping.
    """
    # Late: workers are given what a file says.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not isinstance(path, str | os.PathLike):
        raise InputError(
            "bad_argument",
            f"params is the path of a PyRadiomics parameter file, YAML or JSON, not a {type(path).__name__}",
        )
    path = Path(path)
    if path.is_dir():
        raise InputError("no_parameter_file", f"{path} is a folder: name the parameter file in it")
    if not path.is_file():
        raise InputError("no_parameter_file", f"there is no parameter file {path}")
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("no_parameter_file", f"parameter file {path} cannot be read", str(error)) from None
    except (YAMLError, UnicodeDecodeError) as error:
        told = str(error).partition("\n\n")[0]  # below it stands advice to programmers
        raise InputError("bad_parameter_file", f"parameter file {path} is not YAML: {told}") from None
    if not isinstance(content, dict):
        raise InputError(
            "bad_parameter_file",
            f"parameter file {path} holds none of {', '.join(SECTIONS)}: `cvtbatch profile show cvt-1834` prints one to begin with",
        )
    return content


def load_feature_set(path: str | os.PathLike[str]) -> FeatureSet:
    """Return the set that a parameter file asks for.

    Raises:
        InputError: it cannot be read.
        ProblemsError: with every key of the file that is refused.
    """
    found = check_parameters(read_parameters(path))
    if found.feature_set is None:
        raise ProblemsError.of("bad_parameter_file", f"parameter file {path}", found.problems())
    return found.feature_set


def check_parameters(content: Mapping[object, object]) -> ParameterCheck:
    """Return what becomes of every key of a parameter file's content."""
    return _Reader(content).check()


class _Reader:
    """One pass over a file's content; what is refused is gathered on the way."""

    def __init__(self, content: Mapping[object, object]) -> None:
        self._verdicts: list[Verdict] = []
        for key in content:
            if key == "voxelSetting":
                self._refuse("voxelSetting", content[key], "maps of features by voxel are not computed")
            elif key in RULES:
                self._refuse(str(key), content[key], "move it to the section 'setting'")
            elif key not in SECTIONS:
                self._refuse(str(key), content[key], _unknown(str(key), SECTIONS))
        self._image_types = self._section("imageType", content.get("imageType"))
        self._classes = self._section("featureClass", content.get("featureClass"))
        self._settings = self._section("setting", content.get("setting"))

    def check(self) -> ParameterCheck:
        common = self._read_settings("setting", self._settings)
        own = {name: self._read_image_type(name, value) for name, value in self._image_types.items()}
        classes = self._read_classes(common)
        self._check_processing(common)
        if self._verdicts:
            return self._refused()
        order = IbsiPreparation if "processing" in common else Preparation
        preparation = order(**_part(common, _PREPARATION))  # type: ignore[arg-type]
        filtering = Filtering(**_part(common, _FILTERING))  # type: ignore[arg-type]
        calculation = Calculation(**_part(common, _CALCULATION))  # type: ignore[arg-type]
        image_types = tuple(
            ImageType(
                name,
                replace(filtering, **_part(changed, _FILTERING)),  # type: ignore[arg-type]
                replace(calculation, **_part(changed, _CALCULATION)),  # type: ignore[arg-type]
            )
            for name, changed in (own or {"Original": {}}).items()
        )
        for found in image_types:
            if found.name == "LoG":
                self._check_sigmas(found)
        for key, reason in ibsi_set_problems(preparation, image_types):
            self._refuse(key, None, reason)
        if not self._verdicts:
            try:
                feature_set = FeatureSet(preparation, filtering, calculation, image_types, tuple(classes.items()))
            except InputError as error:
                self._refuse("imageType and featureClass", None, error.message)
            else:
                return ParameterCheck(tuple(self._judge(feature_set)), feature_set)
        return self._refused()

    def _refused(self) -> ParameterCheck:
        """Return what is refused, and after it the keys that are not."""
        refused = [one.key for one in self._verdicts]
        accepted = (
            Verdict(key, value, "accepted")
            for key, value in self._keys()
            if not any(one == key or one.startswith(f"{key}.") for one in refused)
        )
        return ParameterCheck((*self._verdicts, *accepted), None)

    def _keys(self) -> Iterator[tuple[str, object]]:
        """Yield every key of the three sections with its value, in the file's order."""
        for name, own in self._image_types.items():
            yield f"imageType.{name}", own
            yield from (
                ((f"imageType.{name}.{key}", value) for key, value in own.items()) if isinstance(own, dict) else ()
            )
        yield from ((f"featureClass.{name}", features) for name, features in self._classes.items())
        yield from ((f"setting.{key}", value) for key, value in self._settings.items())

    def _check_sigmas(self, log: ImageType) -> None:
        sigmas, names = log.filtering.sigma_mm, log.image_names()
        if not sigmas:
            self._refuse("imageType.LoG", self._image_types["LoG"], "sigma is missing: it names the images, in mm")
        for sigma in sorted({sigma for sigma, name in zip(sigmas, names, strict=True) if names.count(name) > 1}):
            self._refuse("imageType.LoG.sigma", list(sigmas), f"lists {sigma} twice: two images would have one name")

    def _refuse(self, key: str, value: object, reason: str) -> None:
        self._verdicts.append(Verdict(key, value, "refused", reason))

    def _section(self, key: str, value: object) -> dict[str, object]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._refuse(key, value, f"{value!r} is no mapping")
            return {}
        return {str(name): part for name, part in value.items()}

    def _read_settings(self, path: str, settings: Mapping[str, object]) -> dict[str, Value]:
        """Return values by attribute."""
        found = {}
        for key, value in settings.items():
            if key not in RULES:
                self._refuse(f"{path}.{key}", value, _unknown(key, RULES))
                continue
            rule, given = RULES[key], value
            if key == "interpolator" and type(value) is int and 1 <= value <= len(INTERPOLATORS):
                given = INTERPOLATORS[value - 1]
            if key == "interpolator" and value == _LOST_NUMBER:
                reason = f"{value} is no interpolator of today's SimpleITK, and PyRadiomics fails: write sitkBSpline"
                self._refuse(f"{path}.{key}", value, reason)
            elif problem := rule.problem(given):
                self._refuse(f"{path}.{key}", value, f"{value!r} {problem}")
            elif path != "setting" and rule.attribute in _PREPARATION:
                reason = "PyRadiomics does not read it from an image type: move it to the section 'setting'"
                self._refuse(f"{path}.{key}", value, reason)
            else:
                found[rule.attribute] = rule.convert(given)
        return found

    def _read_image_type(self, name: str, own: object) -> dict[str, Value]:
        path = f"imageType.{name}"
        if name not in IMAGE_TYPES:
            self._refuse(path, own, _unknown(name, IMAGE_TYPES))
        elif name == "LBP2D" and not installed("skimage"):
            self._refuse(
                path, own, "PyRadiomics computes it by scikit-image, which is not here: pip install 'cvtbatch[stock]'"
            )
        return self._read_settings(path, self._section(path, own))

    def _read_classes(self, common: Mapping[str, Value]) -> dict[str, tuple[str, ...]]:
        if not self._classes:
            with_2d = common.get("force_2d") is True and common.get("force_2d_dimension", 0) != 1
            return {name: features for name, features in FEATURES.items() if name != "shape2D" or with_2d}
        found = {}
        for name, chosen in self._classes.items():
            path = f"featureClass.{name}"
            if name not in FEATURES:
                self._refuse(path, chosen, _unknown(name, FEATURES))
            elif chosen is not None and not (
                isinstance(chosen, list) and all(isinstance(word, str) for word in chosen)
            ):
                self._refuse(path, chosen, f"{chosen!r} is no list of features")
            else:
                found[name] = tuple(chosen or FEATURES[name])
                self._check_features(path, name, found[name])
        if "shape2D" in found:
            self._check_shape_2d(common)
        return found

    def _check_features(self, path: str, name: str, features: tuple[str, ...]) -> None:
        known = (*FEATURES[name], *DEPRECATED.get(name, ()))
        for feature in features:
            if equal := WITHOUT_VALUE.get(name, {}).get(feature):
                reason = f"deprecated, PyRadiomics gives no value; {equal}: leave it out"
                self._refuse(f"{path}.{feature}", None, reason)
            elif feature not in known:
                self._refuse(f"{path}.{feature}", None, _unknown(feature, known))
        for feature in sorted({feature for feature in features if features.count(feature) > 1}):
            self._refuse(f"{path}.{feature}", None, "is listed twice")

    def _check_shape_2d(self, common: Mapping[str, Value]) -> None:
        value = self._classes["shape2D"]
        if common.get("force_2d") is not True:
            self._refuse("featureClass.shape2D", value, "PyRadiomics leaves it out unless setting force2D is true")
        elif common.get("force_2d_dimension", 0) == 1:
            self._refuse("featureClass.shape2D", value, "PyRadiomics leaves it out where force2Ddimension is 1")

    def _check_processing(self, common: Mapping[str, Value]) -> None:
        if "processing" in common:
            for key, reason in ibsi_problems(common):
                self._refuse(f"setting.{key}", self._settings[key], f"{self._settings[key]!r} {reason}")
        elif "resegment_outliers" in common:
            reason = "PyRadiomics 3.0.1 does not know it: it is of processing: ibsi"
            self._refuse("setting.resegmentOutliers", self._settings["resegmentOutliers"], reason)

    def _judge(self, feature_set: FeatureSet) -> Iterator[Verdict]:
        """Yield a verdict for each key of a file of which nothing is refused."""
        stock = {
            reason.partition(" ")[0]: f"{reason}: PyRadiomics computes the whole set"
            for reason in feature_set.stock_reasons()
        }
        computed: Outcome = "stock" if stock else "fast"
        for found in feature_set.image_types:
            path, own = f"imageType.{found.name}", self._image_types.get(found.name)
            if feature_set.image_classes():
                yield Verdict(path, own, computed, stock.get(found.name, ""))
            else:
                yield Verdict(path, own, "no effect", "no feature class is computed of images")
            for key, value in own.items() if isinstance(own, dict) else ():
                idle = without_effect(key, feature_set, found)
                yield _verdict(f"{path}.{key}", value, computed, stock.get(key, ""), idle)
        for name, features in feature_set.classes:
            yield Verdict(f"featureClass.{name}", list(features), computed)
        for key, value in self._settings.items():
            yield _verdict(f"setting.{key}", value, computed, stock.get(key, ""), without_effect(key, feature_set))


def _verdict(key: str, value: object, computed: Outcome, reason: str, idle: str | None) -> Verdict:
    if value is None:
        idle = idle or "null turns it off"
    return Verdict(key, value, "no effect", idle) if idle else Verdict(key, value, computed, reason)


def _part(values: Mapping[str, Value], names: frozenset[str]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name in names}


def _unknown(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Say that PyRadiomics does not know a name, and which one may have been meant."""
    return f"{did_you_mean(name, known)}PyRadiomics 3.0.1 does not know it"
