"""Small DICOM series for tests of reading: random HU at known places, and ways to spoil or re-encode them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.manifest import Case

# Enough for a head, as the rule of choice has it.
HEAD = (5.0,) * 17


def case(image: Path, series_uid: str | None = None, allow_gaps: bool = False) -> Case:
    return Case("A", "1", str(image), image.name, series_uid, allow_gaps, (), "{}", (), 1)


def refused(image: Path, **selectors) -> InputError:
    """Read what cannot be read, and return why; the message that may be shared names no path and no UID."""
    with pytest.raises(InputError) as raised:
        read_volume(case(image, **selectors))
    assert str(image.parent) not in raised.value.message, "a shared message names a path"
    assert "1.2.826" not in raised.value.message, "a shared message names a UID"
    return raised.value


def write(
    folder: Path, gaps: Sequence[float] = (5.0,) * 9, name: str = "S", size: tuple[int, int] = (24, 20), **tags: object
) -> np.ndarray:
    """Write an axial series of (columns, rows) pixels of 0.5 mm with tags of its own, and return its HU."""
    depths = np.concatenate([[0.0], np.cumsum(gaps)])
    columns, rows = size
    positions = tuple((-6.0, 0.0, float(depth)) for depth in depths)
    stack = SliceStack(columns, rows, (0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), positions)
    seed = sum(name.encode())
    hu = np.random.default_rng(seed).integers(-1000, 1500, (len(depths), rows, columns)).astype(np.int16)
    write_series(folder, hu, stack, SeriesTags(name, "test", 0.0))
    if tags:
        change(folder, lambda dataset: [setattr(dataset, tag, value) for tag, value in tags.items()])
    return hu


def change(folder: Path, edit: Callable[[pydicom.Dataset], object], only: Sequence[int] | None = None) -> None:
    """Edit every file of a folder, or those of the given numbers."""
    for number, path in enumerate(sorted(folder.iterdir())):
        if only is None or number in only:
            dataset = pydicom.dcmread(path)
            edit(dataset)
            dataset.save_as(path, enforce_file_format=True)


def stored_as(bits: int, signed: bool) -> Callable[[pydicom.Dataset], None]:
    """Return an edit that stores the HU of a written slice in so many bits."""

    def edit(dataset: pydicom.Dataset) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32)
        if signed:
            stored -= 1024
            dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()

    return edit


def recode(folder: Path, syntax: int) -> None:
    """Re-encode every file by gdcm, an encoder of its own; `syntax` is one of gdcm.TransferSyntax."""
    for path in folder.iterdir():
        reader, changed, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        changed.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        changed.SetInput(reader.GetImage())
        assert changed.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(changed.GetOutput())
        assert writer.Write()


def multiframe(folder: Path, file: Path) -> None:
    """Write the slices of a folder as one Enhanced CT object, in a scrambled order (PS3.3 A.38)."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    slices = [slices[place] for place in np.random.default_rng(1).permutation(len(slices))]
    whole = pydicom.Dataset()
    whole.file_meta = slices[0].file_meta
    uid = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = uid
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(file)])
    for tag in ("Modality", "Manufacturer", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns",
                "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
                "PixelRepresentation"):  # fmt: skip
        setattr(whole, tag, slices[0][tag].value)
    whole.NumberOfFrames = len(slices)
    shared = pydicom.Dataset()
    for macro, tags in {
        "PlaneOrientationSequence": ("ImageOrientationPatient",),
        "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    }.items():
        setattr(shared, macro, [_item(slices[0], tags)])
    shared.CTReconstructionSequence = [pydicom.Dataset()]
    shared.CTReconstructionSequence[0].ConvolutionKernel = "H31s"
    whole.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for dataset in slices:
        frame = pydicom.Dataset()
        frame.PlanePositionSequence = [_item(dataset, ("ImagePositionPatient",))]
        frame.PixelValueTransformationSequence = [_item(dataset, ("RescaleSlope", "RescaleIntercept", "RescaleType"))]
        frame.CTImageFrameTypeSequence = [pydicom.Dataset()]
        frame.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        frames.append(frame)
    whole.PerFrameFunctionalGroupsSequence = frames
    whole.PixelData = b"".join(dataset.PixelData for dataset in slices)
    whole.save_as(file, enforce_file_format=True)


def converted(folder: Path, file: Path) -> None:
    """Write the slices of a folder as one Legacy Converted Enhanced CT object, by highdicom."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    empty = "PatientBirthDate AccessionNumber StudyID ReferringPhysicianName PositionReferenceIndicator".split()
    times = {f"{what}Date": "20200101" for what in ("Study", "Series", "Content")} | {
        f"{what}Time": "000000" for what in ("Study", "Series", "Content")
    }
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    for dataset in slices:
        dataset.PatientName, dataset.PatientSex = "A^B", "O"
        for tag, value in {**dict.fromkeys(empty, ""), **times}.items():
            setattr(dataset, tag, value)
    LegacyConvertedEnhancedCTImage(slices, "1.2.826.0.1.7", 7, "1.2.826.0.1.7.1", 1).save_as(file)


def _item(source: pydicom.Dataset, tags: Sequence[str]) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for tag in tags:
        setattr(item, tag, source[tag].value)
    return item
