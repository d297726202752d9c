"""What is wrong with manifests and outlines of new users, and what they are told: row, column, value, and the way on."""

import csv
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.archives import tiny_archive, tiny_head, write_rows
from tests.support.commands import told

Rows = list[dict[str, object]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an archive of four cases, in which the user stands."""
    folder = tmp_path_factory.mktemp("user")
    tiny_archive(folder / "archive", 4)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def _changed(**cells: object) -> Callable[[Rows], None]:
    return lambda rows: rows[0].update(cells)


def _renamed(**names: str) -> Callable[[Rows], None]:
    def rename(rows: Rows) -> None:
        rows[:] = [{names.get(name, name): value for name, value in row.items()} for row in rows]

    return rename


# What is done to the rows of a manifest; what check has to say. Exit code 3 where the other cases are read all the same.
MANIFESTS: Mapping[str, tuple[Callable[[Rows], None], int, list[str]]] = {
    "wrong image": (_changed(image="ct9.nii.gz"), 3, ["row 1", "missing_file", "4 cases: 3 can be read, 1 cannot"]),
    "65y": (
        _changed(age="65y"),
        3,
        ["row 1, column age: '65y' is not a number: write 65", "4 cases: 3 can be read, 1 cannot"],
    ),
    "3 months": (_changed(age="003M"), 3, ["'003M' is not a number: write it without a unit (age in years)"]),
    "2 days": (
        _changed(onset_to_ct_h="2d"),
        3,
        ["'2d' is not a number: write it without a unit (hours from onset to CT)"],
    ),
    "comma": (_changed(age="65,5"), 3, ["row 1, column age: '65,5' is not a number: write 65.5", "3 can be read"]),
    "thousands": (
        _changed(onset_to_ct_h="1,234"),
        3,
        ["'1,234' is not a number: write it without commas", "3 can be read"],
    ),
    "rounded id": (
        _changed(patient="1.23457E+11"),
        3,
        ["row 1, column patient: '1.23457E+11' is a long number of which a program has lost digits", "3 can be read"],
    ),
    "id of pandas": (
        _changed(patient="1.2345678901234568e+17"),
        3,
        ["row 1, column patient: '1.2345678901234568e+17' is a long number of which a program has lost digits"],
    ),
    "an id with an exponent of no spreadsheet's": (_changed(patient="2E5"), 0, ["4 can be read"]),
    "swapped": (
        lambda rows: rows[0].update(image=rows[0]["mask"], mask=rows[0]["image"]),
        3,
        ["cannot hold HU; perhaps image and mask changed places", "3 can be read"],
    ),
    "image as mask": (
        lambda rows: rows[0].update(mask=rows[0]["image"]),
        3,
        ["values from -10", "as an image in HU does", "perhaps image and mask changed places", "3 can be read"],
    ),
    "male": (_changed(sex="male"), 3, ["column sex: 'male' is not one of F, M", "3 can be read"]),
    "yes": (_changed(epilepsy="yes"), 3, ["'yes' is not 0 or 1: write 1 for yes, 0 for no, nothing", "3 can be read"]),
    "no centre": (_changed(center=""), 3, ["row 1, column center: empty; a value is required", "3 can be read"]),
    "twice": (
        lambda rows: rows.append(dict(rows[1])),
        3,
        ["row 5: the same center, case_id", "as row 2", "3 can be read"],
    ),
    "two ages": (
        lambda rows: rows.append({**rows[1], "reader": "B", "age": 99}),
        3,
        ["column age: differs from row 2", "3 can"],
    ),
    "PyRadiomics": (_renamed(image="Image", mask="Mask"), 1, ["column 'Image' is unknown; did you mean 'image'?"]),
    "typo": (_renamed(case_id="caseid"), 1, ["column 'caseid' is unknown; did you mean 'case_id'?"]),
    "empty": (lambda rows: rows.clear(), 1, ["it is empty"]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_wrong_manifest_is_told_by_row_and_column_and_the_rest_is_read(place: Path, name: str) -> None:
    change, code, words = MANIFESTS[name]
    with (place / "archive" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows: Rows = list(csv.DictReader(file))
    rows = [{**row, "age": "", "sex": "", "epilepsy": ""} | row for row in rows]
    change(rows)
    path = place / "archive" / "wrong.csv"
    if rows:
        write_rows(path, rows)
    else:
        path.write_text("", encoding="utf-8")
    text = told("check archive/wrong.csv", code)
    assert [word for word in words if word not in text] == [], text


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (
            lambda text: text.replace(",", ";").encode(),
            ["its cells are separated by ';'", "save it as CSV with commas"],
        ),
        (lambda text: text.replace(",", "\t").encode(), ["separated by '\\t'"]),
        (lambda text: text.replace("A,", "Zürich,").encode("latin-1"), ["line 2 is no UTF-8 text", "iconv -f latin1"]),
    ],
    ids=["semicolons", "TSV", "Latin-1"],
)
def test_a_file_of_another_kind_is_told(place: Path, encoded: Callable[[str], bytes], words: list[str]) -> None:
    text = (place / "archive" / "manifest.csv").read_text(encoding="utf-8")
    (place / "archive" / "other.csv").write_bytes(encoded(text))
    for command in ("check archive/other.csv", "extract archive/other.csv --store new"):
        found = told(command, 1)
        assert [word for word in words if word not in found] == [], found


def test_masks_that_are_none_are_told_how_to_become_one(place: Path) -> None:
    folder = place / "odd"
    rows = tiny_archive(folder, 5)
    with zipfile.ZipFile(folder / "scene.mrb", "w") as scene:
        scene.writestr("scene/scene.mrml", "<MRML/>")
    (folder / "surface.vtk").write_text("# vtk DataFile Version 4.2\n", encoding="utf-8")
    _, mask = tiny_head(0)
    several = sitk.GetArrayFromImage(mask)
    several[np.nonzero(several)[0][0]] *= 2
    image = sitk.GetImageFromArray(several)
    image.CopyInformation(mask)
    sitk.WriteImage(image, str(folder / "several.nii.gz"))
    masks = ("scene.mrb", "surface.vtk", "several.nii.gz", "several.nii.gz")
    for row, name in zip(rows, masks, strict=False):
        row["mask"] = name
    rows[3]["mask_label"] = 7
    rows[4]["image"] = "scene.mrb"
    write_rows(folder / "manifest.csv", rows)
    text = told("check odd/manifest.csv --out problems.csv", 3)
    for words in (
        "a .mrb file is a scene of 3D Slicer",
        "File > Save Data, tick the segmentation",
        "tick the volume",
        "a .vtk file holds a surface",
        "ambiguous_mask",
        "no voxel",
    ):
        assert words in text, text
    with (place / "problems.csv").open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["manifest_row"], row["stage"]) for row in found] == [
        ("1", "mask"), ("2", "mask"), ("3", "mask"), ("4", "mask"), ("5", "read"),
    ]  # fmt: skip
    assert str(place) not in (place / "problems.csv").read_text(encoding="utf-8")
