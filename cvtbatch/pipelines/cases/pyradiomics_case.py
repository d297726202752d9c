"""One case of PyRadiomics' command: two files to a row under its names, in its order.

Files are read by SimpleITK alone, as PyRadiomics reads them: what the rest of cvtbatch makes of a file (units, places that NIfTI
files state twice, what is no HU) would give other values.

Source: PyRadiomics 3.0.1, `scripts/segment.py`, `featureextractor.execute` and `generalinfo.addStaticElements`.
"""

import csv
import platform
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pywt
import SimpleITK as sitk

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.ingest.other_formats import way_on
from cvtbatch.pipelines.cases.pyradiomics_input import Customization, ToldCase
from cvtbatch.radiomics import describe_roi, take_roi
from cvtbatch.radiomics.reference import STOCK_VERSION
from cvtbatch.radiomics.settings import RULES
from cvtbatch.whole_files import written_whole


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What became of a case.

    Attributes:
        cells: those that it came with, then diagnostics and features, unless there is a problem.
        problem: what is wrong with it, for the terminal and the user's own log alone: it may name files.
        reused: read from the folder in which an earlier run wrote it.
        doubt: why image and mask may have changed places, although they can be computed as they are; empty for no doubt.
    """

    number: int
    cells: dict[str, object]
    seconds: float
    problem: str | None = None
    reused: bool = False
    doubt: str = ""


def compute_case(customization: Customization, folder: Path | None, case: ToldCase) -> CaseRow:
    """Compute a case, or say what is wrong with it.

    Args:
        folder: where each case's row is kept as a CSV of its own, and found again; None to keep none.
    """
    started = time.monotonic()
    kept = folder / f"features_{case.number}.csv" if folder else None
    try:
        if kept is not None and kept.is_file():
            return CaseRow(case.number, _read_row(kept), time.monotonic() - started, reused=True)
        found, doubt = _compute(customization, case)
        cells = case.cells | found
        if kept is not None:
            _write_row(cells, kept)
    except CvtbatchError as error:
        return CaseRow(case.number, case.cells, time.monotonic() - started, str(error))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        told = f"{type(error).__name__} in cvtbatch or a library that it uses; please report it\n{text}"
        return CaseRow(case.number, case.cells, time.monotonic() - started, told)
    return CaseRow(case.number, cells, time.monotonic() - started, doubt=doubt)


def _compute(customization: Customization, case: ToldCase) -> tuple[dict[str, object], str]:
    """Return the columns of a case, and a doubt about its files."""
    feature_set, settings = customization.feature_set, dict(customization.settings)
    preparation = feature_set.preparation
    if case.cells.get("Label") is not None:
        settings["label"] = label = _whole_number(case, "Label", "label")
        preparation = replace(preparation, label=label)
    if case.cells.get("Label_channel") is not None:
        settings["label_channel"] = channel = _whole_number(case, "Label_channel", "label_channel")
        preparation = replace(preparation, label_channel=channel)
    feature_set = replace(feature_set, preparation=preparation)
    image, mask = (_read(str(case.cells[name]), name) for name in ("Image", "Mask"))
    given = take_roi(image, mask, preparation)
    diagnostics, features = describe_roi(given, feature_set)
    told = _about_the_run(settings, customization.image_types) if preparation.additional_info else {}
    return {**told, **diagnostics, **features.values}, _doubt(image, mask)


def _doubt(image: sitk.Image, mask: sitk.Image) -> str:
    """Say why image and mask may have changed places; empty where nothing speaks for it."""
    labels, values = sitk.GetArrayViewFromImage(mask), sitk.GetArrayViewFromImage(image)
    lowest, highest = values.min(), values.max()
    if labels.min() < 0 or (labels.dtype.kind == "f" and (labels != np.rint(labels)).any()):
        reason = "the mask holds values that are no labels (whole numbers from 0 on)"
    elif ((values == lowest) | (values == highest)).all():
        reason = f"the image holds no values but {lowest:g} and {highest:g}"
    else:
        return ""
    return f"{reason}: perhaps image and mask changed places; computed as PyRadiomics does"


def _whole_number(case: ToldCase, column: str, key: str) -> int:
    text = str(case.cells[column])
    try:
        value = int(text)
    except ValueError:
        raise InputError("bad_batch_file", f"column {column}: {text!r} is no whole number") from None
    if problem := RULES[key].problem(value):
        raise InputError("bad_batch_file", f"column {column}: {value} {problem}")
    return value


def _read(path: str, name: str) -> sitk.Image:
    if Path(path).is_dir():
        raise InputError(
            "missing_file",
            f"{name}: a folder, where this command reads files, as PyRadiomics' does: write the DICOM series into one file first, "
            "e.g. dcm2niix -z y FOLDER; or in Python, on the stored grid of 0.5 x 0.5 x 5 mm, "
            'cvtbatch.extract_features(FOLDER, MASK, params=FILE, grid="stored") takes the folder',
            path,
        )
    if not Path(path).is_file():
        raise InputError("missing_file", f"{name}: there is no file at this path", path)
    try:
        return sitk.ReadImage(path)
    except RuntimeError:
        told = (
            way_on(Path(path), "mask" if name == "Mask" else "image")
            or f"{name}: SimpleITK, which reads for PyRadiomics, cannot read the file"
        )
        raise InputError("unreadable_file", told, path) from None


def _about_the_run(settings: dict[str, object], image_types: dict[str, object]) -> dict[str, object]:
    """Return versions and settings; of PyRadiomics, the version whose values these are."""
    versions = {
        "PyRadiomics": STOCK_VERSION,
        "Numpy": np.__version__,
        "SimpleITK": sitk.Version().VersionString(),
        "PyWavelet": pywt.__version__,
        "Python": platform.python_version(),
    }
    return {
        **{f"diagnostics_Versions_{name}": version for name, version in versions.items()},
        "diagnostics_Configuration_Settings": settings,
        "diagnostics_Configuration_EnabledImageTypes": image_types,
    }


def _read_row(path: Path) -> dict[str, object]:
    with path.open(encoding="utf-8", newline="") as file:
        columns, values, *_ = csv.reader(file)
    return dict(zip(columns, values, strict=True))


def _write_row(cells: dict[str, object], path: Path) -> None:
    with written_whole(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(cells), lineterminator="\n")
        writer.writeheader()
        writer.writerow(cells)
