"""A head as its own template, moved by a known affine transform, gives its labels back; what does not fit gives none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.imaging.resampling import to_image
from cvtbatch.location.atlas import Registration, find_labels, register_atlas
from cvtbatch.location.atlas_files import AtlasFiles, name_files
from cvtbatch.location.head import MeasuredHead, measure_head
from cvtbatch.location.rows import location_row
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.template import load_atlas
from tests.support.round_heads import RoundHead

RULES = LocationRules()
HEAD = RoundHead((30, -20, 5), yaw_deg=12, roll_deg=6, center_mm=(10, -5, 4))
# The template is nodded by 8 degrees against the head, 5 % longer, and elsewhere.
NOD = np.radians(8)
AFFINE = np.array([[1, 0, 0], [0, np.cos(NOD), -np.sin(NOD)], [0, np.sin(NOD), np.cos(NOD)]]) @ np.diag([1, 1.05, 1])
SHIFT = np.array([20.0, -30.0, 15.0])


def regions(points: np.ndarray) -> np.ndarray:
    """Label points of the head, (n, 3): slabs of 20 mm along x, blocks of 40 mm along y and z."""
    slabs = np.floor(points / [20, 40, 40]).astype(int) + 10
    return slabs @ [1, 30, 900]


def head_points(image: sitk.Image) -> np.ndarray:
    """Return the points of the head, (n, 3), that lie at the voxels of a template."""
    z, y, x = np.indices(image.GetSize()[::-1]).reshape(3, -1)
    template = np.stack([x, y, z], axis=1) * image.GetSpacing() + image.GetOrigin()
    return (template - SHIFT) @ np.linalg.inv(AFFINE).T


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> AtlasFiles:
    folder = tmp_path_factory.mktemp("atlas")
    upright = RoundHead(spacing_mm=(2, 2, 2), radius_mm=1)
    hu, _ = upright.draw()
    grid = upright.grid()
    moved = sitk.AffineTransform(3)
    inverse = np.linalg.inv(AFFINE)
    moved.SetMatrix(inverse.ravel().tolist())
    moved.SetTranslation((-inverse @ SHIFT).tolist())
    brain = to_image(np.where((hu > -500) & (hu < 200), hu, 0).astype(np.float32), grid)
    frame = to_image(np.zeros(grid.shape_zyx, dtype=np.float32), replace(grid, origin_mm=tuple(grid.origin_mm + SHIFT)))
    template = sitk.Resample(brain, frame, moved, sitk.sitkLinear)
    labels = sitk.GetImageFromArray(regions(head_points(template)).reshape(grid.shape_zyx).astype(np.int32))
    labels.CopyInformation(template)
    sitk.WriteImage(template, str(folder / "template.nii.gz"))
    sitk.WriteImage(labels, str(folder / "labels.nii.gz"))
    return name_files(str(folder / "template.nii.gz"), str(folder / "labels.nii.gz"))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, MeasuredHead]:
    hu, ball = HEAD.draw()
    return hu, ball, measure_head(hu, HEAD.grid(), RULES)


def test_labels_come_back_through_a_known_transform(
    files: AtlasFiles, drawn: tuple[np.ndarray, np.ndarray, MeasuredHead]
) -> None:
    hu, ball, head = drawn
    atlas = load_atlas(files)
    fit = register_atlas(hu, head, atlas, RULES)
    assert isinstance(fit, Registration)
    assert fit.overlap > 0.93
    found = find_labels(ball > 0, head, atlas, fit)
    assert sum(found.shares) == pytest.approx(1)
    assert list(found.shares) == sorted(found.shares, reverse=True)
    z, y, x = np.nonzero(ball)
    scanned = HEAD.grid().to_point(np.stack([x, y, z], axis=1))
    points = (scanned - HEAD.center_mm) @ HEAD.turn()
    away = scanned @ fit.matrix.T + fit.shift - (points @ AFFINE.T + SHIFT)
    # Of slices of 5 mm, and a head whose nod the ventricles alone show.
    assert np.sqrt((away**2).sum(axis=1)).max() < 5
    labels, counts = np.unique(regions(points), return_counts=True)
    true = dict(zip(labels.tolist(), counts / counts.sum(), strict=True))
    for label, share in zip(found.labels, found.shares, strict=True):
        assert share == pytest.approx(true.get(label, 0), abs=0.1)
    assert found.label == labels[counts.argmax()]
    again = register_atlas(hu, head, atlas, RULES)
    assert isinstance(again, Registration)
    assert np.array_equal(again.matrix, fit.matrix)
    assert again.information == fit.information


def test_what_does_not_fit_has_no_label_and_a_reason(
    files: AtlasFiles, drawn: tuple[np.ndarray, np.ndarray, MeasuredHead], tmp_path: Path
) -> None:
    bar = np.zeros((60, 80, 60), dtype=np.float32)
    bar[22:38, 5:75, 22:38] = 30
    image = sitk.GetImageFromArray(bar)
    image.SetSpacing((3, 3, 3))
    sitk.WriteImage(image, str(tmp_path / "bar.nii"))
    hu, _, head = drawn
    why = register_atlas(hu, head, load_atlas(name_files(str(tmp_path / "bar.nii"), files.labels)), RULES)
    assert isinstance(why, str)
    assert "overlap by" in why or "stretches" in why


def test_part_of_a_brain_is_not_laid_under_an_atlas(files: AtlasFiles) -> None:
    cut = replace(HEAD, z_mm=(0, 92))
    hu, ball = cut.draw()
    row = location_row(hu, ball, cut.grid(), RULES, files)
    assert [row[name] for name in row if name.startswith("atlas_")] == [None] * 5
    assert "atlas_label: the scan does not show the whole brain" in row["undetermined"]  # type: ignore[operator]


def test_files_that_are_no_atlas_are_refused(files: AtlasFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        name_files(files.template, str(tmp_path / "absent.nii"))
    with pytest.raises(InputError, match="has changed"):
        load_atlas(replace(files, labels_sha256="0" * 64))
    half, skull = tmp_path / "half.nii", tmp_path / "skull.nii"
    sitk.WriteImage(sitk.ReadImage(files.labels, sitk.sitkFloat32) + 0.5, str(half))
    sitk.WriteImage(sitk.ReadImage(files.template) + 1, str(skull))
    no_labels, no_brain = name_files(files.template, str(half)), name_files(str(skull), files.labels)
    with pytest.raises(InputError, match="labels are not whole numbers"):
        load_atlas(no_labels)
    with pytest.raises(InputError, match="0 around the brain"):
        load_atlas(no_brain)
