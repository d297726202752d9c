"""Outlines beside images: taken where names leave no choice, told where they do, and never another image's."""

import os
from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.indexing.mask_files import NUMBERED, SHARED, MaskFiles
from cvtbatch.pipelines.indexing.outlines_beside import OutlineBeside, outlines_of
from tests.support.image_trees import grow, segmentation


def _outlines(root: Path, image: str, pattern: str | None = None, segment: str | None = None) -> dict[str, str]:
    """Return the note of each outline by its place."""
    masks = MaskFiles([path for path in root.rglob("*") if path.is_file()], root)
    found = outlines_of(root / image, masks, pattern, segment)
    return {outline.path.relative_to(root).as_posix(): outline.note for outline in found}


def _found(image: Path, files: list[Path], pattern: str | None, segment: str | None) -> tuple[OutlineBeside, ...]:
    images = [] if image.is_dir() or image in files else [image]
    return outlines_of(image, MaskFiles([*images, *files], image.parents[1]), pattern, segment)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("P01/ct.nii.gz", "P01/mask.nii.gz"),
        ("P01/ct.nii.gz", "P01/seg1.nii.gz"),
        ("P01/ct.nii.gz", "P01/Segmentation.seg.nrrd"),
        ("P01/ct.nii.gz", "P01/masks/hematoma.nii.gz"),
        ("P01/P01_ct.nii.gz", "P01/seg.nii.gz"),
        ("flat/P01.nii.gz", "flat/P01_roi.nii.gz"),
        ("flat/P01.nii.gz", "flat/P01.seg.nrrd"),
        ("images/P01.nii.gz", "masks/P01.nii.gz"),
        ("imagesTr/P01_0000.nii.gz", "labelsTr/P01.nii.gz"),
        ("sub-01/ct/sub-01_ct.nii.gz", "derivatives/x/sub-01/sub-01_desc-readerA_mask.nii.gz"),
        ("a/4_Head.nii.gz", "a/4_Head_hematoma.nrrd"),
    ],
)
def test_the_outline_of_an_image_is_found(tmp_path: Path, image: str, mask: str) -> None:
    grow(tmp_path, image, mask)
    assert _outlines(tmp_path, image) == {mask: ""}


def test_in_a_flat_folder_each_has_its_own(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "P1.nii.gz",
        "P10.nii.gz",
        "P1_mask.nii.gz",
        "P10_mask.nii.gz",
        "P2.nii.gz",
        "P3_mask.nii.gz",
        "mask.nii.gz",
    )
    assert _outlines(tmp_path, "P1.nii.gz") == {"P1_mask.nii.gz": ""}
    assert _outlines(tmp_path, "P10.nii.gz") == {"P10_mask.nii.gz": ""}
    assert _outlines(tmp_path, "P2.nii.gz") == {}


def test_another_images_outline_is_never_taken(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "P01.nii.gz",
        "P02_mask.nii.gz",
        "deep/P01_mask.nii.gz",
        "brainmask.nii.gz",
        "Mo\u0308ller_mask.nii.gz",
    )
    assert _outlines(tmp_path, "P01.nii.gz") == {}
    grow(tmp_path, "n/Müller.nii.gz", "n/Möller_mask.nii.gz")
    assert _outlines(tmp_path, "n/Müller.nii.gz") == {}
    grow(
        tmp_path, "sub-01/sub-01_run-1_ct.nii.gz", "sub-01/sub-01_run-2_mask.nii.gz", "sub-01/sub-01_ses-2_mask.nii.gz"
    )
    assert _outlines(tmp_path, "sub-01/sub-01_run-1_ct.nii.gz") == {}


def test_the_mask_of_a_follow_up_without_its_image_is_doubted(tmp_path: Path) -> None:
    grow(tmp_path, "P01.nii.gz", "P01_2_mask.nii.gz")
    assert _outlines(tmp_path, "P01.nii.gz") == {"P01_2_mask.nii.gz": NUMBERED}
    grow(tmp_path, "P01_2.nii.gz")
    assert _outlines(tmp_path, "P01.nii.gz") == {}
    assert _outlines(tmp_path, "P01_2.nii.gz") == {"P01_2_mask.nii.gz": ""}


def test_a_number_before_the_word_of_a_mask_is_a_patients(tmp_path: Path) -> None:
    grow(tmp_path, "002/ct.nii.gz", "002/001_mask.nii.gz", "flat/1.nii.gz", "flat/mask_1.nii.gz", "flat/mask_2.nii.gz")
    assert _outlines(tmp_path, "002/ct.nii.gz") == {"002/001_mask.nii.gz": NUMBERED}
    assert _outlines(tmp_path, "flat/1.nii.gz") == {"flat/mask_1.nii.gz": ""}


def test_a_word_more_may_be_another_tissues(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "P01.nii.gz",
        "P01_ich_final_mask.nii.gz",
        "P01_oedema_mask.nii.gz",
        "P02.nii.gz",
        "P02_core_mask.nii.gz",
    )
    assert _outlines(tmp_path, "P01.nii.gz") == {"P01_ich_final_mask.nii.gz": ""}
    assert "its name says 'core'" in _outlines(tmp_path, "P02.nii.gz")["P02_core_mask.nii.gz"]
    assert _outlines(tmp_path, "P02.nii.gz", "{stem}_core_mask.nii.gz") == {"P02_core_mask.nii.gz": ""}


def test_one_outline_for_two_images_is_told_to_both(tmp_path: Path) -> None:
    grow(tmp_path, "a/ct.nii.gz", "a/head.nii.gz", "a/mask.nii.gz", "a/head_mask.nii.gz")
    assert _outlines(tmp_path, "a/ct.nii.gz") == {"a/mask.nii.gz": SHARED}
    assert all(_outlines(tmp_path, "a/head.nii.gz").values())
    grow(
        tmp_path, "sub-1/sub-1_run-1_ct.nii", "sub-1/sub-1_run-2_ct.nii", "sub-1/sub-1_T1w.nii", "sub-1/sub-1_mask.nii"
    )
    assert _outlines(tmp_path, "sub-1/sub-1_run-1_ct.nii") == {"sub-1/sub-1_mask.nii": SHARED}


def test_several_that_fit_are_all_told_and_several_readers_all_taken(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "a/ct.nii.gz",
        "a/mask.nii.gz",
        "a/seg.nii.gz",
        "b/ct.nii.gz",
        "b/mask_readerA.nii.gz",
        "b/mask_readerB.nii.gz",
    )
    notes = _outlines(tmp_path, "a/ct.nii.gz")
    assert set(notes) == {"a/mask.nii.gz", "a/seg.nii.gz"}
    assert all("one of 2 outlines that fit (mask.nii.gz, seg.nii.gz)" in note for note in notes.values())
    found = _found(tmp_path / "b/ct.nii.gz", sorted((tmp_path / "b").iterdir()), None, None)
    assert [(outline.reader, outline.note) for outline in found] == [("A", ""), ("B", "")]


def test_who_is_not_named_is_the_default_reader(tmp_path: Path) -> None:
    grow(tmp_path, "ct.nii.gz", "mask.nii.gz", "mask_readerA.nii.gz")
    assert all(_outlines(tmp_path, "ct.nii.gz").values())
    grow(tmp_path, "b/ct.nii.gz", "b/mask.nii.gz", "b/mask_readerB.nii.gz")
    assert not any(_outlines(tmp_path, "b/ct.nii.gz").values())


def test_what_dcm2niix_has_resampled_is_no_other_image(tmp_path: Path) -> None:
    grow(tmp_path, "4_Head.nii.gz", "4_Head_Tilt_1.nii.gz", "mask.nii.gz")
    assert _outlines(tmp_path, "4_Head.nii.gz") == {"mask.nii.gz": ""}
    assert _outlines(tmp_path, "4_Head_Tilt_1.nii.gz") == {"mask.nii.gz": ""}


@pytest.mark.parametrize(
    ("folder", "mask", "note"),
    [
        ("P01", "P01/hematoma.nii.gz", ""),
        ("P01", "P01/deep/x_mask.nii.gz", ""),
        ("P01", "P01_mask.nii.gz", ""),
        ("P01/DICOM", "P01/mask.nii.gz", ""),
        ("P01/1.2.840.113619.2.55", "P01/Segmentation.seg.nrrd", ""),
        ("P01", "P02_mask.nii.gz", None),
        ("P01", "P01_2_mask.nii.gz", None),
    ],
)
def test_beside_folders_of_dicom_files(tmp_path: Path, folder: str, mask: str, note: str | None) -> None:
    (tmp_path / folder).mkdir(parents=True)
    grow(tmp_path, mask)
    found = _found(tmp_path / folder, [tmp_path / mask], None, None)
    assert [outline.note for outline in found] == ([] if note is None else [note])


def test_a_nameless_mask_beside_two_folders_is_nobodys(tmp_path: Path) -> None:
    grow(tmp_path, "P01/x", "P02/x", "mask.nii.gz")
    assert _outlines(tmp_path, "P01") == {}
    grow(tmp_path, "Q/1.2.3.4.5/x", "Q/1.2.3.4.6/x", "Q/mask.nii.gz")
    assert _outlines(tmp_path, "Q/1.2.3.4.5") == {"Q/mask.nii.gz": SHARED}


def test_a_pattern_is_all_that_counts_where_there_is_one(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "i/P[1].nii.gz",
        "i/P1_x.nii.gz",
        "i/P[1]_mask.nii.gz",
        "i/P[1]_x.nii.gz",
        "m/P[1]/a.nii",
        "m/P[1]/b.nii",
    )
    assert _outlines(tmp_path, "i/P[1].nii.gz", "{stem}_x.nii.gz") == {"i/P[1]_x.nii.gz": ""}
    assert set(_outlines(tmp_path, "i/P[1].nii.gz", "../m/{stem}/*.nii")) == {"m/P[1]/a.nii", "m/P[1]/b.nii"}
    assert _outlines(tmp_path, "i/P[1].nii.gz", "none_{stem}.nii") == {}
    grow(tmp_path, "D/P9/IM1", "D/P9/roi.nii", "D/P9_roi.nii")
    assert _outlines(tmp_path, "D/P9", "roi.nii") == {"D/P9/roi.nii": ""}
    assert _outlines(tmp_path, "D/P9", "{stem}_roi.nii") == {"D/P9_roi.nii": ""}


@pytest.mark.parametrize("pattern", ["{name}_roi.nii", "{stem_roi.nii", "/data/{stem}.nii", "", "./"])
def test_what_is_no_pattern_of_masks_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=r"\{stem\}_roi.nii.gz") as raised:
        _found(tmp_path / "ct.nii.gz", [], pattern, None)
    assert raised.value.kind == "bad_pattern"


def test_segments_are_named_where_a_file_has_them(tmp_path: Path) -> None:
    grow(tmp_path, "ct.nii.gz")
    path = segmentation(tmp_path / "ct.seg.nrrd", "ICH", "Edema")
    [outline] = _found(tmp_path / "ct.nii.gz", [path], None, "ich ")
    assert (outline.segment, outline.note) == ("ICH", "")
    [outline] = _found(tmp_path / "ct.nii.gz", [path], None, None)
    assert outline.segment == ""
    assert "holds 2 segments" in outline.note
    assert outline.note.endswith("it has 'ICH', 'Edema'")
    [outline] = _found(tmp_path / "ct.nii.gz", [path], None, "Blood")
    assert "none of 2 segments" in outline.note
    [outline] = _found(tmp_path / "ct.nii.gz", [segmentation(path, "ICH")], None, None)
    assert (outline.segment, outline.note) == ("", "")
    path.write_bytes(b"NRRD0004\nbroken\n\n")
    [outline] = _found(tmp_path / "ct.nii.gz", [path], None, "ICH")
    assert "damaged" in outline.note
    # A label map has no names; the column stays empty.
    [outline] = _found(tmp_path / "ct.nii.gz", grow(tmp_path, "ct_mask.nii.gz"), None, "ICH")
    assert (outline.segment, outline.note) == ("", "")


def test_a_scene_of_slicer_says_how_to_export_it(tmp_path: Path) -> None:
    grow(tmp_path, "P01.nii.gz", "P01.mrb")
    assert "save its segmentation alone, as .seg.nrrd" in _outlines(tmp_path, "P01.nii.gz")["P01.mrb"]
    grow(tmp_path, "P01_mask.nii.gz")
    assert _outlines(tmp_path, "P01.nii.gz") == {"P01_mask.nii.gz": ""}


def test_names_of_any_bytes_are_looked_up(tmp_path: Path) -> None:
    name = os.fsdecode(b"M\xfcller")
    grow(tmp_path, f"{name}.nii.gz", f"{name}_mask.nii.gz")
    assert list(_outlines(tmp_path, f"{name}.nii.gz").values()) == [""]
