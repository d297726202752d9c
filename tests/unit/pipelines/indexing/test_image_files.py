"""Trees of image files: which are images, and of whose study."""

from pathlib import Path

import pytest

from cvtbatch.pipelines.indexing.image_files import find_image_files
from cvtbatch.pipelines.indexing.path_pattern import PathPattern
from tests.support.image_trees import METAIMAGE, grow
from tests.support.nifti_files import nifti1


def _found(root: Path, pattern: str | None = None) -> dict[str, tuple[str | None, str, str]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    parsed = None if pattern is None else PathPattern.parse(pattern)
    found = find_image_files(files, root, parsed)
    return {file.path.relative_to(root).as_posix(): (file.center, file.patient_id, file.study_id) for file in found}


def test_a_bids_tree_says_all_by_its_names(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "sub-01/ses-02/ct/sub-01_ses-02_run-1_ct.nii.gz",
        "sub-01/ses-02/ct/sub-01_ses-02_run-2_ct.nii.gz",
        "sub-02/ct/sub-02_ct.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "derivatives/manual/sub-01/ses-02/sub-01_ses-02_mask.nii.gz",
        "derivatives/smooth/sub-01/ses-02/sub-01_ses-02_ct.nii.gz",
        "participants.tsv",
        "sub-02/ct/sub-02_ct.json",
    )
    grow(tmp_path, "sub-03/ct/sub-03_ct.nii.gz", as_bytes=True)
    assert _found(tmp_path) == {
        "sub-01/ses-02/ct/sub-01_ses-02_run-1_ct.nii.gz": (None, "sub-01", "ses-02"),
        "sub-01/ses-02/ct/sub-01_ses-02_run-2_ct.nii.gz": (None, "sub-01", "ses-02"),
        "sub-02/ct/sub-02_ct.nii.gz": (None, "sub-02", "sub-02"),
        "sub-03/ct/sub-03_ct.nii.gz": (None, "sub-03", "sub-03"),
    }


def test_a_pattern_says_what_folders_mean(tmp_path: Path) -> None:
    grow(
        tmp_path, "Köln/P 01/ct.nii.gz", "Köln/P 01/ct_Tilt_1.nii.gz", "Köln/P 02/ct.nrrd", "Köln/loose.nii", "top.mha"
    )
    assert _found(tmp_path, "{center}/{patient}/ct*") == {
        "Köln/P 01/ct.nii.gz": ("Köln", "P 01", "Köln/P 01/ct"),
        "Köln/P 01/ct_Tilt_1.nii.gz": ("Köln", "P 01", "Köln/P 01/ct"),
        "Köln/P 02/ct.nrrd": ("Köln", "P 02", "Köln/P 02/ct"),
    }
    assert _found(tmp_path, "{patient}/{study}")["Köln/loose.nii"] == (None, "Köln", "loose")


def test_without_names_and_pattern_every_image_is_a_study(tmp_path: Path) -> None:
    grow(tmp_path, "a/P01.nii.gz", "a/P01_Eq_1.nii.gz", "a/P02.mha", "b/P01.nii.gz")
    assert {study for _, _, study in _found(tmp_path).values()} == {"a/P01", "a/P02", "b/P01"}
    variants = {file.path.name: file.variant for file in find_image_files(tmp_path.rglob("*.nii.gz"), tmp_path, None)}
    assert variants == {"P01.nii.gz": "", "P01_Eq_1.nii.gz": "Eq"}


@pytest.mark.parametrize("name", ["P01_a.nii.gz", "P01_a.nrrd", "P01_a.mha"])
def test_where_a_name_leaves_it_open_the_header_tells_a_mask(tmp_path: Path, name: str) -> None:
    grow(tmp_path, f"16/{name}")
    grow(tmp_path, f"8/{name}", as_bytes=True)
    assert set(_found(tmp_path)) == {f"16/{name}"}


def test_what_can_be_no_image_says_why(tmp_path: Path) -> None:
    (tmp_path / "cut.nii").write_bytes(b"\x5c\x01\0\0")
    (tmp_path / "apart.mha").write_text(METAIMAGE.format("MET_SHORT", "apart.raw"))
    nifti1(tmp_path / "perfusion.nii", dim=(4, 2, 3, 4, 20, 1, 1, 1))
    nifti1(tmp_path / "one.nii", dim=(4, 6, 5, 4, 1, 1, 1, 1))
    found = {file.path.stem: file for file in find_image_files(tmp_path.iterdir(), tmp_path, None)}
    assert "truncated" in found["cut"].problem
    assert "another file" in found["apart"].problem
    assert found["perfusion"].problem == "is no volume: 2 x 3 x 4 x 20 voxels"
    assert (found["one"].problem, found["one"].facts) == ("", "6 x 5 x 4 x 1, 0.5 x 0.6 x 5 mm")
