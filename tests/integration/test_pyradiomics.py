"""`cvtbatch pyradiomics` beside PyRadiomics' own command: the same files in; the same columns, in one order, and values out."""

import ast
import csv
import json
import logging
import math
import re
import warnings
from pathlib import Path

import pytest
import SimpleITK as sitk
import yaml

from tests.support.archives import tiny_head
from tests.support.commands import cvtbatch
from tests.support.parity import skip_without_pyradiomics

FILES: dict[str, dict[str, object]] = {
    "ct": {
        "imageType": {"Original": {}, "LoG": {"sigma": [3.0, 5]}},
        "setting": {"binWidth": 25, "label": 1, "resampledPixelSpacing": [2, 2, 4], "interpolator": "sitkBSpline"},
        "featureClass": {"shape": None, "firstorder": [], "glcm": ["MCC", "SumAverage"]},
    },
    "mr": {
        "imageType": {"Original": {}, "Wavelet": {"binWidth": 10}},
        "setting": {
            "normalize": True,
            "normalizeScale": 100,
            "removeOutliers": 3,
            "resegmentRange": [-3, 3],
            "resegmentMode": "sigma",
            "preCrop": True,
        },
        "featureClass": {"firstorder": ["Mean", "Skewness"], "ngtdm": []},
    },
    "filters": {
        "imageType": {"LBP3D": {"binWidth": 1}, "Gradient": {}, "Square": {}},
        "setting": {"distances": [1, 2], "resegmentRange": [50, 80]},
        "featureClass": {"firstorder": [], "gldm": ["DependenceEntropy"]},
    },
    "plane": {
        "setting": {"force2D": True, "weightingNorm": "euclidean", "binCount": 16, "correctMask": True},
        "featureClass": {"glcm": [], "glrlm": []},
    },
    "silent": {
        "setting": {"additionalInfo": False, "minimumROISize": 10, "resampledPixelSpacing": [0, 0, 0]},
        "featureClass": {"firstorder": ["Energy"], "shape": ["MeshVolume"]},
    },
}
BATCH = """ID,Image,Mask,Label,Site
1,a.nrrd,a_mask.nrrd,1,"x, y"
2,b.nii.gz,b_mask.nii.gz,2,
3,b.nii.gz,b_mask.nii.gz,1,wrong label
4,gone.nrrd,a_mask.nrrd,1,no image
"""
Cells = dict[str, object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two heads (one of integers, one of fractions with label 2), parameter files, and a batch file."""
    folder = tmp_path_factory.mktemp("pyradiomics")
    ct, mask = tiny_head(3)
    sitk.WriteImage(ct, str(folder / "a.nrrd"))
    sitk.WriteImage(mask, str(folder / "a_mask.nrrd"))
    sitk.WriteImage(mask[4:-4, 6:-2, 1:-1], str(folder / "a_small.nrrd"))
    other, outline = tiny_head(4, 7.0)
    sitk.WriteImage(sitk.Cast(other, sitk.sitkFloat32) + 0.25, str(folder / "b.nii.gz"))
    sitk.WriteImage(outline * 2, str(folder / "b_mask.nii.gz"))
    for name, content in FILES.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (folder / "cases.csv").write_text(BATCH)
    return folder


def run_stock(*arguments: str) -> None:
    """Run PyRadiomics' own command in this process."""
    skip_without_pyradiomics()
    from radiomics import scripts

    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # What it reads its schema with is gone from the library that it takes it from.
        patched.setattr(scripts, "yaml", yaml)
        command = scripts.PyRadiomicsCommandLine([*arguments, "-v", "1"])
        assert command.run() == 0
        command.args.out.close()
    logging.getLogger("radiomics").handlers.clear()


def read(path: Path) -> list[Cells]:
    """Read what a command wrote, in its format."""
    text = path.read_text()
    match path.suffix:
        case ".csv":
            return [dict(row) for row in csv.DictReader(text.splitlines())]
        case ".json":
            found: list[Cells] = json.loads(text)
            return found
    cases: dict[str, Cells] = {}
    for line in text.splitlines():
        number, name, value = re.fullmatch(r"Case-(\d+)_([^:]+): (.*)", line).groups()  # type: ignore[union-attr]
        cases.setdefault(number, {})[name] = value
    return list(cases.values())


def value_of(cell: object) -> object:
    """The value of a cell; NumPy 2 shows its numbers as np.float64(1.5), and of a few voxels some come out complex."""
    if not isinstance(cell, str):
        return tuple(cell) if isinstance(cell, list) else cell
    text = re.sub(r"np\.float64\(([^()]*)\)", r"\1", cell)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return math.nan if text == "nan" else text


def equal(ours: object, stock: object) -> bool:
    if isinstance(ours, int | float) and isinstance(stock, int | float | complex):
        theirs = stock.real
        return (math.isnan(ours) and math.isnan(theirs)) or abs(ours - theirs) <= 1e-9 * abs(theirs) + 1e-12
    if isinstance(ours, tuple) and isinstance(stock, tuple):
        return len(ours) == len(stock) and all(map(equal, ours, stock))
    return ours == stock


def compare(folder: Path, output: str, *arguments: str, code: int = 0) -> list[Cells]:
    """Run both commands and hold every cell of ours to theirs; return ours."""
    ours, theirs = (folder / f"{name}.{output}" for name in ("ours", "theirs"))
    for path in (ours, theirs):
        path.unlink(missing_ok=True)
    done = cvtbatch("pyradiomics", *arguments, "-f", output, "-o", str(ours))
    assert done.returncode == code, done.stderr
    run_stock(*arguments, "-f", output, "-o", str(theirs))
    rows, stock = read(ours), read(theirs)
    assert [list(row) for row in rows] == [list(row) for row in stock]
    apart = [
        (name, row[name], other[name])
        for row, other in zip(rows, stock, strict=True)
        for name in row
        if not equal(value_of(row[name]), value_of(other[name]))
    ]
    assert apart == []
    return rows


@pytest.mark.parametrize(
    ("name", "output"), [("ct", "csv"), ("mr", "json"), ("filters", "txt"), ("plane", "csv"), ("silent", "json")]
)
def test_one_case(folder: Path, name: str, output: str) -> None:
    mask = "a_small.nrrd" if name == "plane" else "a_mask.nrrd"
    arguments = (str(folder / "a.nrrd"), str(folder / mask), "--param", str(folder / f"{name}.yaml"))
    [row] = compare(folder, output, *arguments)
    assert ("diagnostics_Mask-corrected_VoxelNum" in row) == (name == "plane")
    assert ("diagnostics_Image-original_Hash" in row) == (name != "silent")


@pytest.mark.parametrize(("name", "output"), [("ct", "txt"), ("silent", "csv"), ("mr", "json")])
def test_a_batch_goes_on_past_bad_cases(folder: Path, name: str, output: str) -> None:
    arguments = (str(folder / "cases.csv"), "--param", str(folder / f"{name}.yaml"), "--format-path", "relative")
    rows = compare(folder, output, *arguments, code=3)
    assert [row["Image"] for row in rows] == ["a.nrrd", "b.nii.gz", "b.nii.gz", "gone.nrrd"]
    assert rows[0]["Site"] == "x, y"
    told = cvtbatch("pyradiomics", *arguments).stderr.splitlines()
    assert len(told) == 2
    assert "Case 3: label 1 is absent from the mask; it holds 2" in told[0]
    assert f"Case 4: Image: there is no file at this path [{folder / 'gone.nrrd'}]" in told[1]


def test_settings_over_those_of_the_file(folder: Path) -> None:
    compare(
        folder,
        "json",
        *(str(folder / name) for name in ("b.nii.gz", "b_mask.nii.gz")),
        *("--param", str(folder / "filters.yaml"), "-s", "binWidth:8", "-s", "distances:1,3", "--label", "2"),
        *("-s", "resegmentShape:true", "--skip-nans", "-up", "--format-path", "basename"),
    )


def test_cases_that_are_kept_are_not_computed_again(folder: Path, tmp_path: Path) -> None:
    arguments = ("pyradiomics", folder / "cases.csv", "-p", folder / "silent.yaml", "-f", "csv")
    first = cvtbatch(*arguments, "-od", tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["features_1.csv", "features_2.csv"]
    log = tmp_path / "log.txt"
    again = cvtbatch(*arguments, "-od", tmp_path / "kept", "-v", "--log-file", log, "--logging-level", "INFO")
    assert (again.stdout, again.returncode) == (first.stdout, 3)
    assert "Case 1 was done before" in again.stderr
    assert log.read_text() == again.stderr


def test_files_are_looked_for_without_computing(folder: Path) -> None:
    done = cvtbatch("pyradiomics", folder / "cases.csv", "-p", folder / "ct.yaml", "--validate")
    assert (done.returncode, done.stdout) == (3, "")
    assert [line.partition("Case ")[2][:8] for line in done.stderr.splitlines()] == ["4: Image"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("a.nrrd",), 2, "give a mask after the image, or a batch file"),
        (("a.nrrd", "a_mask.nrrd", "--mode", "voxel"), 2, "maps of features by voxel are not computed here"),
        (("a.nrrd", "a_mask.nrrd", "-s", "binwidth:5"), 1, "did you mean 'binWidth'?"),
        (("a.nrrd", "a_mask.nrrd", "-s", "binCount:many"), 1, "'many' is no whole number"),
        (("a.nrrd", "a_mask.nrrd", "-s", "weightingNorm:euclidean"), 1, "write it in the parameter file"),
        (("a.nrrd", "a_mask.nrrd", "-s", "binWidth:-5"), 1, "setting.binWidth: -5.0 is out of range (limit: above 0)"),
        (("a.nrrd", "a_mask.nrrd", "-p", "none.yaml"), 1, "there is no parameter file"),
        (("ct.csv",), 1, "the batch file cannot be read"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(
    folder: Path, arguments: tuple[str, ...], code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = cvtbatch("pyradiomics", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in " ".join(done.stderr.split())


def test_a_batch_file_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("image,Mask\na,b\n")
    assert "the batch file has no column Image" in cvtbatch("pyradiomics", tmp_path / "cases.csv").stderr
    (tmp_path / "cases.csv").write_text("Image,Mask\na,b\na,b,c\n")
    assert "more cells than there are columns, in row 3" in cvtbatch("pyradiomics", tmp_path / "cases.csv").stderr
    (tmp_path / "cases.csv").write_text("Image,Mask\na,\n")
    done = cvtbatch("pyradiomics", tmp_path / "cases.csv")
    assert done.returncode == 1
    assert "no row with an image and a mask" in done.stderr


def test_swapped_files_and_folders_are_told(folder: Path) -> None:
    """As PyRadiomics computes them, with a word on stderr."""
    image, mask = folder / "a.nrrd", folder / "a_mask.nrrd"
    right = cvtbatch("pyradiomics", image, mask, "--setting", "minimumROIDimensions:1", check=True)
    assert "changed places" not in right.stderr
    swapped = cvtbatch("pyradiomics", mask, image, "--label", 35)
    assert (
        "Case 1: the mask holds values that are no labels (whole numbers from 0 on): perhaps image and mask"
        in swapped.stderr
    )
    assert swapped.stdout.count("\n") > 100
    binary = cvtbatch("pyradiomics", mask, mask, check=True)
    assert "Case 1: the image holds no values but 0 and" in binary.stderr
    told = cvtbatch("pyradiomics", folder, mask)
    assert told.returncode == 3
    assert "dcm2niix -z y FOLDER; or in Python" in told.stderr
