"""What names of image files say, on names as people, Slicer, ITK-SNAP, dcm2niix, nnU-Net and BIDS give them."""

from pathlib import PurePath

import pytest

from cvtbatch.pipelines.indexing.file_names import (
    BidsName,
    bids_name,
    core_of,
    is_mask_name,
    is_mask_path,
    is_other_organ,
    reader_of,
    variant_of,
    without_variant,
)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "seg.nii.gz",
            "P01_mask.nii",
            "Segmentation.seg.nrrd",
            "hematomaMask.nrrd",
            "P01_roi1.mha",
            "5 Head-label.nrrd",
        ),
        *(
            "sub-01_ses-02_dseg.nii.gz",
            "hematoma.nii.gz",
            "P01_Haematoma_2.nii.gz",
            "brainmask.nii.gz",
            "SEG001.nii.gz",
        ),
        *("ct.seg.nrrd", "labelmap_A.nii.gz", "ROI.nii"),
    ],
)
def test_names_of_masks(name: str) -> None:
    assert is_mask_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("ct.nii.gz", "P01.nrrd", "hematoma_001.nii.gz", "ct_masked.nii.gz", "Segovia_3.nii.gz", "Roig_2.nii.gz"),
        *("4_Head_1.25mm_Tilt_1.nii.gz", "sub-01_ct.nii.gz", "caselabeled.mha"),
    ],
)
def test_names_of_images(name: str) -> None:
    assert not is_mask_name(name)


def test_folders_of_masks() -> None:
    assert is_mask_path(PurePath("labelsTr/P01.nii.gz"))
    assert is_mask_path(PurePath("P01/Masks/P01.nii.gz"))
    assert not is_mask_path(PurePath("imagesTr/P01_0000.nii.gz"))


def test_masks_of_other_organs() -> None:
    assert all(map(is_other_organ, ("brainmask.nii.gz", "ct_skull_mask.nii.gz", "sub-01_desc-brain_mask.nii.gz")))
    assert not any(map(is_other_organ, ("mask.nii.gz", "ich_mask.nii.gz", "hematoma.nii.gz")))


@pytest.mark.parametrize(
    ("name", "core"),
    [
        *(("ct.nii.gz", ""), ("P01_ct.nii.gz", "p 01"), ("P01_mask.nii.gz", "p 01"), ("mask_P01.nii.gz", "p 01")),
        *(("P01_seg_2.nii.gz", "p 01"), ("seg_P01_2.nii.gz", "p 01 2"), ("P01_2_mask.nii.gz", "p 01 2")),
        *(("P01_0000.nii.gz", "p 01"), ("ct_Tilt_1.nii.gz", ""), ("P01_readerB_mask.nii.gz", "p 01")),
        *(("1.2.840.113619.2.55.3", ""), ("Mu\u0308ller_mask.nii", "müller"), ("Segmentation.seg.nrrd", "")),
    ],
)
def test_what_tells_a_name_from_others(name: str, core: str) -> None:
    assert core_of(name) == core


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        *(
            ("mask_readerB.nii.gz", "B"),
            ("P01_rater-2_seg.nii", "2"),
            ("mask_Reader_JS.nrrd", "JS"),
            ("observer2.nii", "2"),
        ),
        *(("reader_mask.nii", ""), ("readers_mask.nii", ""), ("mask.nii", ""), ("sub-1_desc-readerA_mask.nii.gz", "A")),
    ],
)
def test_who_drew_a_mask(name: str, reader: str) -> None:
    assert reader_of(name) == reader


def test_names_of_bids() -> None:
    assert bids_name("sub-01_ses-02_run-1_ct.nii.gz") == BidsName("sub-01", "ses-02", ("run-1",), "ct")
    assert bids_name("sub-01_ct_Tilt_1.nii") == BidsName("sub-01", "", (), "ct")
    assert bids_name("sub_01_ct.nii") is None
    image = BidsName("sub-01", "ses-02", ("acq-thin", "run-1"), "ct")
    assert BidsName("sub-01", "ses-02", ("run-1", "desc-readerA"), "mask").is_of(image)
    assert not BidsName("sub-01", "ses-02", ("run-2",), "mask").is_of(image)
    assert not BidsName("sub-01", "ses-03", (), "mask").is_of(image)


def test_what_dcm2niix_has_resampled() -> None:
    names = ("4_Head_Tilt_1.nii.gz", "4_Head_Eq_1.nii.gz", "4_Head_Tilt_Eq_1.nii.gz", "4_Head.nii.gz", "Tilted.nii")
    assert [variant_of(name) for name in names] == ["Tilt", "Eq", "Tilt+Eq", "", ""]
    assert {without_variant(name) for name in names[:4]} == {"4_Head"}
