"""Index of a synthetic NAS: `python -m tests.benchmarks.benchmark_index [--studies 2000] [--workers 2] [--extract]`.

The NAS: two centres, follow-ups, a soft and a sharp kernel, thin slices beside thick ones (a tie), scouts, dose reports, studies
without a head CT, SEGs beside, damaged and odd files; a head with a hematoma on 64 x 64 pixels, headers of about 140 elements and
6 kB, as scanners write them. Printed: files a second of `index` with 0 (in this process), 1 and more workers, beside pydicom's
`dcmread(stop_before_pixels=True)` in a loop over the same files, and dcm2niix's own search where it is on the PATH; a second run
that finds nothing new; CPU seconds, of a command with its start, and the peak memory of the driver. With --extract, `check` and
`extract` of the manifest as the index wrote it. Files lie in the page cache.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.mask_files import write_seg

SIDE, PIXEL_MM = 64, 3.2
ROOT = "1.2.826.0.1.3680043.8.498.99"
# Placeholders of one length, which are replaced in the bytes of one written file: pydicom takes a hundred times as long to write.
PLACES = {
    "patient": b"PPPPPPPPPP",
    "study": b"9.9.9.9.1".ljust(44, b"1"),
    "series": b"9.9.9.9.2".ljust(44, b"1"),
    "instance": b"9.9.9.9.3".ljust(44, b"1"),
    "depth": b"777777.77 ",
    "pixels": np.random.default_rng(0).bytes(2 * SIDE * SIDE),
}
ROW = "{:<54}{:>10}{:>12}{:>10}{:>10}"


def template(**tags: object) -> bytes:
    """Return a slice with placeholders."""
    dataset = Dataset()
    dataset.file_meta = meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = "1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian
    values: dict[str, object] = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": PLACES["instance"].decode(),
        "StudyInstanceUID": PLACES["study"].decode(),
        "SeriesInstanceUID": PLACES["series"].decode(),
        "PatientID": PLACES["patient"].decode(),
        **{"PatientName": "Name^Of A", "PatientBirthDate": "19500101", "PatientSex": "F", "StudyID": "1"},
        **{"AccessionNumber": "4711", "ReferringPhysicianName": "A^B", "FrameOfReferenceUID": f"{ROOT}.2"},
        **{"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "Manufacturer": "SIEMENS", "KVP": 120},
        **{"StudyDate": "20240531", "StudyTime": "142000", "SliceThickness": 5, "ConvolutionKernel": "H31s"},
        **{
            "PixelSpacing": [PIXEL_MM, PIXEL_MM],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "Rows": SIDE,
            "Columns": SIDE,
        },
        **{"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16},
        **{"HighBit": 15, "PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
        **tags,
    }
    for tag, value in values.items():
        setattr(dataset, tag, value)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for group in (0x0009, 0x0019, 0x0029):
        block = dataset.private_block(group, "A VENDOR", create=True)
        for element in range(32):
            block.add_new(element, "LO", f"a value of a vendor's own {element}")
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", f"{ROOT}.1"
    dataset.ReferencedStudySequence = [item]
    dataset["ReferencedStudySequence"].is_undefined_length = True
    dataset.add_new(0x00200032, "DS", "-102.4\\-102.4\\777777.77")
    dataset.PixelData = PLACES["pixels"]
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue().replace(b"777777.77 ", PLACES["depth"])


def head(slices: int, gap_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return stored values (slices, SIDE, SIDE) of scalp, skull and brain with a ball of blood, and where the ball is."""
    axis = (np.arange(SIDE) - SIDE / 2 + 0.5) * PIXEL_MM
    z, y, x = np.meshgrid(np.arange(slices) * gap_mm, axis, axis, indexing="ij", sparse=True)

    def within(smaller_mm: float) -> np.ndarray:
        return (x / (72 - smaller_mm)) ** 2 + (y / (88 - smaller_mm)) ** 2 + (z / (85 - smaller_mm)) ** 2 < 1

    hu = np.select([within(14), within(7), within(0)], [32, 1000, 20], -1000)
    blood = (x - 25) ** 2 + (y - 10) ** 2 + (z - 40) ** 2 < 18**2
    hu[blood] = 65
    return hu + 1024, blood


TEMPLATES = {
    "soft": template(),
    "sharp": template(ConvolutionKernel="H60s"),
    "thin": template(SliceThickness=2.5),
    "contrast": template(ContrastBolusAgent="IOMERON 350"),
    "scout": template(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    "dose": template(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", Modality="SR"),
    "mr": template(SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR"),
}
SLICES = {
    **dict.fromkeys(("soft", "sharp", "contrast"), (18, 5.0)),
    **dict.fromkeys(("scout", "dose"), (1, 5.0)),
    **{"thin": (36, 2.5), "mr": (20, 5.0)},
}
HEADS = {size: head(*size) for size in set(SLICES.values())}


def _uid(*numbers: int) -> bytes:
    text = ".".join([ROOT, *map(str, numbers)])
    return f"{text}.{'1' * (43 - len(text))}".encode()


def write_study(folder: Path, number: int, patient: int, kinds: Sequence[str]) -> int:
    """Write a study of series and return how many files it has."""
    written = 0
    noise = np.random.default_rng(number)
    for place, kind in enumerate(kinds, 1):
        (folder / kind).mkdir(parents=True)
        count, gap = SLICES[kind]
        stored = HEADS[count, gap][0] + noise.integers(-4, 5, (count, SIDE, SIDE), dtype=np.int8)
        stored = np.maximum(stored, 0).astype("<u2")
        data = TEMPLATES[kind].replace(PLACES["patient"], f"ID{patient:08d}".encode())
        data = data.replace(PLACES["study"], _uid(number, 9)).replace(PLACES["series"], _uid(number, place))
        for index in range(count):
            file = data.replace(PLACES["instance"], _uid(number, place, index + 1))
            file = file.replace(PLACES["depth"], f"{index * gap:09.2f} ".encode())
            file = file.replace(PLACES["pixels"], stored[index].tobytes())
            (folder / kind / f"IM{index + 1:05d}").write_bytes(file)
        written += count
    return written


def outline(folder: Path) -> bytes:
    """Return a SEG of the hematoma on the soft series of study 0 of patient 0, which is written to a folder."""
    write_study(folder, 0, 0, ["soft"])
    slices = [pydicom.dcmread(path) for path in sorted((folder / "soft").iterdir())]
    drawn = HEADS[SLICES["soft"]][1]
    return write_seg(folder / "seg.dcm", slices, drawn.astype(np.uint8), ["hematoma"]).read_bytes()


def write_nas(root: Path, studies: int, seg: bytes) -> int:
    """Write the NAS and return how many files it has."""
    files = 0
    own = pydicom.dcmread(BytesIO(seg)).SOPInstanceUID.encode()
    count = SLICES["soft"][0]
    for number in range(studies):
        patient = number - 1 if number % 10 == 9 else number  # every tenth is a follow-up
        folder = root / f"center-{number % 2}" / f"patient-{patient:05d}" / f"study-{number:05d}"
        if number % 50 == 7:
            kinds = ["mr", "dose"]
        else:
            kinds = ["soft", "sharp", "scout", "dose"]
            kinds += ["thin"] if number % 33 == 5 else []
            kinds += ["contrast"] if number % 4 == 1 else []
        files += write_study(folder, number, patient, kinds)
        if number % 5 == 0:
            (folder / "DICOMDIR.txt").write_text("listing")
            (folder / "Thumbs.db").write_bytes(os.urandom(2000))
            files += 2
        if number % 7 == 2:
            data = seg.replace(b"ID00000000", f"ID{patient:08d}".encode()).replace(
                own, own[:-6] + f"{number:06d}".encode()
            )
            for uid in ((9,), (1,), *((1, index + 1) for index in range(count))):
                data = data.replace(_uid(0, *uid), _uid(number, *uid))
            (folder / "outlines").mkdir()
            (folder / "outlines" / "seg.dcm").write_bytes(data)
            files += 1
        if number % 100 == 3:
            broken = folder / "sharp" / "IM00004"
            broken.write_bytes(broken.read_bytes()[:1500])
    return files


def command(
    *arguments: object, environment: dict[str, str], ok: Sequence[int] = (0, 3)
) -> tuple[float, resource.struct_rusage, str]:
    """Run a command in a process of its own; return its seconds, what it took of the system, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "cvtbatch", *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in ok:
        sys.exit(printed + (process.stderr.read() if process.stderr else ""))
    return time.perf_counter() - start, usage, printed


def time_index(root: Path, scratch: Path, workers: int, name: str) -> dict[str, Any]:
    state = {"XDG_STATE_HOME": str(scratch / f"state-{name}"), "XDG_DATA_HOME": str(scratch / f"data-{name}")}
    pattern = ("--pattern", "{center}/{patient}/{study}", "--prefer", "thin")
    arguments = ("index", root, *pattern, "--out", scratch / f"{name}.csv", "--workers", workers, "--json")
    _, usage, printed = command(*arguments, environment=state)
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu": cpu, "peak": usage.ru_maxrss / 1024, **json.loads(printed)}


def time_extraction(scratch: Path, manifest: Path) -> None:
    """Check and extract a manifest as the index wrote it."""
    state = {"XDG_STATE_HOME": str(scratch / "state"), "XDG_DATA_HOME": str(scratch / "data-w0")}
    for arguments in (
        ("check", manifest),
        ("extract", manifest, "--store", scratch / "store", "--set", "embedding.weights=none"),
    ):
        seconds, _, printed = command(*arguments, environment=state)
        print(f"\n$ cvtbatch {arguments[0]} ...   ({seconds:.1f} s)\n{printed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--extract", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        root = scratch / "nas"
        start = time.perf_counter()
        files = write_nas(root, chosen.studies, outline(scratch / "study"))
        print(f"{chosen.studies:,} studies of {files:,} files, written in {time.perf_counter() - start:.0f} s")
        print(ROW.format("", "files/s", "of pydicom", "CPU s", "peak MB"))
        paths = [path for path in root.rglob("*") if path.is_file() and path.suffix == ""]
        start, cpu = time.perf_counter(), time.process_time()
        for path in paths:
            pydicom.dcmread(path, stop_before_pixels=True, force=True)
        alone = len(paths) / (time.perf_counter() - start)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            ROW.format(
                "pydicom.dcmread(stop_before_pixels=True), one core",
                f"{alone:,.0f}",
                "1.0",
                f"{time.process_time() - cpu:.1f}",
                f"{own:,.0f}",
            )
        )
        if shutil.which("dcm2niix"):
            start = time.perf_counter()
            subprocess.run(["dcm2niix", "-q", "y", str(root)], capture_output=True, check=False)
            rate = len(paths) / (time.perf_counter() - start)
            print(ROW.format("dcm2niix -q y", f"{rate:,.0f}", f"{rate / alone:.1f}", "", ""))

        def print_index(what: str, found: dict[str, Any]) -> None:
            rate = files / found["seconds"]
            print(
                ROW.format(what, f"{rate:,.0f}", f"{rate / alone:.1f}", f"{found['cpu']:.1f}", f"{found['peak']:,.0f}")
            )

        for workers in dict.fromkeys((0, 1, chosen.workers)):
            print_index(
                f"index --workers {workers}: headers, choice, manifest",
                time_index(root, scratch, workers, f"w{workers}"),
            )
        again = time_index(root, scratch, 0, "w0")
        print_index("index again, nothing new", again)
        first, other = (scratch / f"w{workers}.csv" for workers in (0, chosen.workers))
        print(f"manifests of 0 and {chosen.workers} workers are equal: {first.read_bytes() == other.read_bytes()}")
        shown = (
            "studies",
            "chosen",
            "ties",
            "outlines",
            "left_out",
            "unreadable",
            "rows_added",
            "rows_kept",
            "files_read",
        )
        print(", ".join(f"{name} {again[name]}" for name in shown))
        if chosen.extract:
            time_extraction(scratch, first)


if __name__ == "__main__":
    main()
