"""A DICOM CT series from a folder: HU in slice order, and each slice's place from its own position and orientation.

Geometry comes from ImageOrientationPatient and ImagePositionPatient alone: GantryDetectorTilt has a vendor's sign and
SliceThickness is no distance.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack
from cvtbatch.imaging.resampling import AIR_HU
from cvtbatch.ingest.fingerprint import list_files

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
# Largest difference of direction cosines, and of pixel spacing in mm, between slices of one series.
ORIENTATION_TOLERANCE = 1e-4
PIXEL_SPACING_TOLERANCE_MM = 1e-4


def read_series(
    folder: Path, series_uid: str | None
) -> tuple[npt.NDArray[np.int16] | npt.NDArray[np.float32], SliceStack]:
    """Read the CT series of a folder, subfolders included.

    Returns:
        HU (slices, rows, columns), slices sorted along the normal (row axis x column axis), and their geometry.

    Raises:
        InputError: there is no CT series, or several and none is named; a file is damaged; the slices build no volume.
    """
    slices = _choose_series(_read_headers(folder), series_uid, folder)
    _check_alike(slices)
    row_axis, column_axis = _orientation(slices[0])
    normal = np.cross(row_axis, column_axis)
    slices = sorted(slices, key=lambda dataset: float(np.dot(_position(dataset), normal)))
    down, along = (float(value) for value in slices[0].PixelSpacing)
    stack = SliceStack(
        columns=int(slices[0].Columns),
        rows=int(slices[0].Rows),
        pixel_mm=(along, down),
        row_axis=(row_axis[0], row_axis[1], row_axis[2]),
        column_axis=(column_axis[0], column_axis[1], column_axis[2]),
        slice_axis=(float(normal[0]), float(normal[1]), float(normal[2])),
        positions_mm=tuple(_position(dataset) for dataset in slices),
    )
    planes = [_hounsfield(dataset) for dataset in slices]
    whole = all(np.array_equal(plane, np.rint(plane)) for plane in planes)
    volume = np.stack(planes)
    return (volume.astype(np.int16) if whole else volume), stack


def _read_headers(folder: Path) -> Iterator[pydicom.Dataset]:
    """Yield every CT image of a folder; other DICOM objects and files that are not DICOM are passed over."""
    for name, stat in list_files(str(folder)):
        path = Path(name)
        if stat is None and path.is_dir():
            raise InputError("unreadable_file", "a folder of the series cannot be listed", name)
        if stat is None or not path.is_file():
            continue
        try:
            dataset = pydicom.dcmread(path)
        except InvalidDicomError:
            if _may_have_been_a_slice(path):
                raise InputError(
                    "unreadable_file", "a file of the series is not DICOM: damaged or empty", name
                ) from None
            continue
        except Exception as error:  # pydicom raises many kinds on damaged files
            raise InputError(
                "unreadable_file", "a DICOM file cannot be read: damaged or truncated", f"{path}: {error}"
            ) from None
        if (dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")) == CT_IMAGE_STORAGE:
            if not dataset.get("SeriesInstanceUID"):
                raise InputError(
                    "unreadable_file", "a CT image without SeriesInstanceUID: damaged or truncated", str(path)
                )
            yield dataset


def _may_have_been_a_slice(path: Path) -> bool:
    """Say whether a file that is not DICOM could be a damaged slice: by its suffix, or without one if it is no text.

    At the end of a series nothing else would tell that a slice is lost.
    """
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if (suffix and not suffix[1:].isdigit()) or path.name.startswith((".", "_")):
        return False
    with path.open("rb") as file:
        start = file.read(1024)
    return not start or b"\0" in start


def _choose_series(datasets: Iterator[pydicom.Dataset], series_uid: str | None, folder: Path) -> list[pydicom.Dataset]:
    series: dict[str, list[pydicom.Dataset]] = {}
    for dataset in datasets:
        series.setdefault(str(dataset.SeriesInstanceUID), []).append(dataset)
    if not series:
        raise InputError("no_ct_series", "the folder holds no CT image", str(folder))
    if series_uid is not None and series_uid not in series:
        raise InputError(
            "no_such_series",
            f"none of the {len(series)} CT series has the series_uid of the manifest",
            f"{folder}: {', '.join(series)}",
        )
    if series_uid is None and len(series) > 1:
        sizes = ", ".join(str(len(slices)) for slices in series.values())
        raise InputError(
            "several_series",
            f"the folder holds {len(series)} CT series ({sizes} images); name one in the column series_uid",
            f"{folder}: {', '.join(series)}",
        )
    return series[series_uid] if series_uid is not None else next(iter(series.values()))


def _numbers(dataset: pydicom.Dataset, name: str, count: int) -> tuple[float, ...]:
    value = dataset.get(name)
    try:
        numbers = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputError(
            "missing_geometry", f"a slice has no usable {name}: without it no place in the volume is known"
        )
    return numbers


def _position(dataset: pydicom.Dataset) -> tuple[float, float, float]:
    x, y, z = _numbers(dataset, "ImagePositionPatient", 3)
    return x, y, z


def _orientation(dataset: pydicom.Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    cosines = _numbers(dataset, "ImageOrientationPatient", 6)
    return cosines[:3], cosines[3:]


def _check_alike(slices: Sequence[pydicom.Dataset]) -> None:
    """Refuse slices that differ in size, pixel spacing or orientation."""
    first = slices[0]
    for dataset in slices:
        if (dataset.get("Rows"), dataset.get("Columns")) != (first.get("Rows"), first.get("Columns")) or not first.get(
            "Rows"
        ):
            raise InputError(
                "mixed_sizes",
                f"slices of {first.get('Columns')} x {first.get('Rows')} and "
                f"{dataset.get('Columns')} x {dataset.get('Rows')} pixels in one series",
            )
        if not np.allclose(
            _numbers(dataset, "PixelSpacing", 2),
            _numbers(first, "PixelSpacing", 2),
            rtol=0,
            atol=PIXEL_SPACING_TOLERANCE_MM,
        ):
            raise InputError("mixed_spacings", "slices of one series differ in PixelSpacing")
        if not np.allclose(_orientation(dataset), _orientation(first), rtol=0, atol=ORIENTATION_TOLERANCE):
            raise InputError(
                "mixed_orientations",
                "slices of one series differ in ImageOrientationPatient: a localizer or a reformat among them?",
            )


def _hounsfield(dataset: pydicom.Dataset) -> npt.NDArray[np.float32]:
    """Return a slice in HU; padding is air."""
    where = f"slice with InstanceNumber {dataset.get('InstanceNumber', 'unknown')}"
    if dataset.get("SamplesPerPixel", 1) != 1 or int(dataset.get("NumberOfFrames", 1) or 1) != 1:
        raise InputError("not_a_slice", f"{where}: colour or several frames, where one gray slice a file is read")
    try:
        stored = dataset.pixel_array
    except Exception as error:  # the pixel decoders raise many kinds on damaged or unknown data
        private = f"{getattr(dataset, 'filename', '')}: {error}"
        raise InputError(
            "unreadable_pixels", f"{where}: pixel data truncated, damaged or of an encoding that is not read", private
        ) from None
    slope, intercept = _rescale(dataset, where)
    hu = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding: Any = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        hu[stored == _stored_value(padding, dataset)] = AIR_HU
    return np.asarray(np.clip(hu, -32768, 32767), dtype=np.float32)


def _rescale(dataset: pydicom.Dataset, where: str) -> tuple[float, float]:
    """Return slope and intercept; CT images must have both, and a guess would shift the volume by a thousand HU."""
    try:
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    except (AttributeError, TypeError, ValueError):
        raise InputError(
            "missing_rescale", f"{where}: no usable RescaleSlope and RescaleIntercept: its HU are unknown"
        ) from None
    unit = str(dataset.get("RescaleType") or "HU")
    if not (0 < slope < np.inf and np.isfinite(intercept)) or unit not in {"HU", "US"}:
        raise InputError(
            "not_hounsfield",
            f"{where}: rescale slope {slope:g}, intercept {intercept:g}, type {unit!r}: these are no HU",
        )
    return slope, intercept


def _stored_value(value: int, dataset: pydicom.Dataset) -> int:
    """Return a padding value as the pixels' own type reads it: its VR is often written with the other sign."""
    if int(dataset.get("PixelRepresentation", 0)) == 1 and value > 32767:
        return value - 65536
    if int(dataset.get("PixelRepresentation", 0)) == 0 and value < 0:
        return value + 65536
    return value
