"""What a job asks for of feature sets, turned into specifications: PyRadiomics parameter files, each on one grid.

A set is computed of what the store has, the stored volume and the stored mask, or of image and mask as their sources have them. A
file's `resampledPixelSpacing` resamples that one. In either mask the outline is 1, so that a file's `label` can only be 1; the
manifest chooses among labels of a file.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError, StorageError
from cvtbatch.pipelines.extraction.case_plan import FeatureGrid, FeatureWork
from cvtbatch.pipelines.shared.job import RadiomicsSection
from cvtbatch.radiomics import FeatureSet, load_feature_set
from cvtbatch.radiomics.feature_names import SHAPE_CLASSES
from cvtbatch.radiomics.parameter_file import check_parameters
from cvtbatch.spec import Spec, differences, feature_set_spec
from cvtbatch.store import SET_NAME, FeatureStore, set_contract, set_table

# These change no value of a stored mask's, whatever they are.
FREE = frozenset({"additionalInfo", "label", "label_channel", "correctMask", "geometryTolerance"})
SHOWN = 3


def resolve_sets(
    section: RadiomicsSection, volume: Spec, store_url: str
) -> tuple[tuple[FeatureWork, ...], tuple[Spec, ...]]:
    """Return what is computed of the feature sets of a job, and their specifications.

    Args:
        store_url: where the rows go; no store need be there yet.

    Raises:
        InputError: "bad_set_name": a name cannot be one; "bad_feature_set": the set cannot be computed of stored masks;
            "set_taken": the store has a set of this name and of other columns; a file cannot be read.
        ProblemsError: with every key of a parameter file that is refused.
    """
    _check_names([*section.sets.items(), *section.source_sets.items()])
    found = [resolve_set(name, section, volume) for name in (*section.sets, *section.source_sets)]
    specs = tuple(spec for _, spec in found)
    if specs:
        with contextlib.suppress(StorageError):  # whoever writes there says what is wrong with it
            require_columns(FeatureStore(store_url), specs)
    return tuple(work for work, _ in found), specs


def resolve_set(name: str, section: RadiomicsSection, volume: Spec) -> tuple[FeatureWork, Spec]:
    """Return what is computed of one of a job's feature sets, and its specification; errors as for its file in `resolve_sets`."""
    grid: FeatureGrid = "stored" if name in section.sets else "source"
    found = load_feature_set(Path({**section.source_sets, **section.sets}[name]))
    if reason := why_not_stored(found):
        raise InputError("bad_feature_set", f"feature set {name}: {reason}")
    spec = specify_set(name, found, volume, grid)
    stock = found.is_pyradiomics and (section.engine == "pyradiomics" or bool(found.stock_reasons()))
    work = FeatureWork(
        table=set_table(name),
        radiomics_spec_id=spec.spec_id,
        feature_set=found,
        engine="pyradiomics" if stock else "fast",
        audit_share=0.0 if stock or not found.is_pyradiomics else float(section.audit),
        grid=grid,
    )
    return work, spec


def why_not_stored(feature_set: FeatureSet) -> str:
    """Say why a set cannot be computed of what a store has; empty where it can."""
    label = feature_set.preparation.label
    if label == 1:
        return ""
    return (
        f"setting.label is {label}, and in the masks of a store an outline is 1: leave it out; the manifest's column mask_label "
        "chooses the label of a mask's file"
    )


def told_of_outlines(feature_set: FeatureSet) -> str:
    """Say of which outlines a set can be computed, where that is not of all; empty where it is."""
    if not feature_set.features("shape2D"):
        return ""
    plane = ("slice", "row", "column")[feature_set.calculation.force_2d_dimension]
    return (
        f"shape2D is of outlines in a single {plane}: of every other one the whole set fails (roi_too_thick); leave shape2D out, "
        "or give it a file of its own"
    )


def specify_set(name: str, feature_set: FeatureSet, volume: Spec, grid: FeatureGrid = "stored") -> Spec:
    """Return the specification of a feature set under a name, on a grid."""
    document = feature_set.to_document()
    settings = {key: value for key, value in document.pop("setting").items() if key not in FREE}
    return feature_set_spec(volume, name, document, settings, feature_set.names(), grid)


def set_parameters(spec: Spec) -> dict[str, dict[str, Any]]:
    """Return what a feature set's specification says as a parameter file, so that the set can be computed where the file is not.

    A specification's keys are sorted: the order of image types and classes is read from its columns.

    Raises:
        ProblemsError: it holds what this version does not compute.
    """
    content = spec.content()
    parts = [name.split("_") for name in content["features"]["names"]]
    document = {
        "imageType": content["imageType"],
        "featureClass": {name: content["featureClass"][name] for name in dict.fromkeys(part[1] for part in parts)},
        "setting": content["settings"],
    }
    images = list(dict.fromkeys(image for image, name, _ in parts if name not in SHAPE_CLASSES))
    if images:
        first = {kind.name: images.index(kind.image_names()[0]) for kind in _read(spec, document).image_types}
        document["imageType"] = {name: content["imageType"][name] for name in sorted(first, key=first.__getitem__)}
    return document


def grid_of(spec: Spec) -> FeatureGrid:
    """Return the grid that a specified feature set is computed on."""
    return "source" if spec.content()["grid"] == "source" else "stored"


def specified_set(spec: Spec) -> FeatureSet:
    """Return the feature set that a specification is of; errors as for `set_parameters`."""
    return _read(spec, set_parameters(spec))


def _read(spec: Spec, document: Mapping[str, object]) -> FeatureSet:
    found = check_parameters(dict[object, object](document.items()))
    if found.feature_set is None:
        told = f"feature set {spec.feature_set} of specification {spec.spec_id}"
        raise ProblemsError.of("bad_parameter_file", told, found.problems())
    return found.feature_set


def named_sets(params: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and the files of feature sets.

    Args:
        params: FILE, whose stem is the name, or NAME=FILE.

    Raises:
        InputError: "bad_set_name": a name cannot be one, or two are equal.
    """
    found = []
    for given in params:
        before, equals, after = given.partition("=")
        found.append((before, after) if equals else (Path(given).stem, given))
    _check_names(found)
    return found


def _check_names(sets: Iterable[tuple[str, str]]) -> None:
    taken = {name.casefold(): f"{name} is the name of a table" for name in (*contracts.table_names(), "wide")}
    for name, file in sets:
        reason = taken.get(name.casefold(), "")
        if not SET_NAME.fullmatch(name):
            reason = "a name has 1 to 64 letters, digits, hyphens and underscores, a letter or digit first"
        if reason:
            raise InputError(
                "bad_set_name", f"{name!r} cannot name a feature set: {reason}; name it otherwise: --params NAME={file}"
            )
        taken[name.casefold()] = f"the job has another set {name}, and capitals do not tell tables apart everywhere"


def require_columns(store: FeatureStore, specs: Sequence[Spec]) -> None:
    """Refuse a set whose name a store has for other columns; those of other settings lie beside each other in one table.

    Raises:
        InputError: "set_taken".
    """
    there = {name.casefold(): (name, table.contract.features) for name, table in store.feature_sets().items()}
    for spec in specs:
        contract = set_contract(spec)
        if contract is None:
            continue
        name = spec.feature_set
        taken, columns = there.get(name.casefold(), (name, contract.features))
        if taken != name:
            raise InputError(
                "set_taken",
                f"the store has a feature set {taken}, and capitals do not tell tables apart everywhere: name {name} otherwise",
            )
        if columns != contract.features:
            raise InputError(
                "set_taken",
                f"the store has a feature set {name} of {len(columns):,} columns, and the file gives {len(contract.features):,}: "
                f"{_difference(columns, contract.features)}. Its rows stay as they are; give the new set a name of its own, "
                f"--params NAME=FILE",
            )


def other_settings(store_url: str, specs: Sequence[Spec]) -> Iterator[str]:
    """Yield, of each set that a store has under other settings alone, what a run does about it."""
    try:
        known = FeatureStore(store_url).view().specs()
    except StorageError:
        return
    for spec in specs:
        own = [other for other in known.values() if spec.feature_set and other.feature_set == spec.feature_set]
        if own and spec not in own:
            told = "; ".join(
                map(str, differences({**known, spec.spec_id: spec}, own[-1].spec_id, spec.spec_id)[:SHOWN])
            )
            yield (
                f"feature set {spec.feature_set} has other settings in the store than in the file ({told}): it is computed of "
                "every outline anew, and the old rows stay beside the new; features() and X_y then ask for spec="
            )


def _difference(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    parts = [
        f"{what} {', '.join(names[:SHOWN])}{f' and {len(names) - SHOWN:,} more' if len(names) > SHOWN else ''}"
        for what, names in (
            ("it adds", [name for name in new if name not in set(old)]),
            ("it lacks", [name for name in old if name not in set(new)]),
        )
        if names
    ]
    return "; ".join(parts) or "they are the same in another order"
