"""Outlines that `cvtbatch index` finds, and the rows that it makes of them, as extract takes them."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.dicom_results.values import PRODUCER
from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from cvtbatch.manifest import read_manifest
from tests.support.archives import tiny_head
from tests.support.commands import cvtbatch
from tests.support.index_runs import own_state, rows_of, run_index
from tests.support.series import HEAD, multiframe
from tests.support.studies import PIXELS, THIN, add_series, write_named_outline

SOFT, SHARP = {"ConvolutionKernel": "H31s"}, {"ConvolutionKernel": "H60s"}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_state(tmp_path, monkeypatch)


def test_outlines_that_name_the_series_are_filled_in_where_they_are_clear(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    for name, segments in (("one", ["blood"]), ("several", ["skull", "Blood"]), ("none", [])):
        series = add_series(root / name, "s", name)
        uid = str(pydicom.dcmread(series / "0001.dcm").SeriesInstanceUID)
        if segments:
            write_named_outline(tmp_path / "nas" / "outlines" / f"{name}.dcm", uid, segments)
        if name != "several":
            # As it comes back from an archive that `results` has sent it to: by itself, or beside what it was made of.
            result = root / "results" / f"{name}.dcm"
            write_named_outline(result, uid, ["blood"])
            made = pydicom.dcmread(result)
            made.ManufacturerModelName = PRODUCER
            made.save_as(result)
    document = run_index(root)
    assert (document["outlines"], document["unclear_outlines"]) == (1, 1)
    rows = {Path(row["image"]).parts[1]: row for row in rows_of(root)}
    assert (rows["one"]["mask"], rows["one"]["segment"]) == ("nas/outlines/one.dcm", "")
    assert rows["several"]["mask"] == rows["none"]["mask"] == ""
    assert "SEG with 'skull', 'Blood'" in rows["several"]["x_outlines"]
    run_index(root, "--segment", "blood", out="n.csv")
    rows = {Path(row["image"]).parts[1]: row for row in rows_of(root, "n.csv")}
    assert (rows["several"]["mask"], rows["several"]["segment"]) == ("nas/outlines/several.dcm", "Blood")


def test_a_mask_beside_several_series_is_told_and_taken_by_the_pattern_that_is_named(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    for study, lies in (("a", "a"), ("b", "b/2")):
        add_series(root / study, "1", study, **SOFT)
        add_series(root / study, "2", study, **SHARP)
        sitk.WriteImage(tiny_head(1)[1], str(root / lies / "hematoma.nii.gz"))
    add_series(root / "c", "1", "c")
    (root / "multi").mkdir()
    multiframe(add_series(tmp_path / "x", "s", "m"), root / "multi" / "whole.dcm")
    shutil.copy(root / "a" / "hematoma.nii.gz", root / "multi" / "hematoma.nii.gz")
    # A segmentation that names its series leaves no doubt.
    uid = str(pydicom.dcmread(add_series(root / "named", "1", "n", **SOFT) / "0001.dcm").SeriesInstanceUID)
    write_named_outline(root / "named" / "seg" / "1.dcm", uid, ["blood"])
    shutil.copy(root / "a" / "hematoma.nii.gz", root / "named" / "hematoma.nii.gz")
    document = run_index(root)
    assert (document["outlines"], document["unclear_outlines"]) == (1, 3)
    told = {Path(row["image"]).parts[1]: row["x_outlines"] for row in rows_of(root)}
    assert told["a"].startswith("nas/a/hematoma.nii.gz (it lies in the study's folder")
    assert "--mask-pattern '2/hematoma.nii.gz' takes it" in told["b"]
    assert told["c"] == ""
    result = cvtbatch("index", root, "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0)
    assert "1 found, 3 unclear: x_outlines says why" in result.stdout
    assert run_index(root, "--mask-pattern", "hematoma.nii.gz", out="n.csv")["outlines"] == 2  # "named" has two
    masks = {Path(row["image"]).parts[1]: row["mask"] for row in rows_of(root, "n.csv")}
    assert (masks["a"], masks["multi"]) == ("nas/a/hematoma.nii.gz", "nas/multi/hematoma.nii.gz")


def test_a_segment_of_a_label_map_of_bids_is_the_label_that_extract_reads(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    folder, derived = root / "sub-01" / "ct", root / "derivatives" / "manual" / "sub-01" / "ct"
    folder.mkdir(parents=True)
    derived.mkdir(parents=True)
    (root / "derivatives" / "manual" / "dataset_description.json").write_text("{}")
    (root / "derivatives" / "manual" / "dseg.tsv").write_text("index\tname\n1\tEdema\n3\tHematoma\n")
    label_map = derived / "sub-01_dseg.nii.gz"
    image, mask = tiny_head(1)
    sitk.WriteImage(image, str(folder / "sub-01_ct.nii.gz"))
    drawn = sitk.GetArrayFromImage(mask)
    labels = np.where(drawn > 0, 3, 0).astype(np.uint8)
    labels[:, :4, :4] = 1
    written = sitk.GetImageFromArray(labels)
    written.CopyInformation(mask)
    sitk.WriteImage(written, str(label_map))
    run_index(root, "--segment", "hematoma")
    [row] = rows_of(root)
    assert (Path(row["mask"]).name, row["mask_label"], row["segment"]) == (label_map.name, "3", "")
    [row_case] = read_manifest(root.parent / "m.csv")
    source = read_volume(row_case)
    read = read_mask(row_case.masked_rois()[0], lambda: ImageSlices.of(source))
    assert np.array_equal(read.voxels_zyx, drawn > 0)
    run_index(root, "--segment", "tumor", out="n.csv")
    assert "it has 'Edema', 'Hematoma'" in rows_of(root, "n.csv")[0]["x_outlines"]


def _draw(path: Path, gaps: Sequence[float], turned: bool = False, off_mm: float = 0.0) -> sitk.Image:
    """Write a mask on the slices of `add_series`, and return it; one that is turned begins with the last slice."""
    slices = len(gaps) + 1
    voxels = np.zeros((slices, *PIXELS), np.uint8)
    voxels[slices // 3 : slices // 2, 1:3, 1:3] = 1
    mask = sitk.GetImageFromArray(voxels[:: -1 if turned else 1])
    mask.SetSpacing((40.0, 40.0, gaps[0]))
    mask.SetOrigin((-80.0, -80.0, off_mm + (sum(gaps) if turned else 0.0)))
    mask.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1 if turned else 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(mask, str(path))
    return mask


@pytest.mark.parametrize(
    ("name", "turned"), [("hematoma.nii.gz", False), ("masks/p_seg.nrrd", True), ("ich.mha", False)]
)
def test_an_outline_settles_a_tie_by_the_grid_on_which_it_was_drawn(tmp_path: Path, name: str, turned: bool) -> None:
    root = tmp_path / "nas"
    add_series(root / "p", "thick", "p")
    add_series(root / "p", "thin", "p", THIN)
    run_index(root, out="tie.csv", code=3)
    assert [row["x_state"] for row in rows_of(root, "tie.csv")] == ["tie", "tie"]
    _draw(root / "p" / name, THIN, turned)
    document = run_index(root)
    assert (document["ties"], document["chosen"], document["outlines"], document["unclear_outlines"]) == (0, 1, 1, 0)
    [row] = rows_of(root)
    assert (row["image"], row["mask"], row["x_state"]) == ("nas/p/thin", f"nas/p/{name}", "chosen")
    assert "one of 2 equally good series; an outline in the study's folder has its grid" in row["x_reason"]
    # What extract takes: the thin slices, and every voxel of the outline on the voxel on which it was drawn.
    [case] = read_manifest(tmp_path / "m.csv")
    source = read_volume(case)
    read = read_mask(case.masked_rois()[0], lambda: ImageSlices.of(source))
    slices = len(THIN) + 1
    assert source.hu_zyx.shape == (slices, *PIXELS) == read.voxels_zyx.shape
    places = np.argwhere(read.voxels_zyx)
    depths = {round(float(z), 3) for z in _depths(read.place, places)}
    assert depths == {round(2.5 * number, 3) for number in range(slices // 3, slices // 2)}


def _depths(place: object, voxels_zyx: np.ndarray) -> np.ndarray:
    """Return the z of voxels in mm."""
    if hasattr(place, "positions_mm"):
        return np.array(place.positions_mm)[voxels_zyx[:, 0], 2]
    return place.to_point(voxels_zyx[:, ::-1])[:, 2]  # type: ignore[attr-defined]


def test_an_outline_is_filled_in_where_the_chosen_series_alone_has_its_grid(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    add_series(root / "p", "soft", "p", **SOFT)
    add_series(root / "p", "bone", "p", THIN, **SHARP)
    mask = _draw(root / "p" / "hematoma.nii.gz", HEAD)
    assert mask.GetSize()[2] == len(HEAD) + 1
    assert run_index(root)["outlines"] == 1
    [row] = rows_of(root)
    assert (row["image"], row["mask"]) == ("nas/p/soft", "nas/p/hematoma.nii.gz")
    assert "has its grid" in row["x_reason"]


def _same_grid(study: Path) -> None:
    _draw(study / "hematoma.nii.gz", HEAD)
    add_series(study, "again", "p")


def _of_neither(study: Path) -> None:
    _draw(study / "hematoma.nii.gz", HEAD, off_mm=1.0)


def _one_of_each(study: Path) -> None:
    _draw(study / "hematoma.nii.gz", HEAD)
    _draw(study / "ich.nii.gz", THIN)


def _of_something_else(study: Path) -> None:
    _draw(study / "core_mask.nii.gz", THIN)


def _damaged(study: Path) -> None:
    _draw(study / "hematoma.nii.gz", THIN)
    (study / "hematoma.nii.gz").write_bytes(b"\x1f\x8b" + bytes(80))


@pytest.mark.parametrize("make", [_same_grid, _of_neither, _one_of_each, _of_something_else, _damaged])
def test_an_outline_that_leaves_a_doubt_settles_nothing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    root = tmp_path / "nas"
    add_series(root / "p", "thick", "p")
    add_series(root / "p", "thin", "p", THIN)
    make(root / "p")
    document = run_index(root, code=3)
    assert (document["chosen"], document["ties"], document["outlines"]) == (0, 1, 0)
    assert all("it lies in the study's folder" in row["x_outlines"] for row in rows_of(root))
