"""JPEG-LS where pyjpegls is not, as on Python 3.14: gdcm reads from it what pyjpegls does."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pydicom
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

from cvtbatch.errors import InputError
from cvtbatch.ingest import read_mask, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.mask_files import Ball, ball, datasets, roi, slices_of, write_seg
from tests.support.paths import ROOT
from tests.support.series import case, change, stored_as, write

STORED = {"u16": (16, False), "u12": (12, False), "s16": (16, True), "s12": (12, True)}


def write_all(folder: Path) -> Ball:
    """Write series of every kind of pixel, lossless and not, and segmentations of frames of 8 bits, all in JPEG-LS."""
    for name, stored in STORED.items():
        for syntax, loss in ((JPEGLSLossless, {}), (JPEGLSNearLossless, {"jls_error": 2})):
            series = folder / f"{name}-{len(loss)}"
            write(series, gaps=(5.0,), size=(64, 48))
            change(series, stored_as(*stored))
            change(series, lambda dataset, syntax=syntax, loss=loss: dataset.compress(syntax, **loss))
    # Whose header says less than the pixels hold.
    write(folder / "lying", gaps=(5.0,), size=(64, 48))
    change(folder / "lying", lambda dataset: dataset.compress(JPEGLSLossless))
    change(folder / "lying", lambda dataset: [setattr(dataset, "BitsStored", 10), setattr(dataset, "HighBit", 9)])
    drawn = ball()
    write_series(folder / "ct", drawn.hu(), drawn.stack, SeriesTags("ct", "test", 0.0))
    path = write_seg(folder / "seg.dcm", datasets(folder / "ct"), drawn.mask().astype(float), kind="FRACTIONAL")
    dataset = pydicom.dcmread(path)
    dataset.compress(JPEGLSLossless)
    dataset.save_as(path)
    return drawn


def read_all(folder: Path) -> list[str]:
    """Return for each file a digest of what was read, or the kind of the refusal."""
    found = []
    for path in sorted(folder.glob("[lsu]*")):
        try:
            if path.name == "seg.dcm":
                voxels = read_mask(roi(path), lambda: slices_of(ball().stack)).voxels_zyx
            else:
                voxels = read_volume(case(path)).hu_zyx
            found.append(f"{path.name} {hashlib.sha256(voxels.tobytes()).hexdigest()}")
        except InputError as error:
            found.append(f"{path.name} {error.kind}")
    return found


def test_gdcm_reads_from_jpeg_ls_what_pyjpegls_reads(tmp_path: Path) -> None:
    drawn = write_all(tmp_path)
    expected = read_all(tmp_path)
    assert f"seg.dcm {hashlib.sha256(drawn.mask().tobytes()).hexdigest()}" in expected
    assert "lying inconsistent_bits" in expected
    assert len({line.split()[1] for line in expected if "-0 " in line}) == 1
    code = (
        "import sys; sys.modules['jpeg_ls'] = None\n"
        "from pathlib import Path\n"
        "from tests.unit.ingest.test_jpeg import read_all\n"
        f"print(*read_all(Path({str(tmp_path)!r})), sep='\\n')\n"
    )
    hidden = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert hidden.stdout.splitlines() == expected
