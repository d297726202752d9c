"""Trees of small image files, by their names."""

from pathlib import Path

import numpy as np

from cvtbatch.geometry import Grid
from cvtbatch.ingest.nrrd import write_nrrd
from tests.support.nifti_files import nifti1

GRID = Grid((2, 3, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
METAIMAGE = (
    "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = {}\nElementSpacing = 0.5 0.5 5\nOffset = 0 0 0\n"
    "ElementDataFile = {}\n"
)


def grow(root: Path, *names: str, as_bytes: bool = False) -> list[Path]:
    """Write an image file of 16 bits a voxel under each name, of 8 where asked for, and empty files under other names."""
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith((".nii", ".nii.gz")):
            values = np.zeros((4, 3, 2), np.uint8 if as_bytes else np.int16)
            nifti1(path, values, 2 if as_bytes else 4)
        elif path.suffix == ".nrrd":
            write_nrrd(path, np.zeros((4, 3, 2), np.uint8 if as_bytes else np.int16), GRID, {})
        elif path.suffix == ".mha":
            path.write_text(METAIMAGE.format("MET_UCHAR" if as_bytes else "MET_SHORT", "LOCAL"))
        else:
            path.touch()
    return paths


def segmentation(path: Path, *names: str) -> Path:
    """Write a segmentation of 3D Slicer with segments of these names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = {
        f"Segment{index}_{field}": value
        for index, name in enumerate(names)
        for field, value in (("ID", f"S_{index}"), ("Name", name), ("LabelValue", str(index + 1)), ("Layer", "0"))
    }
    write_nrrd(path, np.zeros((4, 3, 2), np.uint8), GRID, pairs)
    return path
