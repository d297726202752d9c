"""Signs of painted hematomas whose answer is known: present, absent, and on either side of every threshold."""

from collections.abc import Sequence

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.signs.signs import HematomaSigns, find_signs
from tests.support.draw_signs import CASES, FOLDER, draw, scan
from tests.support.hematomas import BLOOD, SHAPE, SLICES, SPACING_MM, Paint, around, disc, grid_for, inside, painted

SIGNS = (
    *("satellite_sign", "island_sign", "irregular_shape", "heterogeneous_density"),
    *("black_hole_sign", "swirl_sign", "blend_sign", "fluid_level"),
)
# Apart from the hematoma, and so joined to it that a neck is left.
SEPARATE = [Paint(around(angle, 24, 2.5), BLOOD, outlined=True) for angle in (0, 70, 140, 210)]
BUDS = [Paint(around(angle, 19, 3.5), BLOOD, outlined=True) for angle in (35, 105, 175, 245, 315)]
BUMPS = [Paint(around(angle, 19, 6), BLOOD, outlined=True) for angle in (0, 180)]


def found(*paints: Paint, slices: Sequence[int] = SLICES) -> HematomaSigns:
    hu, mask = painted(*paints, slices=slices)
    return find_signs(hu, mask, grid_for(hu.shape))


def hole(hu: float, x_mm: float = 0, radius_mm: float = 4, slices: Sequence[int] = SLICES) -> Paint:
    return Paint(disc(x_mm, 0, radius_mm), hu, slices)


def half(hu: float, tilt_deg: float = 0, waves_mm: float = 0, back: bool = False) -> Paint:
    """Paint the front or the back of the hematoma, up to a line that is tilted or waves."""
    tilt, sign = np.deg2rad(tilt_deg), -1 if back else 1
    return Paint(inside(lambda x, y: sign * (y * np.cos(tilt) - x * np.sin(tilt) + waves_mm * np.sin(x / 1.5)) < 0), hu)


def right_part(hu: float) -> Paint:
    return Paint(inside(lambda x, y: x > 4), hu)


def test_a_plain_hematoma_has_no_sign() -> None:
    signs = found()
    assert signs.signs == dict.fromkeys(SIGNS, False)
    assert (signs.cut_off, signs.undetermined) == (False, ())
    assert (signs.margin.satellites, signs.margin.islands, signs.margin.margin_irregularities) == (0, 0, 0)


@pytest.mark.parametrize(
    ("paints", "present", "outlined"),
    [
        ([Paint(disc(24, 0, 2.5), BLOOD)], True, 0),
        ([Paint(disc(24, 0, 2.5), BLOOD, outlined=True)], True, 1),
        ([Paint(disc(24, 0, 2.5), BLOOD, [3])], True, 0),  # in a single slice
        ([Paint(disc(24, 0, 4.5), BLOOD, outlined=True)], True, 1),
        ([Paint(disc(24, 0, 5.5), BLOOD, outlined=True)], False, 0),  # 11 mm are not small
        ([Paint(disc(24, 0, 5.5), BLOOD)], False, 0),
        ([Paint(disc(37.5, 0, 2), BLOOD, outlined=True)], True, 1),
        ([Paint(disc(38.5, 0, 2), BLOOD, outlined=True)], False, 0),  # 20.5 mm are too far
        ([Paint(disc(17.5, 0, 2), BLOOD, outlined=True)], False, 0),  # joined
        ([Paint(disc(24, 0, 0.5), BLOOD, outlined=True)], False, 0),  # of 1 mm: noise
        ([Paint(disc(24, 0, 2.5), 44)], False, 0),  # no blood
        ([Paint(disc(24, 0, 2.5), 130)], False, 0),  # calcium
        ([Paint(disc(24, 0, 2.5), BLOOD), Paint(lambda x, y: x > 35.5, 900, range(7))], False, 0),  # at the skull
        ([Paint(disc(24, 0, 2.5), BLOOD), Paint(lambda x, y: x > 38, 900, range(7))], True, 0),
        ([Paint(disc(24, 0, 2.5), BLOOD, [0])], False, 0),  # in a slice without hematoma
    ],
)
def test_satellites(paints: Sequence[Paint], present: bool, outlined: int) -> None:
    signs = found(*paints)
    assert (signs.margin.satellites, signs.margin.satellites_outlined) == (int(present), outlined)
    assert (signs.margin.satellite_distance_mm is None) is not present
    assert signs.signs["satellite_sign"] is present


def test_the_distance_of_a_satellite_is_that_of_the_nearest() -> None:
    margin = found(Paint(disc(24, 0, 2), BLOOD, outlined=True), Paint(disc(0, 30, 2), BLOOD)).margin
    assert (margin.satellites, margin.satellites_outlined) == (2, 1)
    assert margin.satellite_distance_mm == pytest.approx(6, abs=0.5)


@pytest.mark.parametrize(
    ("separate", "buds", "present"),
    [(3, 0, True), (2, 0, False), (2, 2, True), (2, 1, False), (0, 4, True), (0, 3, False)],
)
def test_islands(separate: int, buds: int, present: bool) -> None:
    signs = found(*SEPARATE[:separate], *BUDS[:buds])
    assert (signs.margin.islands_separate, signs.margin.islands) == (separate, separate + buds)
    assert signs.signs["island_sign"] is present


def test_lobes_are_no_buds_and_make_a_shape_irregular() -> None:
    one, two = found(BUMPS[0]), found(*BUMPS)
    assert (one.margin.islands, two.margin.islands) == (0, 0)
    assert (one.margin.margin_irregularities, two.margin.margin_irregularities) == (1, 2)
    assert (one.signs["irregular_shape"], two.signs["irregular_shape"]) == (False, True)
    joined_and_apart = found(BUMPS[0], Paint(disc(-24, 0, 2.5), BLOOD))
    assert joined_and_apart.margin.margin_irregularities == 2


@pytest.mark.parametrize(
    ("paints", "difference", "present"),
    [
        ([hole(BLOOD - 28)], 28, True),
        ([hole(BLOOD - 27)], 27, False),
        ([Paint(disc(0, 0, 4), BLOOD - 28, outlined=False)], 28, True),  # left out of the outline
        ([hole(BLOOD - 28, x_mm=10)], 28, True),
        ([hole(BLOOD - 28, x_mm=13)], None, False),  # open to the brain
        ([hole(BLOOD - 28, radius_mm=0.5)], None, False),  # noise
        ([hole(BLOOD - 28, slices=[3])], 28, True),
        ([hole(BLOOD - 40, x_mm=-7), hole(BLOOD - 30, x_mm=7, radius_mm=3)], 40, True),
        ([hole(BLOOD + 28)], None, False),
        ([hole(BLOOD - 28, 8, 3), Paint(lambda x, y: x > 15, 900)], None, False),  # at the skull
    ],
)
def test_black_holes(paints: Sequence[Paint], difference: float | None, present: bool) -> None:
    signs = found(*paints)
    assert signs.hypodense is not None
    assert signs.hypodense.black_hole_difference_hu == difference
    assert (signs.hypodense.black_hole_area_mm2 is None) is (difference is None)
    assert signs.signs["black_hole_sign"] is present


def test_the_area_of_a_black_hole_is_its_own() -> None:
    hypodense = found(hole(BLOOD - 28)).hypodense
    assert hypodense is not None
    assert hypodense.black_hole_area_mm2 == pytest.approx(np.pi * 4**2, rel=0.1)


@pytest.mark.parametrize(
    ("paints", "foci", "present"),
    [
        ([hole(BLOOD - 24, x, 2.5) for x in (-8, 0, 8)], 3, True),
        ([hole(BLOOD - 24, x, 2.5) for x in (-8, 8)], 2, False),
        ([hole(BLOOD - 13, x, 3.5) for x in (-8, 0, 8)], 0, False),
        ([hole(BLOOD - 24, x, 2.5, [index]) for x, index in ((-8, 2), (0, 3), (8, 4))], 1, False),
    ],
)
def test_hypodense_foci_are_counted_in_a_slice(paints: Sequence[Paint], foci: int, present: bool) -> None:
    signs = found(*paints)
    assert signs.hypodense is not None
    assert signs.hypodense.hypodense_foci == foci
    assert signs.signs["heterogeneous_density"] is present


@pytest.mark.parametrize(
    ("paints", "length_mm", "present"),
    [
        ([hole(40, slices=[3, 4])], 10, True),
        ([hole(38, slices=[2, 3, 4])], 15, True),
        ([hole(40, slices=[3])], 5, False),
        ([hole(41, slices=[3, 4])], 0, False),  # denser than brain
        ([hole(38, slices=[2, 4])], 5, False),  # not contiguous
        ([hole(38, -8, 3, [3]), hole(38, 8, 3, [4])], 5, False),  # not the same region
        ([hole(38, x_mm=12, slices=[3, 4])], 10, True),  # it need not be encapsulated
        ([Paint(disc(0, 0, 16), 40), hole(20)], 0, False),  # nothing is denser than brain
    ],
)
def test_swirls(paints: Sequence[Paint], length_mm: float, present: bool) -> None:
    signs = found(*paints)
    assert signs.hypodense is not None
    assert signs.hypodense.swirl_length_mm == length_mm
    assert signs.signs["swirl_sign"] is present


def test_the_volume_of_a_swirl_is_its_own() -> None:
    hypodense = found(hole(30, slices=[3, 4])).hypodense
    assert hypodense is not None
    assert hypodense.swirl_volume_ml == pytest.approx(np.pi * 4**2 * 10 / 1000, rel=0.15)


@pytest.mark.parametrize(
    ("paint", "difference", "present"),
    [
        (right_part(BLOOD - 18), 18, True),
        (right_part(BLOOD - 17), 17, False),
        (right_part(BLOOD - 30), 30, True),
        (hole(BLOOD - 30, radius_mm=8), None, False),  # encapsulated
        (hole(BLOOD - 30, x_mm=17, radius_mm=3), None, False),  # too small a region
        (right_part(19), None, False),  # no blood
        (Paint(inside(lambda x, y: x > -99), lambda x, y: BLOOD - x), 1.5, False),  # no margin: a slow change
    ],
)
def test_blends(paint: Paint, difference: float | None, present: bool) -> None:
    signs = found(paint)
    assert signs.two_regions is not None
    told = signs.two_regions.blend_difference_hu
    assert told == (difference if difference is None else pytest.approx(difference, abs=0 if difference > 2 else 3))
    assert signs.signs["blend_sign"] is present


def test_the_share_of_a_blend_is_that_of_the_hypodense_region() -> None:
    two_regions = found(Paint(inside(lambda x, y: x > 0), BLOOD - 25)).two_regions
    assert two_regions is not None
    assert two_regions.blend_hypodense_share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("paint", "present"),
    [
        (half(BLOOD - 10), True),
        (half(BLOOD - 9), False),
        (half(BLOOD - 25), True),
        (half(BLOOD - 25, back=True), False),  # the hyperdense part lies above
        (half(BLOOD - 25, tilt_deg=12), True),
        (half(BLOOD - 25, tilt_deg=30), False),
        (half(BLOOD - 25, waves_mm=5), False),  # no straight line
        (right_part(BLOOD - 25), False),
        (Paint(inside(lambda x, y: x > -99), lambda x, y: BLOOD + y), False),  # no level: a slow change
    ],
)
def test_fluid_levels(paint: Paint, present: bool) -> None:
    assert found(paint).signs["fluid_level"] is present


def test_above_is_where_the_patient_s_front_is() -> None:
    """Of a volume whose rows run to the front, and of one that is turned by a quarter."""
    hu, mask = painted(half(BLOOD - 25))
    size = hu.shape[::-1]
    to_front = Grid(size, SPACING_MM, (0, 0, 0), (1, 0, 0, 0, -1, 0, 0, 0, 1))
    assert find_signs(hu[:, ::-1], mask[:, ::-1], to_front).signs["fluid_level"] is True
    assert find_signs(hu, mask, to_front).signs["fluid_level"] is False
    turned = Grid(size, SPACING_MM, (0, 0, 0), (0, 1, 0, 1, 0, 0, 0, 0, 1))
    assert find_signs(hu.swapaxes(1, 2), mask.swapaxes(1, 2), turned).signs["fluid_level"] is True
    coronal = Grid(size, SPACING_MM, (0, 0, 0), (1, 0, 0, 0, 0, 1, 0, -1, 0))
    signs = find_signs(hu, mask, coronal)
    assert (signs.signs["fluid_level"], signs.undetermined) == (None, ("fluid_level: the slices are not axial",))


MANY = (*SEPARATE[:3], BUDS[0], hole(30, -7, 3), right_part(BLOOD - 20), Paint(disc(-20, -20, 2), BLOOD))


@pytest.mark.parametrize("axes", [(2,), (0, 1)])
def test_a_mirrored_hematoma_has_the_same_signs(axes: tuple[int, ...]) -> None:
    hu, mask = painted(*MANY)
    mirrored = find_signs(np.flip(hu, axes), np.flip(mask, axes), grid_for(hu.shape)).to_row()
    row = find_signs(hu, mask, grid_for(hu.shape)).to_row()
    if 1 in axes:
        for name in ("fluid_level_agreement", "fluid_level_difference_hu"):
            row.pop(name), mirrored.pop(name)
    assert mirrored == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in row.items()
    }


def test_a_shifted_hematoma_has_the_same_signs() -> None:
    hu, mask = painted(*MANY)
    shifted = find_signs(np.roll(hu, (1, 7, -5), (0, 1, 2)), np.roll(mask, (1, 7, -5), (0, 1, 2)), grid_for(hu.shape))
    row = find_signs(hu, mask, grid_for(hu.shape)).to_row()
    assert shifted.to_row() == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in row.items()
    }


def test_noise_of_a_scan_hides_and_makes_no_sign() -> None:
    noise = np.random.default_rng(3).normal(0, 5, SHAPE)
    for paints, present in (
        ((), set()),
        ((hole(24),), {"black_hole_sign", "swirl_sign"}),
        ((half(46),), {"blend_sign", "fluid_level"}),
    ):
        hu, mask = painted(*paints)
        signs = find_signs(np.rint(hu + noise).astype(np.int16), mask, grid_for(SHAPE)).signs
        assert {name for name, is_there in signs.items() if is_there} == present


def test_an_empty_outline_is_refused() -> None:
    with pytest.raises(InputError, match="no voxel inside"):
        find_signs(np.zeros((3, 4, 4), np.int16), np.zeros((3, 4, 4), np.uint8), grid_for((3, 4, 4)))


def test_what_one_voxel_cannot_tell_is_null_with_a_reason() -> None:
    hu, mask = np.full(SHAPE, 60, np.int16), np.zeros(SHAPE, np.uint8)
    mask[3, 80, 80] = 1
    signs = find_signs(hu, mask, grid_for(SHAPE))
    assert signs.geometry.volume_ml == pytest.approx(0.00125)
    assert signs.geometry.largest_slice_diameter_mm == pytest.approx(0.5 * 2**0.5)
    unknown = {name for name, value in signs.signs.items() if value is None}
    assert unknown == set(SIGNS) - {"satellite_sign", "island_sign"}
    assert {told.partition(":")[0] for told in signs.undetermined} == unknown
    assert signs.to_row()["black_hole_difference_hu"] is None


def test_one_slice_tells_no_swirl() -> None:
    signs = found(hole(30), slices=[3])
    assert (signs.signs["swirl_sign"], signs.signs["black_hole_sign"]) == (None, True)
    assert signs.undetermined == ("swirl_sign: the hematoma is 5 mm thick, and 10 mm are needed",)


def test_a_hematoma_that_is_cut_off_has_the_signs_that_are_seen_and_no_absent_ones() -> None:
    signs = found(Paint(disc(24, 0, 2.5), BLOOD, [0]), slices=[0, 1])
    assert signs.cut_off
    assert signs.signs == {**dict.fromkeys(SIGNS), "satellite_sign": True}
    assert all("touches the end of what was scanned" in told for told in signs.undetermined)


def test_rows_have_the_columns_of_the_table() -> None:
    own = contracts.table("signs").fields
    start = next(place for place, field in enumerate(own) if field.name == "undetermined")
    stop = next(place for place, field in enumerate(own) if field.name == "manifest_row")
    types = {field.name: field.type for field in own[start:stop]}
    python = {"number": float, "integer": int, "boolean": bool, "array": list}
    row = found(*MANY).to_row()
    assert set(row) == set(types)
    assert all(value is None or type(value) is python[types[name]] for name, value in row.items())


@pytest.mark.parametrize("sign", CASES)
def test_figures_show_the_sign_and_what_is_just_short_of_it(sign: str) -> None:
    with_it, without = (find_signs(*scan(paints), grid_for(SHAPE)).signs[sign] for paints in CASES[sign])
    assert (with_it, without) == (True, False)
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(FOLDER / f"{sign}.png")))
    assert np.array_equal(stored, draw(sign)), "python -m tests.support.draw_signs"
