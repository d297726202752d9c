"""Series of a known object, written as DICOM in every way a scanner lies: what is read and stored lies where it was put.

The object is a dense ball of known centre in a plain head, sampled at the slices' own places; its centre of gravity in the stored
volume, found with nothing but the stored grid, must be the centre that was chosen, within half a stored voxel.
"""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvtbatch.geometry import SliceStack
from cvtbatch.imaging import resample_stack
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.outside_data import outside
from tests.support.series import case, change, stored_as

SPACING_MM = (0.5, 0.5, 5.0)
RADIUS_MM = 14.0
TURNS = itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
AXES = [np.eye(3)[list(order)] * np.array(signs)[:, None] for order, signs in TURNS]


def tilted_stack(axes: np.ndarray, tilt_deg: float, gaps: tuple[float, ...], centre: np.ndarray) -> SliceStack:
    """Return slices of 56 x 48 pixels of 1.3 mm about a point: x, y and the direction of the table are the rows of `axes`.

    The gantry is tilted about x, so the slices' normal leans from the table's direction and each slice is shifted.
    """
    tilt = np.radians(tilt_deg)
    row, table = axes[0], axes[2]
    column = axes[1] * np.cos(tilt) + table * np.sin(tilt)
    normal = np.cross(row, column)
    along = table if normal @ table > 0 else -table
    steps = np.concatenate([[0.0], np.cumsum(gaps)]) / (normal @ along)
    first = centre - along * steps[-1] / 2 - row * 27.5 * 1.3 - column * 23.5 * 1.3
    positions = tuple(tuple(float(value) for value in first + along * step) for step in steps)
    x, y, z = (tuple(float(value) for value in axis) for axis in (row, column, normal))
    return SliceStack(56, 48, (1.3, 1.3), x, y, z, positions)


def ball(stack: SliceStack, centre: np.ndarray) -> np.ndarray:
    """Return HU of a soft-edged ball of 1000 HU in air of -1000, sampled at every pixel's own place."""
    x, y = np.meshgrid(np.arange(stack.columns) * stack.pixel_mm[0], np.arange(stack.rows) * stack.pixel_mm[1])
    planes = []
    for position in stack.positions_mm:
        points = (
            np.array(position) + x[..., None] * np.array(stack.row_axis) + y[..., None] * np.array(stack.column_axis)
        )
        distance = np.linalg.norm(points - centre, axis=-1)
        planes.append(2000 / (1 + np.exp((distance - RADIUS_MM) / 2)) - 1000)
    return np.rint(planes).astype(np.int16)


def centre_of_gravity(folder: Path) -> np.ndarray:
    """Return the centre of the ball in the stored volume, LPS mm."""
    source = read_volume(case(folder))
    hu, grid = resample_stack(source.hu_zyx, source.stack, SPACING_MM)
    weights = np.clip(hu.astype(np.float64) + 900, 0, None)
    profiles = [weights.sum(axis=tuple({0, 1, 2} - {axis})) for axis in (2, 1, 0)]
    index = np.array([profile @ np.arange(len(profile)) / profile.sum() for profile in profiles])
    return grid.to_point(index[None])[0]


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tilt_deg=st.floats(-20, 20),
    gap=st.floats(1, 7),
    axes=st.sampled_from(AXES),
    signed=st.booleans(),
    shift=st.tuples(*[st.floats(-40, 40)] * 3),
)
def test_a_ball_lies_where_it_was_put(
    tmp_path_factory: pytest.TempPathFactory,
    tilt_deg: float,
    gap: float,
    axes: np.ndarray,
    signed: bool,
    shift: tuple[float, ...],
) -> None:
    folder = tmp_path_factory.mktemp("truth") / "s"
    centre = np.array(shift)
    count = int(np.ceil(54 / gap))
    stack = tilted_stack(axes, tilt_deg, (gap,) * count, centre)
    write_series(folder, ball(stack, centre), stack, SeriesTags("S", "truth", tilt_deg))
    if signed:
        change(folder, stored_as(16, signed=True))
    assert np.abs(centre_of_gravity(folder) - centre).max() < 0.25
    read = read_volume(case(folder)).stack
    assert read.tilt_deg() == pytest.approx(abs(tilt_deg) if abs(tilt_deg) * gap > 0.2 else read.tilt_deg(), abs=0.05)


@pytest.mark.parametrize(
    "gaps", [(2.5,) * 12 + (5.0,) * 6, (4.0,) * 7 + (1.08,) + (7.0,) * 4, (1.0,) * 20 + (3.7,) + (3.0,) * 12]
)
@pytest.mark.parametrize("tilt_deg", [-20.0, 0.0, 13.0])
def test_uneven_slices_lie_where_they_were_put(tmp_path: Path, gaps: tuple[float, ...], tilt_deg: float) -> None:
    centre = np.array([3.0, -4.0, 5.0])
    stack = tilted_stack(np.eye(3), tilt_deg, gaps, centre)
    write_series(tmp_path / "s", ball(stack, centre), stack, SeriesTags("S", "truth", tilt_deg))
    assert np.abs(centre_of_gravity(tmp_path / "s") - centre).max() < 0.25


def own_place(dataset: pydicom.Dataset, column: float, row: float) -> np.ndarray:
    """Return where a pixel lies by the slice's own tags (PS3.3 equation C.7.6.2.1-1), LPS mm."""
    along_row, down_column = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
    down, along = (float(value) for value in dataset.PixelSpacing)
    return np.array(dataset.ImagePositionPatient, dtype=float) + along_row * along * column + down_column * down * row


def test_a_rod_through_the_real_head_stays_straight(tmp_path: Path) -> None:
    """Drawn slice by slice at the place that each slice's own tags give, it is straight in the stored volume, vertex and base."""
    folder = tmp_path / "s"
    shutil.copytree(outside("head_ct_ge"), folder)
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    normal = np.cross(*np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3))
    rod = own_place(slices[14], 260.0, 240.0)

    def draw(dataset: pydicom.Dataset) -> None:
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        along_row, down_column = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
        here = rod + normal * ((corner - rod) @ normal)
        x, y = (here - corner) @ along_row, (here - corner) @ down_column
        down, along = (float(value) for value in dataset.PixelSpacing)
        distance2 = (np.arange(512)[None] * along - x) ** 2 + (np.arange(512)[:, None] * down - y) ** 2
        dataset.PixelData = np.rint(2000 * np.exp(-distance2 / 32) - 1000).astype("<i2").tobytes()

    change(folder, draw)
    source = read_volume(case(folder))
    hu, grid = resample_stack(source.hu_zyx, source.stack, SPACING_MM)
    expected = grid.to_index(rod[None])[0, :2]
    weights = np.clip(hu[:-1].astype(np.float64) + 900, 0, None)  # the last slice lies past the last centre
    totals = weights.sum(axis=(1, 2))
    assert len(weights) > 25
    assert totals.min() > 0
    x = (weights.sum(axis=1) @ np.arange(weights.shape[2])) / totals
    y = (weights.sum(axis=2) @ np.arange(weights.shape[1])) / totals
    assert np.abs(np.stack([x, y], axis=1) - expected).max() * 0.5 < 0.1


@pytest.mark.parametrize("depth_mm", [20.01, 95.1], ids=["base", "vertex"])
def test_the_skin_of_the_real_head_lies_where_the_slices_say(depth_mm: float) -> None:
    """At two depths a stored slice lies within 0.1 mm of a source slice: there the skin's edges agree to 0.1 mm."""
    source = read_volume(case(outside("head_ct_ge")))
    hu, grid = resample_stack(source.hu_zyx, source.stack, SPACING_MM)
    near = int(np.argmin(np.abs(source.stack.depths_mm() - depth_mm)))
    position = np.array(source.stack.positions_mm[near])
    files = [pydicom.dcmread(path) for path in outside("head_ct_ge").glob("*.dcm")]
    dataset = min(files, key=lambda file: np.linalg.norm(np.array(file.ImagePositionPatient, dtype=float) - position))
    differences = []
    for row in range(180, 340, 8):
        columns = _crossings(dataset.pixel_array[row].astype(np.float64))
        for column in (columns[0], columns[-1]):
            x, y, z = grid.to_index(own_place(dataset, column, row)[None])[0]
            assert abs(z - round(z)) * 5 < 0.11
            low = int(np.floor(y))
            line = hu[round(z), low] * (low + 1 - y) + hu[round(z), low + 1] * (y - low)
            differences.append(np.abs(_crossings(line) - x).min() * 0.5)
    assert len(differences) == 40
    assert np.median(differences) < 0.03
    assert max(differences) < 0.1


def _crossings(line: np.ndarray) -> np.ndarray:
    """Return where a profile crosses -300 HU, skin against air, between samples."""
    above = line > -300
    places = np.flatnonzero(above[1:] != above[:-1])
    return places + (-300 - line[places]) / (line[places + 1] - line[places])
