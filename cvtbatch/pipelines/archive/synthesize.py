"""A synthetic archive on disk: series, outlines and a manifest."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.geometry import SliceStack, stored_grid
from cvtbatch.ingest.writing import SeriesTags, write_mask_file, write_series, write_volume_file
from cvtbatch.synthesis import SyntheticCase, plan_cohort, render

# Of the untilted cases, every fourth comes as NIfTI, as research archives have them; all others as DICOM.
NIFTI_EVERY = 4


def write_archive(
    out: Path,
    cases: int,
    centers: int,
    seed: int,
    size: Literal["small", "full"],
    on_case: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> Path:
    """Write an archive into a new folder and return its manifest.

    Args:
        on_case: called with (done, total, failed) after every case.

    Raises:
        InputError: the folder exists and is not empty, cannot be written, or the numbers make no cohort.
    """
    plans = list(plan_cohort(cases, centers, seed, size))
    try:
        if out.exists() and any(out.iterdir()):
            raise InputError("folder_not_empty", f"{out} is not empty; name a new folder")
        rows = []
        for number, plan in enumerate(plans):
            rows.append(_write_case(out, render(plan), as_nifti=number % NIFTI_EVERY == NIFTI_EVERY - 1))
            on_case(number + 1, cases, 0)
        manifest = out / "manifest.csv"
        with manifest.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise InputError("cannot_write", f"{out} cannot be written: {why(error)}") from None
    return manifest


def _write_case(out: Path, case: SyntheticCase, as_nifti: bool) -> dict[str, object]:
    folder = Path(case.center) / case.case_id
    (out / folder).mkdir(parents=True)
    stack = _stack_of(case)
    if as_nifti and case.tilt_deg == 0:
        image = folder / "ct.nii.gz"
        write_volume_file(out / image, case.hu_zyx, stored_grid(stack, case.spacing_xyz_mm))
    else:
        image = folder / "ct"
        write_series(out / image, case.hu_zyx, stack, SeriesTags(case.case_id, "synthetic head", case.tilt_deg))
    mask = folder / "hematoma.nii.gz"
    write_mask_file(out / mask, case.mask_zyx, stack)
    identity = {"center": case.center, "case_id": case.case_id, "patient": case.patient}
    return {**identity, "image": image.as_posix(), "mask": mask.as_posix(), **case.clinical}


def _stack_of(case: SyntheticCase) -> SliceStack:
    slices, rows, columns = case.hu_zyx.shape
    x, y, z = np.cross(case.row_direction, case.column_direction).tolist()
    return SliceStack(
        columns=columns,
        rows=rows,
        pixel_mm=case.spacing_xyz_mm[:2],
        row_axis=case.row_direction,
        column_axis=case.column_direction,
        slice_axis=(x, y, z),
        positions_mm=tuple(case.slice_position_mm(index) for index in range(slices)),
    )
