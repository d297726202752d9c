"""`export-case`: a case goes to 3D Slicer, is corrected there, and comes back as another reader's, voxel by voxel."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.imaging import place_mask
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.manifest import read_manifest
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.archives import write_rows
from tests.support.commands import cvtbatch, extract_json
from tests.support.mask_files import Ball, ball, datasets, write_seg

SHAPES = {
    "even": ((4.2,) * 15, 0.0),
    "tilted": ((4.2,) * 15, 18.5),
    "uneven": ((6.0,) * 4 + (3.0,) * 6 + (6.0,) * 3, 0.0),
    "awaiting": ((5.0,) * 13, 0.0),
}
FOUND = "blast-ct:0123abcd"


def drawn(shape: str) -> Ball:
    return ball(*SHAPES[shape])


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a case a shape, outlined by A, but for one, and its store, where two more outlines were found."""
    folder = tmp_path_factory.mktemp("archive")
    rows = []
    for shape in SHAPES:
        head = drawn(shape)
        tags = SeriesTags(f"Doe^Jane {shape}", "Private", SHAPES[shape][1])
        write_series(folder / shape, head.hu(), head.stack, tags)
        row = {"center": "A/1", "case_id": shape, "image": shape, "age": 61.5, "x_note": 'a "b", c'}
        if shape != "awaiting":
            write_seg(folder / f"{shape}.dcm", datasets(folder / shape), head.mask())
            row |= {"mask": f"{shape}.dcm", "allow_gaps": 1 if shape == "uneven" else ""}
        rows.append(row)
    write_rows(folder / "manifest.csv", rows)
    extract_json(folder / "manifest.csv", folder / "store")
    add_found(FeatureStore.open_for_writing(str(folder / "store"), existing=True))
    return folder


def add_found(store: FeatureStore) -> None:
    """Outlines as a method finds them: on the stored grid, smaller than A's."""
    for roi in store.rois().to_pylist():
        grid = grid_of_case(store, roi["case_id"])
        smaller = Ball(drawn(roi["case_id"]).stack, drawn(roi["case_id"]).center_mm, 14.0).on(grid).astype(np.uint8)
        written = store.write_mask(smaller, grid)
        key = roi["roi_key"].replace("/A/1", f"/{FOUND}/1")
        digests = {"mask_digest": key, "input_digest": key, "mask_fingerprint": ""}
        place = {"path": written.path, "checksum": written.checksum, "volume_ml": float(smaller.sum()) * grid.voxel_ml}
        row = {**roi, "roi_key": key, "reader": FOUND, "outline_spec_id": "0123abcd" * 8, **digests, **place}
        store.table("rois").append([row])


def grid_of_case(store: FeatureStore, case_id: str) -> Grid:
    [row] = [row for row in store.current("volumes").to_pylist() if row["case_id"] == case_id]
    return Grid(*(tuple(row[name]) for name in ("size_xyz", "spacing_mm", "origin_mm", "direction")))


def stored_mask(store: FeatureStore, case_id: str, reader: str) -> np.ndarray:
    [row] = [row for row in store.rois().to_pylist() if (row["case_id"], row["reader"]) == (case_id, reader)]
    return np.asarray(store.read_array(StoredArray(row["path"], row["checksum"])))


def export(folder: Path, shape: str, out: Path, *arguments: object) -> dict[str, object]:
    command = ["export-case", f"A%2F1/{shape}", "--manifest", folder / "manifest.csv", "--store", folder / "store"]
    result = cvtbatch(*command, "--out", out, "--json", *arguments, check=True)
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/export-case.json") == []
    assert sorted(path.name for path in out.parent.iterdir() if path.name.startswith(".")) == []
    return dict(document)


def labels_of(path: Path) -> dict[str, np.ndarray]:
    """The segments of a file by name, as its header says where they are."""
    image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image)
    layers = values if values.ndim == 4 else values[..., np.newaxis]
    segments = {}
    while f"Segment{len(segments)}_ID" in image.GetMetaDataKeys():
        name, label, layer = (
            image.GetMetaData(f"Segment{len(segments)}_{field}") for field in ("Name", "LabelValue", "Layer")
        )
        segments[name] = (layers[..., int(layer)] == int(label)).astype(np.uint8)
    return segments


def correct(path: Path, segment: str, edit: Callable[[np.ndarray], None]) -> np.ndarray:
    """Change a segment as Slicer does, save the file over itself, and return what was saved of it."""
    image = sitk.ReadImage(str(path))
    values, names = sitk.GetArrayFromImage(image), list(labels_of(path))
    index = names.index(segment)
    label, layer = (int(image.GetMetaData(f"Segment{index}_{field}")) for field in ("LabelValue", "Layer"))
    plane = values[..., layer] if values.ndim == 4 else values
    changed = (plane == label).astype(np.uint8)
    edit(changed)
    plane[plane == label] = 0
    plane[changed == 1] = label
    edited = sitk.GetImageFromArray(values, isVector=values.ndim == 4)
    edited.CopyInformation(image)
    for key in image.GetMetaDataKeys():
        if key.startswith("Segment"):
            edited.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(edited, str(path), useCompression=True)
    return changed


def shave(voxels: np.ndarray) -> None:
    """Take the lower half of the middle slice away, and add a corner that no other hematoma has."""
    z = int(np.median(np.flatnonzero(voxels.any(axis=(1, 2)))))
    voxels[z, voxels.shape[1] // 2 :] = 0
    voxels[z + 1, 30:34, 33:37] = 1


@pytest.mark.parametrize("shape", ["even", "tilted", "uneven"])
def test_a_corrected_outline_comes_back_voxel_by_voxel(extracted: Path, tmp_path: Path, shape: str) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(extracted, folder)
    document = export(folder, shape, tmp_path / "out" / "case")
    store = FeatureStore(str(folder / "store"))
    grid = grid_of_case(store, shape)
    head, path = drawn(shape), tmp_path / "out" / "case" / "outlines.seg.nrrd"
    image = sitk.ReadImage(str(path.with_name("image.nrrd")))
    hu, segments = sitk.GetArrayFromImage(image), labels_of(path)
    assert list(segments) == ["hematoma/A/1", f"hematoma/{FOUND}/1"]
    a, found = segments.values()
    if shape == "uneven":
        assert (document["grid"], hu.shape) == ("stored", (grid.shape_zyx[0], grid.shape_zyx[1], grid.shape_zyx[2] + 1))
        assert np.array_equal(a[..., 1:], stored_mask(store, shape, "A"))
        assert np.array_equal(found[..., 1:], stored_mask(store, shape, FOUND))
        assert (hu[..., 0] == -1024).all()
        assert np.allclose(image.TransformIndexToPhysicalPoint((1, 0, 0)), grid.origin_mm)
        assert [outline["taken_from"] for outline in document["outlines"]] == ["store", "store"]
    else:
        assert (document["grid"], document["sheared"]) == ("series", shape == "tilted")
        assert np.array_equal(hu, np.maximum(head.hu(), -1024))
        for k, position in enumerate(head.stack.positions_mm):
            assert np.allclose(image.TransformIndexToPhysicalPoint((0, 0, k)), position, atol=1e-3)
        assert np.array_equal(a, head.mask())
        true = Ball(head.stack, head.center_mm, 14.0).mask()
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.9
        assert [outline["taken_from"] for outline in document["outlines"]] == ["file", "store"]
    for outline, radius in zip(document["outlines"], (18.0, 14.0), strict=True):
        ml = 4 / 3 * np.pi * radius**3 / 1000
        assert outline["volume_ml"] == pytest.approx(ml, rel=0.06)
        assert outline["written_volume_ml"] == pytest.approx(outline["volume_ml"], rel=0.06)
    corrected = correct(path, "hematoma/A/1", shave)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [*csv.DictReader(file), document["manifest"]["rows"][0]]
    write_rows(folder / "manifest.csv", rows)
    run = extract_json(folder / "manifest.csv", folder / "store")
    assert {name: count for name, count in run["rows"].items() if count} == {"rois": 1, "radiomics": 1}
    [back] = [item for item in store.rois().to_pylist() if item["reader"] == "corrected"]
    written = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    assert back["source_volume_ml"] == pytest.approx(int(corrected.sum()) * written.voxel_ml)
    assert not set(back["flags"]) & {"placed_by_index", "unverified_slices"}
    assert np.array_equal(stored_mask(store, shape, "corrected"), place_mask(corrected, written, grid))
    again = export(folder, shape, tmp_path / "again")
    mine = labels_of(tmp_path / "again" / "outlines.seg.nrrd")["hematoma/corrected/1"]
    assert np.array_equal(mine, corrected)
    assert [row["reading"] for row in again["manifest"]["rows"]] == ["2"] * 3


def test_a_row_to_paste_has_all_that_its_case_has(extracted: Path, tmp_path: Path) -> None:
    arguments = ["--corrector", "Dr B"]
    document = export(extracted, "uneven", tmp_path / "archive" / "case", *arguments)
    manifest = document["manifest"]
    header = (extracted / "manifest.csv").read_text().splitlines()[0].split(",")
    assert manifest["columns"] == [*header, "segment", "roi", "reader", "reading"]
    assert manifest["new_columns"] == ["segment", "roi", "reader", "reading"]
    [row, _] = manifest["rows"]
    assert {name: row[name] for name in row if name != "mask"} == {
        **{"center": "A/1", "case_id": "uneven", "image": "uneven", "age": "61.5", "x_note": 'a "b", c'},
        **{"allow_gaps": "1", "segment": "hematoma/A/1", "roi": "hematoma", "reader": "Dr B", "reading": "1"},
    }
    assert (extracted / row["mask"]).samefile(tmp_path / "archive" / "case" / "outlines.seg.nrrd")


def test_people_are_told_what_was_written_and_what_to_paste(extracted: Path, tmp_path: Path) -> None:
    out = tmp_path / "case"
    command = ["export-case", "A%2F1/tilted", "--manifest", extracted / "manifest.csv", "--store", extracted / "store"]
    text = cvtbatch(*command, "--out", out, check=True).stdout
    assert "image.nrrd and outlines.seg.nrrd on the series' own slices: 80 x 72 x 16 voxels" in text
    assert "hematoma/A/1" in text
    assert "stored mask" in text
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("center,"))
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[start:]))))
    assert [row["segment"] for row in rows] == ["hematoma/A/1", f"hematoma/{FOUND}/1"]
    assert {row["x_note"] for row in rows} == {'a "b", c'}
    command[1] = "A%2F1/uneven"
    text = cvtbatch(*command, "--out", tmp_path / "uneven", check=True).stdout
    assert "on the stored grid, since the slices are unevenly spaced" in text


def test_a_case_without_an_outline_is_its_image_alone(extracted: Path, tmp_path: Path) -> None:
    document = export(extracted, "awaiting", tmp_path / "case")
    assert (document["segmentation"], document["outlines"], document["manifest"]["rows"]) == (None, [], [])
    assert [path.name for path in (tmp_path / "case").iterdir()] == ["image.nrrd"]
    command = [
        "export-case",
        "A%2F1/awaiting",
        "--manifest",
        extracted / "manifest.csv",
        "--store",
        extracted / "store",
    ]
    text = cvtbatch(*command, "--out", tmp_path / "again", check=True).stdout
    assert "no outline of this case: the image alone" in text


def test_no_header_value_is_in_the_files(extracted: Path, tmp_path: Path) -> None:
    export(extracted, "even", tmp_path / "case")
    for path in (tmp_path / "case").iterdir():
        header = path.read_bytes().partition(b"\n\n")[0]
        assert not any(
            word in header for word in (b"Doe", b"Jane", b"Private", b"1.2.826", b"2.25", str(extracted).encode())
        )


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(extracted: Path, tmp_path: Path) -> None:
    def refused(key: str, manifest: Path, out: Path) -> str:
        command = ["export-case", key, "--manifest", manifest, "--store", extracted / "store", "--out", out]
        result = cvtbatch(*command)
        assert result.returncode == 1
        return result.stderr

    manifest, out = extracted / "manifest.csv", tmp_path / "case"
    assert "near it are A%2F1/even" in refused("A%2F1/evem", manifest, out)
    assert "has no volume of a case 'zzz'; `cvtbatch export volumes --store" in refused("zzz", manifest, out)
    other = tmp_path / "other"
    shutil.copytree(extracted, other, ignore=lambda *_: ["store"])
    write_rows(other / "others.csv", [{"center": "A/1", "case_id": "x", "image": "even"}])
    assert "has no case 'A%2F1/even'" in refused("A%2F1/even", other / "others.csv", out)
    write_rows(other / "swapped.csv", [{"center": "A/1", "case_id": "even", "image": "awaiting"}])
    text = refused("A%2F1/even", other / "swapped.csv", out)
    assert "the image of manifest row 1 is not the one that was stored" in text
    assert str(other / "awaiting") in text
    row = {"center": "A/1", "case_id": "even", "image": "even", "mask": "changed.dcm"}
    write_rows(other / "changed.csv", [row])
    changed = drawn("even").mask()
    changed[8, 36] = 0
    write_seg(other / "changed.dcm", datasets(other / "even"), changed)
    text = refused("A%2F1/even", other / "changed.csv", out)
    assert "the mask of manifest row 1 is not the one that was stored" in text
    assert str(other / "changed.dcm") in text
    assert not out.exists()
    out.mkdir()
    (out / "kept").write_text("kept")
    assert "is not empty; name a new folder" in refused("A%2F1/even", manifest, out)
    assert [path.name for path in out.iterdir()] == ["kept"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case", "other"]


def test_an_outline_that_the_manifest_names_no_more_is_laid_from_the_store(extracted: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "manifest.csv", [{"center": "A/1", "case_id": "even", "image": str(extracted / "even")}])
    command = ["export-case", "A%2F1/even", "--manifest", tmp_path / "manifest.csv", "--store", extracted / "store"]
    document = json.loads(cvtbatch(*command, "--out", tmp_path / "case", "--json", check=True).stdout)
    assert [outline["taken_from"] for outline in document["outlines"]] == ["store", "store"]
    laid, true = labels_of(tmp_path / "case" / "outlines.seg.nrrd")["hematoma/A/1"], drawn("even").mask()
    assert 2 * (laid & true).sum() / (laid.sum() + true.sum()) > 0.9


def test_an_outline_that_is_not_stored_is_named(extracted: Path, tmp_path: Path) -> None:
    [first] = [case for case in read_manifest(extracted / "manifest.csv") if case.case_id == "even"]
    assert read_volume(first).stack.is_even()
    rows = [{"center": "A/1", "case_id": "even", "image": first.image, "mask": first.rois[0].mask, "reader": "C"}]
    write_rows(tmp_path / "manifest.csv", rows)
    command = ["export-case", "A%2F1/even", "--manifest", tmp_path / "manifest.csv", "--store", extracted / "store"]
    document = json.loads(cvtbatch(*command, "--out", tmp_path / "case", "--json", check=True).stdout)
    assert document["not_stored"] == ["A%2F1/even/hematoma/C/1"]
