"""Outlines of every format through `extract` and `check`: one head, the same ball, equal values."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch.cli import cli
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.store import FeatureStore
from tests.support.archives import write_rows
from tests.support.commands import extract_json
from tests.support.mask_files import Ball, ball, datasets, write_seg, write_structure_set
from tests.support.nifti_files import forms, nifti1

GAPS = (6.0,) * 4 + (3.0,) * 6 + (6.0,) * 3


def head(folder: Path, drawn: Ball) -> None:
    """A tilted series of uneven gaps, and the ball in it as SEG, RTSTRUCT and, on a grid of its own, Slicer segmentation."""
    write_series(folder / "ct", drawn.hu(), drawn.stack, SeriesTags("head", "test", 12.0))
    slices = datasets(folder / "ct")
    frame, series = str(slices[0].FrameOfReferenceUID), str(slices[0].SeriesInstanceUID)
    write_seg(folder / "seg.dcm", slices, drawn.mask())
    contours = [("CLOSED_PLANAR", points) for points in drawn.circles()]
    off = [("CLOSED_PLANAR", points + np.array([0, 0, 200.0])) for _, points in contours]
    write_structure_set(folder / "rt.dcm", {"clot": contours, "elsewhere": off}, frame, series)
    corner = drawn.center_mm - 20
    grid = Grid((80, 80, 40), (0.5, 0.5, 1.0), tuple(corner.tolist()), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    image = to_image(drawn.on(grid).astype(np.uint8) * 3, grid)
    for key, value in {"Segment0_Name": "Clot", "Segment0_LabelValue": "3", "Segment0_Layer": "0"}.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(folder / "ball.seg.nrrd"), useCompression=True)
    z, y, x = np.meshgrid(np.arange(4), np.arange(4), np.arange(60), indexing="ij")
    beside = Grid((60, 4, 4), (1.0, 1.0, 4.0), tuple((drawn.center_mm - [30, 28, 8]).tolist()), grid.direction)
    sitk.WriteImage(to_image((x + y + z > -1).astype(np.uint8), beside), str(folder / "beside.nii.gz"))


@pytest.fixture(scope="module")
def drawn() -> Ball:
    return ball(GAPS, 12.0)


@pytest.fixture
def archive(tmp_path: Path, drawn: Ball) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    head(folder, drawn)
    return folder


def row(mask: str, roi: str, **more: object) -> dict[str, object]:
    return {"center": "A", "case_id": "1", "image": "ct", "mask": mask, "roi": roi, "allow_gaps": 1, **more}


def test_every_format_gives_the_same_hematoma(archive: Path, tmp_path: Path, drawn: Ball) -> None:
    manifest, store = archive / "manifest.csv", tmp_path / "store"
    write_rows(manifest, [row("seg.dcm", "seg")])
    extract_json(manifest, store)
    # The others come later: their slices are read again, the volume is not made again.
    rows = [
        row("seg.dcm", "seg"),
        row("rt.dcm", "contours", segment="Clot"),
        row("ball.seg.nrrd", "slicer", segment="clot"),
    ]
    write_rows(manifest, rows)
    document = extract_json(manifest, store)
    assert {name: count for name, count in document["rows"].items() if count} == {"rois": 2, "radiomics": 2}
    assert extract_json(manifest, store)["already_done"] == 1
    opened = FeatureStore(str(store))
    rois = {item["roi"]: item for item in opened.rois().to_pylist()}
    assert {name: item["mask_format"] for name, item in rois.items()} == {
        "seg": "DICOM SEG",
        "contours": "DICOM RTSTRUCT",
        "slicer": "Slicer segmentation",
    }
    ml = 4 / 3 * np.pi * drawn.radius_mm**3 / 1000
    for item in rois.values():
        assert item["source_volume_ml"] == pytest.approx(ml, rel=0.03)
        assert item["volume_ml"] == pytest.approx(ml, rel=0.06)
        assert (item["components"], item["hu_p50"]) == (1, 65.0)
        assert item["hu_p05"] <= item["hu_p50"] <= item["hu_p95"]
        assert set(item["flags"]) - {"volume_changed"} == ({"other_slices"} if item["roi"] == "slicer" else set())
    assert rois["seg"]["voxels"] == pytest.approx(rois["contours"]["voxels"], rel=2e-3)
    shapes = {item["roi"]: item["original_shape_VoxelVolume"] for item in opened.radiomics().to_pylist()}
    assert {name: item["voxels"] * 1.25 for name, item in rois.items()} == pytest.approx(shapes)
    volumes = opened.table("volumes").current().to_pylist()
    grid = Grid(*(tuple(volumes[0][name]) for name in ("size_xyz", "spacing_mm", "origin_mm", "direction")))
    for item in rois.values():
        start, size = np.array(item["box_start_zyx"]), np.array(item["box_size_zyx"])
        center = grid.to_point((start + (size - 1) / 2)[None, ::-1])[0]
        assert np.abs((center - drawn.center_mm) @ grid.axes() / np.array(grid.spacing_mm)).max() < 1.0


def test_what_does_not_belong_to_the_head_is_a_failure_of_its_roi(archive: Path, tmp_path: Path) -> None:
    manifest, store = archive / "manifest.csv", tmp_path / "store"
    wrong = {
        "contour_off_slices": row("rt.dcm", "off", segment="elsewhere"),
        "ambiguous_mask": row("rt.dcm", "unnamed"),
        "no_such_segment": row("seg.dcm", "misnamed", segment="tumor"),
        "mask_outside_head": row("beside.nii.gz", "beside"),
        "unsupported_mask": row("ct/0001.dcm", "slice"),
        "no_mask_object": row("ct", "folder"),
    }
    write_rows(manifest, [row("seg.dcm", "seg"), *wrong.values()])
    result = CliRunner().invoke(cli, ["check", str(manifest), "--json", "--workers", "0"])
    assert result.exit_code == 3, result.stderr
    checked = {problem["roi_key"].split("/")[2]: problem["kind"] for problem in json.loads(result.stdout)["problems"]}
    assert checked == {str(item["roi"]): kind for kind, item in wrong.items()}
    extract_json(manifest, store, code=3)
    opened = FeatureStore(str(store))
    failures = {item["kind"]: item for item in opened.failures().to_pylist()}
    assert set(failures) == set(wrong)
    assert {item["stage"] for item in failures.values()} == {"mask"}
    assert [item["roi"] for item in opened.rois().to_pylist()] == ["seg"]
    assert "elsewhere" not in "".join(item["message"] for item in failures.values())


def test_places_that_disagree_are_flags_or_failures(tmp_path: Path, drawn: Ball) -> None:
    """A conversion of one step on the series, and an image of two places: what is known is placed and said, the rest fails."""
    folder = tmp_path / "archive"
    write_series(folder / "ct", drawn.hu(), drawn.stack, SeriesTags("head", "test", 12.0))
    step = Grid((80, 72, 14), (0.9, 0.8, 6.0), drawn.stack.positions_mm[0], direction_of(drawn))
    sitk.WriteImage(to_image(drawn.mask(), step), str(folder / "converted.nii.gz"))
    affine = step.axes() * np.array(step.spacing_mm)
    own, away = (np.column_stack([affine, np.add(step.origin_mm, [0, 0, up])]) for up in (0.0, 12.0))
    nifti1(folder / "head.nii", drawn.hu(), 4, **forms(own, 2, away, 1))
    nifti1(folder / "by_itk.nii", drawn.mask(), 2, **forms(away, 1, away, 1))
    nifti1(folder / "cropped.nii", drawn.mask()[1:], 2, **forms(away, 1, away, 1))
    rows = [
        row("converted.nii.gz", "dicom"),
        {**row("by_itk.nii", "whole"), "case_id": "2", "image": "head.nii"},
        {**row("cropped.nii", "cropped"), "case_id": "2", "image": "head.nii"},
    ]
    write_rows(folder / "manifest.csv", rows)
    extract_json(folder / "manifest.csv", tmp_path / "store", code=3)
    opened = FeatureStore(str(tmp_path / "store"))
    rois = {item["roi"]: item for item in opened.rois().to_pylist()}
    assert {name: "placed_by_index" in item["flags"] for name, item in rois.items()} == {"dicom": True, "whole": True}
    assert {item["hu_p50"] for item in rois.values()} == {65.0}
    ml = 4 / 3 * np.pi * drawn.radius_mm**3 / 1000
    assert rois["dicom"]["source_volume_ml"] == pytest.approx(ml, rel=0.03)
    assert rois["dicom"]["volume_ml"] == pytest.approx(ml, rel=0.06)
    volumes = {item["case_id"]: item["flags"] for item in opened.table("volumes").current().to_pylist()}
    assert ["two_places" in volumes[case] for case in "12"] == [False, True]
    [failure] = opened.failures().to_pylist()
    assert (failure["roi_key"].split("/")[2], failure["kind"]) == ("cropped", "two_places")


def direction_of(drawn: Ball) -> tuple[float, ...]:
    stack = drawn.stack
    return tuple(np.stack([stack.row_axis, stack.column_axis, stack.slice_axis], axis=1).ravel().tolist())
