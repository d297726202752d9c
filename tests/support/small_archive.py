"""Three studies of one small series each, as an archive holds them, whose headers name a patient."""

import io
from pathlib import Path

import numpy as np
import pydicom

from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.mask_files import ball

SLICES = 5
DAYS = ("20240101", "20240630", "")


def small_archive(folder: Path) -> dict[str, bytes]:
    """Return the files by SOPInstanceUID, study by study.

    Args:
        folder: in which they are made.
    """
    files = {}
    stack = ball((5.0,) * (SLICES - 1)).stack
    hu = np.random.default_rng(1).integers(0, 80, (SLICES, stack.rows, stack.columns)).astype(np.int16)
    for number, day in enumerate(DAYS):
        write_series(folder / str(number), hu, stack, SeriesTags(f"Secret^{number}", "axial", 0.0))
        for path in sorted((folder / str(number)).iterdir()):
            dataset = pydicom.dcmread(path)
            dataset.StudyDate, dataset.AccessionNumber, dataset.BodyPartExamined = day, f"SECRET{number}", "HEAD"
            content = io.BytesIO()
            pydicom.dcmwrite(content, dataset)
            files[str(dataset.SOPInstanceUID)] = content.getvalue()
    return files
