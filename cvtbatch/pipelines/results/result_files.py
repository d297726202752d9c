"""A folder for every outline, with its Segmentation and its report; each file is whole or not there."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pydicom

from cvtbatch.dicom_results.predecessors import predecessor_of
from cvtbatch.dicom_results.report import to_report
from cvtbatch.dicom_results.segmentation import to_segmentation
from cvtbatch.dicom_results.source_headers import quiet
from cvtbatch.dicom_results.values import Outline, Results
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.geometry import SliceStack
from cvtbatch.whole_files import written_whole

SEGMENTATION, REPORT = "seg.dcm", "sr.dcm"
State = Literal["written", "replaced", "there"]


@dataclass(frozen=True, slots=True)
class OutlineObjects:
    """What two DICOM objects are made of.

    Attributes:
        mask_zyx: on the slices of the source.
        headers: of these, cut.
    """

    outline: Outline
    results: Results
    mask_zyx: npt.NDArray[np.uint8]
    headers: list[pydicom.Dataset]
    stack: SliceStack


def folder_of(roi_key: str) -> Path:
    """Return the folder of an outline below that of all results: a level for each part of its key."""
    parts = (part.replace(".", "%2E") if part in {".", ".."} else part for part in roi_key.split("/"))
    return Path(*parts)


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files of an outline.

    Attributes:
        folder: of the outline.
        contents: by name.
        replaces: whether another report of the outline was there.
    """

    folder: Path
    contents: Mapping[str, bytes]
    replaces: bool


def make_files(objects: OutlineObjects, out: Path) -> ResultFiles:
    """Return the files of an outline; a report names the one in whose place it comes.

    Args:
        out: folder of all results.

    Raises:
        InputError: "unusable_header": the source's headers hold what no object may.
    """
    folder = out / folder_of(objects.outline.roi_key)
    before = _read(folder / REPORT)
    return ResultFiles(folder, _build(objects, before), before is not None)


def write_files(files: ResultFiles) -> State:
    """Write what is not there yet, each file whole or not at all.

    Raises:
        InputError: "cannot_write".
    """
    try:
        fresh = {name: data for name, data in files.contents.items() if not _holds(files.folder / name, data)}
        files.folder.mkdir(parents=True, exist_ok=True)
        for name, data in fresh.items():
            with written_whole(files.folder / name) as aside:
                aside.write_bytes(data)
    except OSError as error:
        raise InputError("cannot_write", f"{files.folder} cannot be written: {why(error)}") from None
    return "there" if not fresh else "replaced" if files.replaces else "written"


def _build(objects: OutlineObjects, before: pydicom.Dataset | None) -> dict[str, bytes]:
    outline, headers = objects.outline, objects.headers
    try:
        with quiet():
            segmentation = to_segmentation(outline, objects.mask_zyx, headers, objects.stack)
            earlier = None if before is None else predecessor_of(before)
            report = to_report(outline, objects.results, segmentation, headers, earlier)
            if before is not None and before.SOPInstanceUID != report.SOPInstanceUID:
                report = to_report(outline, objects.results, segmentation, headers, before)
            return {SEGMENTATION: _to_bytes(segmentation), REPORT: _to_bytes(report)}
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
    ) as error:  # of highdicom, with values of the headers in its text
        raise InputError(
            "unusable_header",
            f"the source's headers hold a value that no DICOM result may ({type(error).__name__}); have the series exported anew",
        ) from None


def _read(path: Path) -> pydicom.Dataset | None:
    """Return the report that is there; None for none that can be read."""
    try:
        with quiet():
            found = pydicom.dcmread(path)
    except (OSError, pydicom.errors.InvalidDicomError):
        return None
    return found if "SOPInstanceUID" in found and "SeriesInstanceUID" in found else None


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _to_bytes(dataset: pydicom.Dataset) -> bytes:
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()
