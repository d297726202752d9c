"""A folder for every outline, with its Segmentation, its report and what else is asked for; each file is whole or not there."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pydicom

from cvtbatch.dicom_results.capture import to_capture
from cvtbatch.dicom_results.fhir import to_fhir
from cvtbatch.dicom_results.predecessors import predecessor_of
from cvtbatch.dicom_results.report import to_report
from cvtbatch.dicom_results.segmentation import to_segmentation
from cvtbatch.dicom_results.source_headers import SourceSlices, quiet
from cvtbatch.dicom_results.values import Outline, Results
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.geometry import SliceStack
from cvtbatch.pipelines.results.outline_results import RESEARCH_USE
from cvtbatch.pipelines.results.page_lines import to_lines
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.reporting.result_page import draw_page
from cvtbatch.whole_files import written_whole

SEGMENTATION, REPORT, CAPTURE, FHIR = "seg.dcm", "sr.dcm", "sc.dcm", "fhir.json"
_IF_ASKED = (CAPTURE, FHIR)
State = Literal["written", "replaced", "there"]


@dataclass(frozen=True, slots=True)
class Products:
    """What is made beside Segmentation and report, and where all of it lies.

    Attributes:
        out: folder of all results; None where nothing is kept.
        capture: a page for viewers that show no report.
        fhir: the report as FHIR.
    """

    out: Path | None
    capture: bool = False
    fhir: bool = False


@dataclass(frozen=True, slots=True)
class OutlineObjects:
    """What the objects of an outline are made of.

    Attributes:
        largest: the stored slice of the outline's largest area.
        mask_zyx: on the slices of the source.
        source: these, by their headers.
    """

    outline: Outline
    results: Results
    largest: OutlinedSlice
    mask_zyx: npt.NDArray[np.uint8]
    source: SourceSlices
    stack: SliceStack


def folder_of(roi_key: str) -> Path:
    """Return the folder of an outline below that of all results: a level for each part of its key."""
    parts = (part.replace(".", "%2E") if part in {".", ".."} else part for part in roi_key.split("/"))
    return Path(*parts)


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files of an outline.

    Attributes:
        folder: of the outline, below that of all results.
        contents: by name.
        replaces: whether a report of the outline was there.
    """

    folder: Path
    contents: Mapping[str, bytes]
    replaces: bool

    @property
    def objects(self) -> Mapping[str, bytes]:
        """Those that are DICOM, in the order in which they are sent."""
        return {name: data for name, data in self.contents.items() if name != FHIR}


def make_files(objects: OutlineObjects, products: Products) -> ResultFiles:
    """Return the files of an outline; a report names the one in whose place it comes.

    Raises:
        InputError: "unusable_header": the source's headers hold what no object may.
    """
    folder = folder_of(objects.outline.roi_key)
    before = None if products.out is None else _read(products.out / folder / REPORT)
    page = draw_page(objects.largest, to_lines(objects.outline, objects.results)) if products.capture else None
    try:
        with quiet():
            contents = _build(objects, before, page, products)
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
    ) as error:  # of highdicom and pydicom, with values of the headers in its text
        raise InputError(
            "unusable_header",
            f"the source's headers hold a value that no DICOM result may ({type(error).__name__}); have the series exported anew",
        ) from None
    return ResultFiles(folder, contents, before is not None)


def write_files(files: ResultFiles, out: Path) -> State:
    """Write what is not there yet, each file whole or not at all; what was made beside another report goes with it.

    Args:
        out: folder of all results.

    Raises:
        InputError: "cannot_write".
    """
    folder = out / files.folder
    try:
        fresh = {name: data for name, data in files.contents.items() if not _holds(folder / name, data)}
        folder.mkdir(parents=True, exist_ok=True)
        if REPORT in fresh:
            for name in _IF_ASKED:
                (folder / name).unlink(missing_ok=True)
        for name, data in fresh.items():
            with written_whole(folder / name) as aside:
                aside.write_bytes(data)
    except OSError as error:
        raise InputError("cannot_write", f"{folder} cannot be written: {why(error)}") from None
    return "there" if not fresh else "replaced" if REPORT in fresh and files.replaces else "written"


def _build(
    objects: OutlineObjects, before: pydicom.Dataset | None, page_yxc: npt.NDArray[np.uint8] | None, products: Products
) -> dict[str, bytes]:
    outline, results, source = objects.outline, objects.results, objects.source
    segmentation = to_segmentation(outline, objects.mask_zyx, source, objects.stack)
    earlier = None if before is None else predecessor_of(before)
    report = to_report(outline, results, segmentation, source, earlier)
    if before is not None and before.SOPInstanceUID != report.SOPInstanceUID:
        report = to_report(outline, results, segmentation, source, before)
    contents = {SEGMENTATION: _to_bytes(segmentation), REPORT: _to_bytes(report)}
    if page_yxc is not None:
        contents[CAPTURE] = _to_bytes(to_capture(page_yxc, results, source.first))
    if products.fhir:
        bundle = to_fhir(outline, results, report, source.first, RESEARCH_USE)
        contents[FHIR] = json.dumps(bundle, indent=1, ensure_ascii=False, allow_nan=False).encode()
    return contents


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
