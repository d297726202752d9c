"""What reading takes of memory, measured as the peak of a process of its own: bounded by the volume that is kept."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.geometry import SliceStack
from cvtbatch.ingest import dicom_headers, plain_elements, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.series import case, change, multiframe, refused, write

SLICES, SIDE, MEBIBYTE = 320, 256, 1 << 20
VOLUME_BYTES = 2 * SLICES * SIDE * SIDE
# Beside the volume: code that is loaded late, and what is read at once.
SPARE_BYTES = 24 * MEBIBYTE
MEASURE = """
import json, sys
from pathlib import Path
from cvtbatch.imaging import resample_stack
from cvtbatch.ingest import read_volume
from cvtbatch.pipelines.extraction.volume_row import describe_volume
from tests.support.series import case, write

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

def measured(function):
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    result = function()
    return result, peak() - before

def measure(path):
    said = []
    source, read = measured(lambda: read_volume(case(Path(path)), said.append))
    _, digest = measured(source.image_digest)
    (_, grid), resampled = measured(lambda: resample_stack(source.hu_zyx, source.stack, (1.0, 1.0, 5.0)))
    _, described = measured(lambda: describe_volume(source, grid, None))
    whole = max(read, source.hu_zyx.nbytes + max(digest, resampled, described))
    return {"read": read, "whole": whole, "said": sum(said)}

write(Path("small"))
measure("small")
print(json.dumps({path: measure(path) for path in sys.argv[1:]}))
"""


def measure(folder: Path, sources: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Return what each source takes to read, and to read, hash, resample and triage, by path."""
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", MEASURE, *map(str, sources)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, timeout=200, check=False)
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
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.5, 0.5, 0.5))
    sitk.WriteImage(image, str(folder / "s.nii"))
    return folder / "s.nii"


MAKERS: dict[Callable[[Path], Path], float] = {
    as_series: 1.0,
    as_tilted_series: 1.0,
    with_private_elements: 1.0,
    as_object_in_archive: 2.0,
    as_nifti: 2.0,
}


def test_the_peak_of_a_case_is_bounded_by_its_volume(tmp_path: Path) -> None:
    sources = {}
    for make in MAKERS:
        (tmp_path / make.__name__).mkdir()
        sources[make] = make(tmp_path / make.__name__)
    measured = measure(tmp_path, list(sources.values()))
    for make, volumes in MAKERS.items():
        read, whole, said = (measured[str(sources[make])][name] for name in ("read", "whole", "said"))
        print(f"{make.__name__}: read {read / VOLUME_BYTES:.2f}, whole {whole / VOLUME_BYTES:.2f} volumes of int16")
        assert 0.9 * VOLUME_BYTES < read <= volumes * VOLUME_BYTES + SPARE_BYTES, make.__name__
        assert whole <= min(said, 2.5 * VOLUME_BYTES + 2 * SPARE_BYTES), make.__name__


def test_no_more_of_a_header_is_read_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items of a private sequence take twenty times their bytes once they are parsed."""
    write(tmp_path / "s")
    path = tmp_path / "s" / "0008.dcm"
    data = path.read_bytes()
    place = data.index(b"\x10\x00\x10\x00")
    item = b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x09\x00\x01\x11LO\x02\0ab"
    sequence = b"\x09\x00\x02\x11SQ\0\0\xff\xff\xff\xff" + item * 1000
    path.write_bytes(data[:place] + sequence + b"\xfe\xff\xdd\xe0\0\0\0\0" + data[place:])
    assert len(read_volume(case(tmp_path / "s")).hu_zyx) == 10
    # Without parsing items, no more than that much is read; a longer header goes the slow way.
    assert max(plain_elements._READ_BYTES) <= 1 << 20
    monkeypatch.setattr(plain_elements, "_READ_BYTES", (4096,))
    assert len(read_volume(case(tmp_path / "s")).hu_zyx) == 10
    monkeypatch.setattr(dicom_headers, "_HEADER_LIMIT_BYTES", 10_000)
    assert refused(tmp_path / "s").kind == "too_large"
