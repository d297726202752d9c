"""SliceLocation against ImagePositionPatient: a flag where they contradict each other, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from cvtbatch.cli import cli
from cvtbatch.geometry import SliceStack, stored_grid
from cvtbatch.imaging.quality import measure_series
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.pipelines.extraction.volume_row import describe_volume
from tests.support.archives import write_rows
from tests.support.outside_data import outside
from tests.support.series import HEAD, case, change, write

FLAG = "slice_location_disagrees"
Locate = Callable[[int, float], float]


def located(folder: Path, locate: Locate) -> list[str]:
    """Give each slice a SliceLocation by its index and its place along z, and return the flags of the volume."""

    def edit(dataset: pydicom.Dataset) -> None:
        index, z = int(dataset.InstanceNumber) - 1, float(dataset.ImagePositionPatient[2])
        dataset.SliceLocation = f"{locate(index, z):.6f}".rstrip("0").rstrip(".")

    change(folder, edit)
    return flags_of(folder)


def flags_of(folder: Path) -> list[str]:
    volume = read_volume(case(folder))
    row = describe_volume(volume, stored_grid(volume.stack, (0.5, 0.5, 5.0)), None)
    return [flag for flag in row["flags"] if flag == FLAG]  # type: ignore[attr-defined]


def swapped(index: int) -> int:
    return {7: 8, 8: 7}.get(index, index)


CONTRADICTIONS: dict[str, Locate] = {
    "twice the step": lambda k, z: 2 * z,
    "half the step": lambda k, z: z / 2,
    "a tenth less": lambda k, z: 0.9 * z,
    "numbers of the slices": lambda k, z: k + 1,
    "two slices changed over": lambda k, z: 5.0 * swapped(k),
    "a gap that positions deny": lambda k, z: z + (10 if k > 9 else 0),
    "uneven steps": lambda k, z: z + 3 * (k % 2),
    "one value twice": lambda k, z: 5.0 * (k - (k > 9)),
}
AGREEMENTS: dict[str, Locate] = {
    "the position": lambda k, z: z,
    "the other way": lambda k, z: -z,
    "from elsewhere": lambda k, z: 1734.25 - z,
    "whole millimetres": lambda k, z: round(0.98 * 0 + z + 0.4),
    "one decimal": lambda k, z: round(z + 0.04, 1),
    "jitter of a tenth": lambda k, z: z + 0.1 * (-1) ** k,
    "one value": lambda k, z: 0.0,
    "one value for a rotation of four": lambda k, z: 20.0 * (k // 4),
}


@pytest.mark.parametrize("locate", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_flagged(tmp_path: Path, locate: Locate) -> None:
    hu = write(tmp_path / "s", HEAD)
    assert located(tmp_path / "s", locate) == [FLAG]
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert np.allclose(volume.stack.gaps_mm(), 5)


@pytest.mark.parametrize("locate", AGREEMENTS.values(), ids=AGREEMENTS)
def test_what_vendors_write_is_not(tmp_path: Path, locate: Locate) -> None:
    write(tmp_path / "s", HEAD)
    assert located(tmp_path / "s", locate) == []


def test_slices_that_are_there_twice_or_lack_it_are_not_flagged(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1", HEAD)
    write(tmp_path / "s" / "2", HEAD)
    for name in "12":
        located(tmp_path / "s" / name, lambda k, z: z)
    assert flags_of(tmp_path / "s") == []
    change(tmp_path / "s" / "1", lambda dataset: setattr(dataset, "SliceLocation", "7"), only=[3])
    change(tmp_path / "s" / "1", lambda dataset: delattr(dataset, "SliceLocation"), only=[9])
    assert flags_of(tmp_path / "s" / "1") == []


@pytest.mark.parametrize("gaps", [(5.0,) * 17, (4.0,) * 10 + (1.08,) + (7.0,) * 6], ids=["even", "uneven"])
@pytest.mark.parametrize("tilt_deg", [-25.0, 8.0, 30.0])
def test_tables_and_normals_of_tilted_gantries_agree(tmp_path: Path, tilt_deg: float, gaps: tuple[float, ...]) -> None:
    """Along the table each step is longer than along the normal, by the cosine; both are written, and no third."""
    tilt = np.radians(tilt_deg)
    column, normal = np.array([0, np.cos(tilt), np.sin(tilt)]), np.array([0, -np.sin(tilt), np.cos(tilt)])
    table = np.concatenate([[0.0], np.cumsum(gaps)]) / np.cos(tilt)
    positions = tuple((-6.0, 10.0, float(step)) for step in table)
    axes = [tuple(float(x) for x in axis) for axis in (column, normal)]
    stack = SliceStack(24, 20, (0.5, 0.5), (1.0, 0.0, 0.0), axes[0], axes[1], positions)
    hu = np.random.default_rng(1).integers(-1000, 1500, (18, 20, 24)).astype(np.int16)
    write_series(tmp_path / "s", hu, stack, SeriesTags("S", "test", tilt_deg))
    assert located(tmp_path / "s", lambda k, z: table[k]) == []
    assert located(tmp_path / "s", lambda k, z: -table[k] * np.cos(tilt)) == []
    assert located(tmp_path / "s", lambda k, z: 1.3 * table[k]) == [FLAG]


def test_check_says_so(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD)
    located(tmp_path / "s", lambda k, z: 2 * z)
    manifest = write_rows(tmp_path / "manifest.csv", [{"center": "A", "case_id": "1", "image": "s"}])
    shown = CliRunner().invoke(cli, ["check", str(manifest), "--all", "--workers", "0"])
    assert shown.exit_code == 0, shown.exception
    assert FLAG in shown.stdout


def test_no_real_series_is_flagged() -> None:
    """GE, tilted by 18.5 degrees, in blocks of 4 and 7 mm."""
    volume = read_volume(case(outside("head_ct_ge")))
    files = [pydicom.dcmread(path) for path in outside("head_ct_ge").glob("*.dcm")]
    steps = np.diff(sorted(float(file.SliceLocation) for file in files))
    assert np.allclose(np.sort(steps * np.cos(np.radians(18.5))), np.sort(volume.stack.gaps_mm()), atol=0.01)
    assert FLAG not in volume.acquisition.flags
    assert measure_series(volume.hu_zyx, volume.stack).flags == ("displaced_slices",)


@pytest.mark.parametrize(
    "name", ["segmentations/dicom_seg/ct-3slice", "segmentations/rtstruct", "cases/ge", "cases/thin_1mm"]
)
def test_no_other_real_series_is_flagged(name: str) -> None:
    assert read_volume(case(outside(name))).acquisition.flags == ()
