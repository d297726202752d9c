"""What reading takes of memory, measured as the peak of a process of its own: bounded by the volume that is kept."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.geometry import SliceStack
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.series import change, multiframe

SLICES, SIDE, MEBIBYTE = 300, 256, 1 << 20
VOLUME_BYTES = 2 * SLICES * SIDE * SIDE
# Beside the volume: code that is loaded late, and what is read at once.
SPARE_BYTES = 24 * MEBIBYTE
MEASURE = """
import json, resource, sys
from pathlib import Path
from cvtbatch.errors import CvtbatchError
from cvtbatch.geometry import SliceStack
from cvtbatch.imaging import resample_stack
from cvtbatch.ingest import read_volume
from cvtbatch.pipelines.volume_row import describe_volume
from tests.series import case, write
import numpy as np

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

def measured(function):
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    result = function()
    return result, peak() - before

folder = Path(sys.argv[2])
write(folder, tilt := (5.0,) * 9)
small = read_volume(case(folder))
describe_volume(small, resample_stack(small.hu_zyx, small.stack, (0.5, 0.5, 5.0))[1], None)
said = []
try:
    source, read = measured(lambda: read_volume(case(Path(sys.argv[1])), said.append))
except CvtbatchError as error:
    _, read = None, peak()
    print(json.dumps({"kind": error.kind, "read": read}))
    sys.exit()
_, digest = measured(source.image_digest)
(_, grid), resampled = measured(lambda: resample_stack(source.hu_zyx, source.stack, (1.0, 1.0, 5.0)))
_, described = measured(lambda: describe_volume(source, grid, None))
held = source.hu_zyx.nbytes
print(json.dumps({"read": read, "whole": max(read, held + digest, held + resampled, held + described), "said": said}))
"""


def measure(source: Path, scratch: Path) -> dict[str, int]:
    command = [sys.executable, "-c", MEASURE, str(source), str(scratch / "warm")]
    root = str(Path(__file__).parents[3])
    run = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=200, check=False)
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def thin_series(folder: Path, shift_per_mm: float = 0.0) -> None:
    places = np.arange(SLICES) * 0.5
    positions = tuple((-64.0, float(place * shift_per_mm), float(place)) for place in places)
    stack = SliceStack(SIDE, SIDE, (0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), positions)
    hu = np.random.default_rng(0).integers(-1000, 1500, (1, SIDE, SIDE), dtype=np.int16)
    write_series(folder, np.broadcast_to(hu, (SLICES, SIDE, SIDE)), stack, SeriesTags("S", "test", 0.0))


def as_series(folder: Path) -> Path:
    thin_series(folder / "s")
    return folder / "s"


def as_tilted_series(folder: Path) -> Path:
    thin_series(folder / "s", shift_per_mm=0.3)
    return folder / "s"


def as_object_in_archive(folder: Path) -> Path:
    multiframe(as_series(folder), folder / "one.dcm")
    with zipfile.ZipFile(folder / "s.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        out.write(folder / "one.dcm", "one.dcm")
        for number in range(4):
            with out.open(f"other{number}.raw", "w", force_zip64=True) as member:
                for _ in range(VOLUME_BYTES // MEBIBYTE):
                    member.write(bytes(MEBIBYTE))
    return folder / "s.zip"


def with_private_elements(folder: Path) -> Path:
    """Give a slice more private elements than the volume has bytes."""

    def add(dataset: pydicom.Dataset) -> None:
        block = dataset.private_block(0x0009, "OTHERS", create=True)
        for number in range(8):
            block.add_new(number, "OB", bytes(VOLUME_BYTES // 8))

    source = as_series(folder)
    change(source, add, only=[7])
    return source


def as_nifti(folder: Path) -> Path:
    hu = np.random.default_rng(0).integers(-1000, 1500, (SLICES, SIDE, SIDE), dtype=np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(folder / "s.nii"))
    return folder / "s.nii"


@pytest.mark.parametrize(
    ("make", "volumes"),
    [
        (as_series, 1.0),
        (as_tilted_series, 1.0),
        (with_private_elements, 1.0),
        (as_object_in_archive, 2.0),
        (as_nifti, 2.0),
    ],
)
def test_the_peak_of_reading_is_bounded_by_the_volume(
    tmp_path: Path, make: Callable[[Path], Path], volumes: float
) -> None:
    measured = measure(make(tmp_path), tmp_path)
    print(
        f"\n{make.__name__}: read {measured['read'] / VOLUME_BYTES:.2f}, whole {measured['whole'] / VOLUME_BYTES:.2f} volumes"
    )
    assert VOLUME_BYTES < measured["read"] <= volumes * VOLUME_BYTES + SPARE_BYTES
    # Triage works on blocks of 2 mm, of which coarse pixels have more.
    assert measured["whole"] <= 2.5 * VOLUME_BYTES + 2 * SPARE_BYTES
    assert measured["whole"] <= sum(measured["said"])


def test_a_header_that_has_no_end_is_refused_in_little_memory(tmp_path: Path) -> None:
    """A private sequence of many million items, each of which takes twenty times its bytes once it is parsed."""
    source = as_series(tmp_path)
    path = source / "0008.dcm"
    data = path.read_bytes()
    place = data.index(b"\x10\x00\x10\x00")
    item = b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x09\x00\x01\x11LO\x02\0ab"
    sequence = b"\x09\x00\x02\x11SQ\0\0\xff\xff\xff\xff" + item * (80 * MEBIBYTE // len(item))
    path.write_bytes(data[:place] + sequence + b"\xfe\xff\xdd\xe0\0\0\0\0" + data[place:])
    measured = measure(source, tmp_path)
    assert measured["kind"] == "too_large"
    print(f"\n{measured['read'] / MEBIBYTE:.0f} MiB")
