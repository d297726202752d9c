"""What PyRadiomics' command is given: cases by a batch file or one by one, and settings by a file and by words.

Source: PyRadiomics 3.0.1, `scripts/__init__.py`. It passes over a setting that it does not know, or cannot read, with a warning;
here it is refused, as in a parameter file.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.nearest import did_you_mean
from cvtbatch.radiomics.feature_names import FEATURES
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.parameter_file import check_parameters, read_parameters
from cvtbatch.radiomics.settings import RULES

# As `featureextractor._getDefaultSettings` has them: what the column Configuration_Settings begins with.
_DEFAULTS: dict[str, object] = {
    "minimumROIDimensions": 2,
    "minimumROISize": None,
    "normalize": False,
    "normalizeScale": 1,
    "removeOutliers": None,
    "resampledPixelSpacing": None,
    "interpolator": "sitkBSpline",
    "preCrop": False,
    "padDistance": 5,
    "distances": [1],
    "force2D": False,
    "force2Ddimension": 0,
    "resegmentRange": None,
    "label": 1,
    "additionalInfo": True,
}
# Its schema gives them no type, without which it reads no word.
_IN_FILES_ALONE = ("interpolator", "weightingNorm")


@dataclass(frozen=True, slots=True)
class ToldCase:
    """One case: its number, from 1 on, and its cells by column, of which Image and Mask are paths."""

    number: int
    cells: dict[str, object]


@dataclass(frozen=True, slots=True)
class Batch:
    """Cases.

    Attributes:
        folder: of the batch file, to which relative paths are; the current one for a single case.
        skipped: lines of the batch file that lack an image or a mask.
    """

    cases: tuple[ToldCase, ...]
    folder: Path
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Customization:
    """What is computed.

    Attributes:
        settings, image_types: as the user wrote them over the defaults, for the columns that tell them.
    """

    feature_set: FeatureSet
    settings: dict[str, object]
    image_types: dict[str, object]


def read_batch(source: str, mask: str | None) -> Batch:
    """Return the cases of a batch file, whose name ends with .csv, or one.

    Raises:
        InputError: bad_batch_file.
    """
    if not source.endswith(".csv"):
        return Batch((ToldCase(1, {"Image": source, "Mask": mask}),), Path.cwd())
    folder = Path(source).parent.absolute()
    try:
        with Path(source).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("bad_batch_file", "the batch file cannot be read", f"{source}: {error}") from None
    if missing := [name for name in ("Image", "Mask") if name not in columns]:
        raise InputError(
            "bad_batch_file",
            f"the batch file has no column {' and no column '.join(missing)}; a row of it names the two files of a case",
        )
    if long := [str(line) for line, row in enumerate(rows, start=2) if None in row]:
        raise InputError(
            "bad_batch_file", f"more cells than there are columns, in row {', '.join(long[:5])} (the header is row 1)"
        )
    cases: list[ToldCase] = []
    skipped: list[int] = []
    for line, row in enumerate(rows, start=2):
        if not row["Image"] or not row["Mask"]:
            skipped.append(line)
            continue
        paths = {name: str(folder / row[name]) for name in ("Image", "Mask")}
        cases.append(ToldCase(len(cases) + 1, {**row, **paths}))
    if not cases:
        raise InputError("bad_batch_file", "the batch file has no row with an image and a mask")
    return Batch(tuple(cases), folder, tuple(skipped))


def read_customization(file: Path | None, words: Sequence[str], label: int | None) -> Customization:
    """Return what a parameter file and settings of the form KEY:VALUE over it ask for; without a file, PyRadiomics' defaults.

    Raises:
        InputError: the file cannot be read; bad_override.
        ProblemsError: with everything that is refused.
    """
    content: dict[object, object] = (
        {"featureClass": {name: None for name in FEATURES if name != "shape2D"}}
        if file is None
        else read_parameters(file)
    )
    overrides = dict(_parse(word) for word in words)
    if label is not None:
        overrides["label"] = label
    own = content.get("setting") or {}
    if overrides and isinstance(own, dict):
        content = {**content, "setting": {**own, **overrides}}
    found = check_parameters(content)
    if found.feature_set is None:
        what = "--setting" if file is None else f"parameter file {file}{' with --setting' if words else ''}"
        raise ProblemsError.of("bad_parameter_file", what, found.problems())
    settings, image_types = content.get("setting") or {}, content.get("imageType") or {"Original": {}}
    assert isinstance(settings, dict)
    assert isinstance(image_types, dict)
    own_of_types = {str(name): value or {} for name, value in image_types.items()}
    return Customization(found.feature_set, {**_DEFAULTS, **settings}, own_of_types)


def _parse(word: str) -> tuple[str, object]:
    """Read KEY:VALUE as PyRadiomics does: entries of lists between commas, and true or 1 for true."""
    key, colon, text = word.partition(":")
    if not colon:
        raise InputError("bad_override", f"--setting {word!r} is not of the form KEY:VALUE, such as binWidth:5")
    if key not in RULES:
        raise InputError(
            "bad_override", f"--setting {word!r}: {did_you_mean(key, RULES)}PyRadiomics 3.0.1 has no setting {key}"
        )
    if key in _IN_FILES_ALONE:
        raise InputError(
            "bad_override",
            f"--setting {word!r}: PyRadiomics passes {key} over on the command line; write it in the parameter file",
        )
    kind = RULES[key].kind
    try:
        if kind.startswith("list"):
            return key, [int(part) if "whole" in kind else float(part) for part in text.split(",")]
        return key, _value(text, kind)
    except ValueError:
        raise InputError("bad_override", f"--setting {word!r}: {text!r} is no {kind}") from None


def _value(text: str, kind: str) -> object:
    match kind:
        case "whole number":
            return int(text)
        case "number":
            return float(text)
        case "true or false":
            return text == "1" or text.lower() == "true"
        case _:
            return text
