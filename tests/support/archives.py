"""Small heads, and archives of them with their manifest."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

# Etiologies of the cases of a centre, in turn.
KINDS = ("CVT", "HP", "HP")


def tiny_head(seed: int, radius_mm: float = 9.0) -> tuple[sitk.Image, sitk.Image]:
    """Return (ct, mask) of 64 x 64 x 12 voxels of 1 x 1 x 5 mm: an ellipsoid of tissue with a denser ball in it."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid((np.arange(12) - 6) * 5.0, np.arange(64) - 32.0, np.arange(64) - 32.0, indexing="ij")
    brain = (x / 28) ** 2 + (y / 30) ** 2 + (z / 32) ** 2 < 1
    cx, cy, cz = rng.uniform(-8, 8, 3)
    ball = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < radius_mm**2
    hu = np.where(brain, 34.0, -1000.0)
    hu[ball & brain] = 64
    hu += rng.normal(0, 5, hu.shape)
    images = []
    for array in (np.clip(np.rint(hu), -1024, 3071).astype(np.int16), (ball & brain).astype(np.uint8)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 5.0))
        image.SetOrigin((-32.0, -32.0, -30.0))
        images.append(image)
    return images[0], images[1]


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a manifest; the columns are those of all rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def tiny_archive(folder: Path, cases: int) -> list[dict[str, object]]:
    """Write heads into a folder and return the rows of their manifest, which is written too (manifest.csv)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for number in range(cases):
        ct, mask = tiny_head(number)
        sitk.WriteImage(ct, str(folder / f"ct{number}.nii.gz"))
        sitk.WriteImage(mask, str(folder / f"mask{number}.nii.gz"))
        row = {"center": "A", "case_id": f"{number:03d}", "image": f"ct{number}.nii.gz", "mask": f"mask{number}.nii.gz"}
        rows.append(
            {**row, "etiology": "CVT" if number % 3 == 0 else "HP", "epilepsy": number % 2, "age": 40 + number % 80}
        )
    write_rows(folder / "manifest.csv", rows)
    return rows


def center_archive(folder: Path, center: str, cases: int) -> Path:
    """Write tiny heads of one centre, a CVT in three with a larger hematoma, and return the manifest."""
    folder.mkdir()
    rows = []
    for number in range(cases):
        kind = KINDS[number % 3]
        seed = number + 1000 * int(center[1:])
        ct, mask = tiny_head(seed, 8.0 + 1.6 * (kind == "CVT") + 0.3 * (number % 5))
        sitk.WriteImage(ct, str(folder / f"ct{number}.nii.gz"))
        sitk.WriteImage(mask, str(folder / f"mask{number}.nii.gz"))
        row: dict[str, object] = {"center": center, "case_id": f"{number:03d}", "etiology": kind, "age": 40 + number}
        row |= {"image": f"ct{number}.nii.gz", "mask": f"mask{number}.nii.gz", "epilepsy": int(number % 4 == 0)}
        rows.append(row)
    return write_rows(folder / "manifest.csv", rows)


def skulled_head(seed: int, radius_mm: float = 18.0) -> tuple[sitk.Image, sitk.Image]:
    """Return (ct, mask) of 96 x 110 x 32 voxels of 2 x 2 x 5 mm: scalp, skull and brain, closed below, with a ball of blood.

    Args:
        radius_mm: of the ball; 0 for a head without blood, whose mask is empty.
    """
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * step for n, step in ((32, 5), (110, 2), (96, 2))), indexing="ij"
    )

    def within(side: float) -> np.ndarray:
        return (x / (68 + side)) ** 2 + (y / (84 + side)) ** 2 + (z / (64 + side)) ** 2 < 1

    cx, cy, cz = rng.uniform(-25, 25, 3)
    ball = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < radius_mm**2
    hu = np.select([ball, within(0), within(7), within(12)], [66.0, 33.0, 900.0, 20.0], -1000.0)
    hu += rng.normal(0, 3, hu.shape)
    images = []
    for array in (np.clip(np.rint(hu), -1024, 3071).astype(np.int16), ball.astype(np.uint8)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 5.0))
        image.SetOrigin((float(x.min()), float(y.min()), float(z.min())))
        images.append(image)
    return images[0], images[1]


def skulled_archive(folder: Path, cases: int, bloodless: Sequence[int] = ()) -> list[dict[str, object]]:
    """Write heads that can be outlined, and return the rows of their manifest, which is written too and names no mask.

    The true masks lie beside the images (mask0.nii.gz ...).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for number in range(cases):
        ct, mask = skulled_head(number, 0.0 if number in bloodless else 18.0)
        sitk.WriteImage(ct, str(folder / f"ct{number}.nii.gz"))
        sitk.WriteImage(mask, str(folder / f"mask{number}.nii.gz"))
        rows.append({"center": "R", "case_id": f"{number:03d}", "image": f"ct{number}.nii.gz", "mask": ""})
    write_rows(folder / "manifest.csv", rows)
    return rows
