"""3D Slicer's segmentations, against slicerio and against what the files say of themselves."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.ingest import SourceMask, read_mask
from tests.support.mask_files import another_image, roi
from tests.support.outside_data import outside


def read(path: Path, **selectors) -> SourceMask:
    return read_mask(roi(path, **selectors), another_image)


def refused(path: Path, **selectors) -> InputError:
    with pytest.raises(InputError) as raised:
        read(path, **selectors)
    assert str(path.parent) not in raised.value.message
    return raised.value


@pytest.mark.parametrize(("name", "count"), [("Segmentation", 7), ("SegmentationOverlapping", 8)])
def test_every_segment_is_slicerios(name: str, count: int) -> None:
    path = outside(f"segmentations/{name}.seg.nrrd")
    reference = slicerio.read_segmentation(str(path))
    assert len(reference["segments"]) == count
    for segment in reference["segments"]:
        layers = reference["voxels"]
        layer = layers if layers.ndim == 3 else layers[segment["layer"]]
        mask = read(path, segment=segment["name"])
        assert isinstance(mask.place, Grid)
        assert np.array_equal(mask.voxels_zyx, layer.transpose(2, 1, 0) == segment["labelValue"])
        to_lps = mask.place.axes() * np.array(mask.place.spacing_mm)
        assert np.allclose(to_lps, reference["ijkToLPS"][:3, :3], atol=1e-9)
        assert np.allclose(mask.place.origin_mm, reference["ijkToLPS"][:3, 3], atol=1e-9)
        assert (mask.mask_format, mask.flags) == ("Slicer segmentation", ("other_slices",))


def test_a_segment_by_label_and_where_two_layers_share_one() -> None:
    plain, layered = (
        outside("segmentations/Segmentation.seg.nrrd"),
        outside("segmentations/SegmentationOverlapping.seg.nrrd"),
    )
    assert np.array_equal(read(plain, label=5).voxels_zyx, read(plain, segment="right lung").voxels_zyx)
    assert np.array_equal(read(layered, label=5).voxels_zyx, read(layered, segment="right lung").voxels_zyx)
    error = refused(layered, label=1)  # ribs and the overlapping sphere
    assert (error.kind, "2 of 8 segments" in error.message) == ("ambiguous_mask", True)
    assert "overlapping sphere" in error.private
    assert "sphere" not in error.message


def write(path: Path, values: np.ndarray, fields: dict[str, str], layers: bool = False) -> Path:
    image = sitk.GetImageFromArray(values, isVector=layers)
    image.SetSpacing((0.5, 0.5, 2.0))
    image.SetOrigin((3.0, -4.0, 5.0))
    for key, value in fields.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def labels() -> np.ndarray:
    values = np.zeros((4, 6, 5), np.uint8)
    values[1, 2, 1:4] = 1
    values[2, 3, 1:3] = 2
    return values


def test_names_as_people_type_them(tmp_path: Path) -> None:
    odd = 'Ha\u0308matom "li" \\ / ; := 血腫 '
    path = write(
        tmp_path / "m.nrrd",  # told by its header, not by its suffix
        labels(),
        {"Segment0_Name": odd, "Segment0_LabelValue": "1", "Segment1_Name": "Edema", "Segment1_LabelValue": "2"},
    )
    expected = labels() == 1
    for name in (odd, odd.strip(), odd.strip().upper(), "H\u00e4matom" + odd.strip()[8:]):
        assert np.array_equal(read(path, segment=name).voxels_zyx, expected), name
    assert read(path, segment="edema").voxels_zyx.sum() == 2
    assert refused(path).kind == "ambiguous_mask"
    error = refused(path, segment="clot")
    assert (error.kind, "2 segments" in error.message, "Edema" in error.private) == ("no_such_segment", True, True)
    assert "Edema" not in error.message
    assert error.private.endswith("2 'Edema', not 'clot'")
    assert refused(path, label=3).kind == "no_such_segment"


def test_the_only_segment_needs_no_name_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    fields = {"Segment0_Name": "a", "Segment0_LabelValue": "2"}
    assert read(write(tmp_path / "a.seg.nrrd", labels(), fields)).voxels_zyx.sum() == 2
    empty = write(tmp_path / "b.seg.nrrd", labels(), {**fields, "Segment0_LabelValue": "9"})
    assert refused(empty).kind == "empty_mask"
    twice = {**fields, "Segment1_Name": "A", "Segment1_LabelValue": "1"}
    path = write(tmp_path / "c.seg.nrrd", labels(), twice)
    assert read(path, segment="A").voxels_zyx.sum() == 3  # as it is written comes first
    assert (
        refused(write(tmp_path / "d.seg.nrrd", labels(), {**twice, "Segment1_Name": "a"}), segment="a").kind
        == "ambiguous_mask"
    )


def test_layers_of_files_from_before_shared_labels(tmp_path: Path) -> None:
    values = np.stack([labels() == 1, labels() > 0], axis=-1).astype(np.uint8)
    path = write(tmp_path / "m.seg.nrrd", values, {"Segment0_Name": "clot", "Segment1_Name": "both"}, layers=True)
    assert np.array_equal(read(path, segment="clot").voxels_zyx, labels() == 1)
    assert np.array_equal(read(path, segment="both").voxels_zyx, labels() > 0)
    bad = {"Segment0_Name": "clot", "Segment0_Layer": "7", "Segment1_Name": "x", "Segment1_Layer": "one"}
    assert refused(write(tmp_path / "bad.seg.nrrd", values, bad, layers=True), segment="clot").kind == "unreadable_file"


def test_a_cropped_file_in_ras_lies_where_its_origin_says(tmp_path: Path) -> None:
    """The same voxels in LPS and in RAS; the offset into the segmented image moves nothing."""
    fields = {
        "Segment0_Name": "clot",
        "Segment0_LabelValue": "1",
        "Segment0_Extent": "1 3 2 2 1 1",
        "Segmentation_ReferenceImageExtentOffset": "10 20 3",
    }
    lps = write(tmp_path / "lps.seg.nrrd", labels(), fields)
    text = lps.read_bytes()
    for ours, theirs in [
        (b"space: left-posterior-superior", b"space: right-anterior-superior"),
        (b"(0.5,0,0) (0,0.5,0) (0,0,2)", b"(-0.5,0,0) (0,-0.5,0) (0,0,2)"),
        (b"space origin: (3,-4,5)", b"space origin: (-3,4,5)"),
    ]:
        assert ours in text
        text = text.replace(ours, theirs)
    (tmp_path / "ras.seg.nrrd").write_bytes(text)
    masks = [read(path) for path in (lps, tmp_path / "ras.seg.nrrd")]
    assert np.array_equal(masks[0].voxels_zyx, masks[1].voxels_zyx)
    for mask in masks:
        assert isinstance(mask.place, Grid)
        assert np.allclose(mask.place.to_point(np.array([[1.0, 2, 1]])), [[3.5, -3, 7]])
    assert masks[0].mask_digest() == masks[1].mask_digest()


def test_a_moving_segmentation_is_refused(tmp_path: Path) -> None:
    image = sitk.JoinSeries([sitk.GetImageFromArray(labels())] * 2)
    image.SetMetaData("Segment0_Name", "clot")
    sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
    assert refused(tmp_path / "m.seg.nrrd").kind == "not_a_volume"
