"""Parts of blood, their classes and their flags: against what was drawn, counted by hand and by SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.outlining.blood import (
    BLOOD,
    Tissue,
    agreement,
    blood_parts,
    class_volumes_ml,
    flags_of,
    is_blood,
)

VOXEL_ML = 0.025
SHAPE = (6, 20, 20)


def box(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=np.bool_)
    mask[z, y, x] = True
    return mask


LARGE = box(slice(1, 5), slice(2, 8), slice(2, 8))  # 144 voxels, 3.6 ml
SECOND = box(slice(1, 5), slice(12, 16), slice(12, 15))  # 48 voxels, 1.2 ml
SPECK = box(slice(0, 1), slice(18, 20), slice(0, 2))


def test_parts_are_those_above_the_least_volume_the_largest_first() -> None:
    parts = blood_parts(SPECK | SECOND | LARGE, VOXEL_ML)
    assert [part.volume_ml for part in parts] == pytest.approx([3.6, 1.2])
    assert (parts[0].mask_zyx == LARGE).all()
    assert (parts[1].mask_zyx == SECOND).all()
    assert [part.volume_ml for part in blood_parts(SPECK | LARGE, VOXEL_ML, least_ml=0.0)] == pytest.approx([3.6, 0.1])


def test_the_least_volume_counts_true_volume_and_itself() -> None:
    assert len(blood_parts(SECOND, 1.0 / 48)) == 1
    assert blood_parts(SECOND, 0.99 / 48) == ()
    assert blood_parts(np.zeros(SHAPE, dtype=np.bool_), VOXEL_ML) == ()


def test_parts_that_share_a_corner_are_one() -> None:
    corner = box(slice(5, 6), slice(8, 9), slice(8, 9))
    assert len(blood_parts(LARGE | corner, VOXEL_ML, 0.0)) == 1
    assert len(blood_parts(LARGE | box(slice(5, 6), slice(9, 10), slice(8, 9)), VOXEL_ML, 0.0)) == 2


def test_of_equal_parts_the_first_is_the_outline() -> None:
    first, last = box(slice(0, 2), slice(0, 5), slice(0, 5)), box(slice(4, 6), slice(0, 5), slice(0, 5))
    assert (blood_parts(first | last, VOXEL_ML)[0].mask_zyx == first).all()


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_simple_itks(seed: int) -> None:
    blood = np.random.default_rng(seed).random((12, 30, 30)) < 0.06
    image = sitk.GetImageFromArray(blood.astype(np.uint8))
    ordered = sitk.RelabelComponent(sitk.ConnectedComponent(image, True), sortByObjectSize=True)
    labels = sitk.GetArrayFromImage(ordered)
    sizes = np.bincount(labels.ravel())[1:]
    parts = blood_parts(blood, 1.0, 2.0)
    assert [part.volume_ml for part in parts] == [size for size in sizes if size >= 2]
    if sizes[0] > sizes[1]:
        assert (parts[0].mask_zyx == (labels == 1)).all()


def labelled(**classes: np.ndarray) -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for name, mask in classes.items():
        labels[mask] = Tissue[name]
    return labels


def test_blood_is_all_its_classes_inside_the_skull_without_oedema() -> None:
    around = box(slice(1, 5), slice(8, 9), slice(2, 8))
    labels = labelled(INTRAPARENCHYMAL=LARGE, EXTRA_AXIAL=SECOND, OEDEMA=around, INTRAVENTRICULAR=SPECK)
    inside = np.ones(SHAPE, dtype=np.bool_)
    inside[0] = False
    assert (is_blood(labels, inside) == (LARGE | SECOND)).all()
    assert set(BLOOD) == set(Tissue) - {Tissue.BACKGROUND, Tissue.OEDEMA}


def test_class_volumes_are_counts_of_their_voxels() -> None:
    labels = labelled(INTRAPARENCHYMAL=LARGE, INTRAVENTRICULAR=SECOND)
    assert class_volumes_ml(labels, np.ones(SHAPE, dtype=np.bool_), VOXEL_ML) == pytest.approx(
        {
            Tissue.INTRAPARENCHYMAL: 3.6,
            Tissue.EXTRA_AXIAL: 0.0,
            Tissue.OEDEMA: 0.0,
            Tissue.INTRAVENTRICULAR: 1.2,
        }
    )
    assert class_volumes_ml(labels, SECOND, VOXEL_ML)[Tissue.INTRAPARENCHYMAL] == 0


def test_agreement_is_the_mean_dice_of_what_touches_the_outline() -> None:
    half = LARGE & box(slice(1, 3), slice(0, 20), slice(0, 20))
    # Dice of a half with the whole is 2/3; the second part is elsewhere and does not count.
    assert agreement([LARGE, half | SECOND], LARGE) == pytest.approx((1 + 2 / 3) / 2)
    assert agreement([LARGE, SECOND], LARGE) == pytest.approx(0.5)
    assert agreement([LARGE], LARGE) is None


NONE = np.zeros(SHAPE, dtype=np.bool_)
FRONT_HALF = LARGE & box(slice(0, 6), slice(0, 5), slice(0, 20))
MORE_THAN_HALF = FRONT_HALF | (LARGE & box(slice(1, 2), slice(5, 6), slice(2, 3)))


@pytest.mark.parametrize(
    ("classes", "more", "members", "flags"),
    [
        ({"INTRAPARENCHYMAL": LARGE}, NONE, None, ()),
        ({"INTRAPARENCHYMAL": LARGE}, SECOND, None, ("several",)),
        ({"INTRAPARENCHYMAL": LARGE}, SPECK, None, ()),
        ({"INTRAPARENCHYMAL": LARGE}, NONE, 0.85, ()),
        ({"INTRAPARENCHYMAL": LARGE}, NONE, 0.849, ("disagreement",)),
        ({"INTRAPARENCHYMAL": LARGE, "INTRAVENTRICULAR": FRONT_HALF}, NONE, None, ()),
        ({"INTRAPARENCHYMAL": LARGE, "INTRAVENTRICULAR": MORE_THAN_HALF}, NONE, 1.0, ("mostly_ivh",)),
        ({"INTRAPARENCHYMAL": LARGE, "EXTRA_AXIAL": MORE_THAN_HALF}, SECOND, 0.2,
         ("disagreement", "several", "mostly_extra_axial")),
    ],
)  # fmt: skip
def test_flags(classes: dict[str, np.ndarray], more: np.ndarray, members: float | None, flags: tuple[str, ...]) -> None:
    labels = labelled(**classes)
    labels[more] = Tissue.INTRAPARENCHYMAL
    parts = blood_parts(is_blood(labels, ~NONE), VOXEL_ML)
    assert flags_of(parts, labels, members) == flags
