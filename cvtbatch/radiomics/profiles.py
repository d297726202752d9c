"""The two profiles of the study's features, and parameter files that change their settings.

A profile is a feature set whose names are the study's. Its eight settings stand in the specification of a store's table
`radiomics`; every other one has PyRadiomics' default and cannot be changed: the features' names would stay and their meaning would
not.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.nearest import did_you_mean
from cvtbatch.radiomics.feature_set import FeatureSet, ImageType
from cvtbatch.radiomics.parameter_file import check_parameters, read_parameters
from cvtbatch.radiomics.settings import RULES, Calculation, Filtering, Preparation, Value

Engine = Literal["fast", "pyradiomics"]
# What a profile may set, by PyRadiomics' keys.
STUDY_SETTINGS = (
    *("binWidth", "voxelArrayShift", "normalize", "normalizeScale"),
    *("preCrop", "padDistance", "minimumROIDimensions", "minimumROISize"),
)
# These change no value, whatever they are.
_FREE_SETTINGS = frozenset({"additionalInfo", "force2Ddimension", "interpolator", "sigma", "geometryTolerance"})
IMAGE_TYPES = (
    *("Original", "LoG", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP3D"),
)
_SIGMA_MM = (1.0, 2.0, 3.0)
_CHECK = "`cvtbatch profile check FILE` says what becomes of each key"


def _study_set(preparation: Preparation, calculation: Calculation) -> FeatureSet:
    image_types = tuple(
        ImageType(name, Filtering(sigma_mm=_SIGMA_MM) if name == "LoG" else Filtering(), calculation)
        for name in IMAGE_TYPES
    )
    classes: dict[str, list[str]] = {}
    for column in contracts.feature_names():
        image, name, feature = column.split("_")
        if image == "original":
            classes.setdefault(name, []).append(feature)
    listed = tuple((name, tuple(features)) for name, features in classes.items())
    return FeatureSet(preparation, Filtering(), calculation, image_types, listed)


_CVT = Preparation(pre_crop=True, pad_distance=10)
PROFILES: Mapping[str, FeatureSet] = {
    "cvt-1834": _study_set(_CVT, Calculation(bin_width=5.0)),
    "onekey-1834": _study_set(
        replace(_CVT, normalize=True, normalize_scale=1000.0), Calculation(bin_width=5.0, voxel_array_shift=1000)
    ),
}


def study_settings(profile: FeatureSet) -> dict[str, Value]:
    """Return what the specification of a profile says: its eight settings under PyRadiomics' keys."""
    settings = profile.settings()
    return {key: settings[key] for key in STUDY_SETTINGS}


def profile_of(settings: Mapping[str, object]) -> FeatureSet:
    """Return the profile that a specification tells of, as `study_settings` gave it.

    Raises:
        ProblemsError: a setting is unknown, of the wrong type or out of range.
    """
    problems = [f"setting {key} is not one of a profile's" for key in settings if key not in STUDY_SETTINGS]
    for key in STUDY_SETTINGS:
        value = settings.get(key)
        if key not in settings:
            problems.append(f"setting {key} is missing")
        elif problem := RULES[key].problem(value):
            problems.append(f"setting {key} = {value!r} {problem}")
    if problems:
        raise ProblemsError.of("bad_setting", "the settings of a radiomics specification", problems)
    values = {RULES[key].attribute: RULES[key].convert(settings[key]) for key in STUDY_SETTINGS}
    calculation = Calculation(
        **{name: values.pop(name) for name in ("bin_width", "voxel_array_shift")}  # type: ignore[arg-type]
    )
    return _study_set(Preparation(**values), calculation)  # type: ignore[arg-type]


def load_profile(profile: str | os.PathLike[str]) -> FeatureSet:
    """Return a named profile, or the settings of a PyRadiomics parameter file on the study's features.

    A file may change the eight settings; image types and features, where it lists them, must be the study's.

    Raises:
        InputError: there is no such profile or file, or it is not YAML.
        ProblemsError: with every key of the file that is refused, or not the study's.
    """
    if not isinstance(profile, str | os.PathLike):
        raise InputError(
            "bad_argument", f"profile is a name, a parameter file or a FeatureSet, not a {type(profile).__name__}"
        )
    profile = os.fspath(profile)
    if profile in PROFILES:
        return PROFILES[profile]
    path = Path(profile)
    if not path.is_file():
        what = "there is no such file" if path.suffix else "there is no such profile"
        what = "this is a folder" if path.is_dir() else what
        raise InputError(
            "no_profile",
            f"radiomics.profile {profile!r}: {what}; {did_you_mean(profile, PROFILES)}it is {' or '.join(PROFILES)}, or the path "
            "of a PyRadiomics parameter file",
        )
    content = read_parameters(path)
    found = check_parameters(content)
    if found.feature_set is None:
        raise ProblemsError.of("bad_parameter_file", f"parameter file {path}", found.problems(), advice=_CHECK)
    listed = {name for name in ("imageType", "featureClass") if content.get(name)}
    if problems := _differences(found.feature_set, listed):
        raise ProblemsError.of("bad_parameter_file", f"parameter file {path}", problems, advice=_advice())
    return profile_of(study_settings(found.feature_set))


def _advice() -> str:
    """Say what a job's parameter file may hold, with one that is whole, and what computes any other."""
    return (
        "--params FILE instead of radiomics.profile computes the file as it is, into a table of its own, and "
        "cvtbatch.extract_features(ct, mask, params=FILE) of one case. As a profile, "
        f"the features are always the study's {len(contracts.feature_names()):,}: leave imageType and featureClass out, "
        f'and under setting keep none but {", ".join(STUDY_SETTINGS)}, as the whole file "setting: {{binWidth: 25}}" does. {_CHECK}'
    )


def _differences(found: FeatureSet, listed: set[str]) -> list[str]:
    """Say where a set is not the study's, in the sections that a file lists and in the settings that no profile changes."""
    study = profile_of(study_settings(found))
    whose, settings = f"the {len(contracts.feature_names()):,}", study.settings()
    problems = [
        f"setting {key} = {json.dumps(value)} is not supported: it is {json.dumps(settings.get(key))} for {whose}"
        for key, value in found.settings().items()
        if key not in _FREE_SETTINGS and value != settings.get(key)
    ]
    if "imageType" in listed:
        problems += _image_type_differences(found, study, whose)
    if "featureClass" in listed:
        problems += _class_differences(found, study, whose)
    return problems


def _image_type_differences(found: FeatureSet, study: FeatureSet, whose: str) -> list[str]:
    ours, theirs = ({one.name: one for one in each.image_types} for each in (study, found))
    problems = [f"image type {name} is not among {whose}" for name in theirs if name not in ours]
    problems += [f"image type {name} is missing; {whose} need it" for name in ours if name not in theirs]
    for name in ours.keys() & theirs.keys():
        for group, wanted in (
            (theirs[name].filtering, ours[name].filtering),
            (theirs[name].calculation, ours[name].calculation),
        ):
            wanted_values = wanted.to_pyradiomics()
            problems += [
                f"image type {name}: setting {key} must be {json.dumps(wanted_values[key])}, not {json.dumps(value)}"
                for key, value in group.to_pyradiomics().items()
                if value != wanted_values[key] and not (key in _FREE_SETTINGS and name != "LoG")
            ]
    return problems


def _class_differences(found: FeatureSet, study: FeatureSet, whose: str) -> list[str]:
    ours, theirs = dict(study.classes), dict(found.classes)
    problems = [f"feature class {name} is not among {whose}" for name in theirs if name not in ours]
    problems += [f"feature class {name} is missing; {whose} need it" for name in ours if name not in theirs]
    for name in ours.keys() & theirs.keys():
        for what, features in (
            ("left out, and among", sorted(set(ours[name]) - set(theirs[name]))),
            ("not among", sorted(set(theirs[name]) - set(ours[name]))),
        ):
            if features:
                problems.append(f"feature class {name}: {', '.join(features)}: {what} {whose}")
    return problems
