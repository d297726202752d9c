"""An archive that names patients wherever it can: a value of its own in every text.

In all DICOM tags that hold text, dates or UIDs, in private tags, nested items, preamble and file meta; in headers of NIfTI, NRRD
and MetaImage files; in names of segments and ROIs; in folders and file names.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.archives import write_rows
from tests.support.mask_files import Ball, ball, datasets, write_seg, write_structure_set

# Rows of the image over which a step of the pipeline raises.
FOREIGN_SIDE = 44
# Every planted word holds this.
STEM = "QZXPLANT"
BIRTH = datetime.date(1847, 2, 13)
CLOCK = "031415.926535"
UID_ROOT = "1.2.826.0.1.3680043.10.54321."
DATES = [BIRTH.strftime(form) for form in ("%Y%m%d", "%Y-%m-%d", "%Y.%m.%d")]
TEXTS = {
    **dict.fromkeys(("SH", "LO", "ST", "LT", "UT", "UC", "PN", "UR", "AE", "CS"), STEM),
    **{"DA": DATES[0], "TM": CLOCK, "DT": DATES[0] + CLOCK, "AS": "097Y", "UI": UID_ROOT},
}
LONGEST = {"SH": 16, "AE": 16, "CS": 16, "LO": 64, "PN": 64}
# Without these there is no image; what stands in them is a word of the standard, or a number.
NEEDED = {
    *(
        "SpecificCharacterSet",
        "SOPClassUID",
        "Modality",
        "PhotometricInterpretation",
        "PixelRepresentation",
        "RescaleType",
    ),
    *("ImageType", "PixelPaddingValue", "PixelData", "NumberOfFrames", "FrameOfReferenceUID", "SeriesInstanceUID"),
    *("StudyInstanceUID", "SOPInstanceUID"),
}


@dataclass
class Planted:
    """Values that were planted, and where they are."""

    values: dict[str, str]

    def add(self, where: str, value: str) -> str:
        self.values[value] = where
        return value


def plant(dataset: Dataset, planted: Planted) -> None:
    """Put a value of its own into every tag of the dictionary that holds text, and into what the dictionary does not know."""
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if vr not in TEXTS or keyword in NEEDED or not keyword or retired or tag >> 16 in {0x0000, 0x0002, 0x0004}:
            continue
        text = TEXTS[vr]
        if text == STEM:
            text = f"{STEM}^{tag:08X}"[: LONGEST[vr]] if vr == "PN" else f"{STEM}_{tag:X}"[: LONGEST.get(vr, 99)]
        elif vr == "UI":
            text += str(tag)
        dataset.add_new(tag, vr, planted.add(keyword, text))
    dataset.ImageType = [*list(dataset.ImageType)[:3], planted.add("ImageType", STEM)]
    for keyword in ("FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID"):
        planted.add(keyword, str(dataset[keyword].value))
    private = dataset.private_block(0x0009, f"{STEM} CREATOR", create=True)
    private.add_new(0x01, "LO", f"{STEM} PRIVATE")
    private.add_new(0x02, "UN", f"{STEM} UNKNOWN ".encode())
    private.add_new(0x03, "OB", f"{STEM} BYTES ".encode())
    item = Dataset()
    item.PatientID, item.PatientName, item.IssuerOfPatientID = f"{STEM} NESTED", f"{STEM}^NESTED", f"{STEM} ISSUER"
    dataset.OtherPatientIDsSequence = [item]
    dataset.file_meta.SourceApplicationEntityTitle = STEM
    dataset.preamble = f"{STEM} PREAMBLE".encode().ljust(128, b"\0")


def planted_series(folder: Path, drawn: Ball, planted: Planted) -> list[Dataset]:
    """Write a series with planted tags and file names; return its slices as they were before."""
    write_series(folder, drawn.hu(), drawn.stack, SeriesTags(f"{STEM} {folder.name}", f"{STEM} series", 0.0))
    slices = datasets(folder)
    for number, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        plant(dataset, planted)
        dataset.save_as(folder / f"{STEM}_{DATES[0]}_{number:03d}.dcm", enforce_file_format=True)
        path.unlink()
    return slices


def write_text_headers(folder: Path) -> None:
    """Image files with planted texts: NIfTI's db_name, descrip, aux_file and intent_name, keys of NRRD and MetaImage."""
    for name, side in (("nii", 40), ("nrrd", 40), ("mha", 40), ("foreign.nii", FOREIGN_SIDE)):
        hu = np.full((8, side, side), 33, np.int16)
        hu[:, :, :8] = -1000
        image = sitk.GetImageFromArray(hu)
        image.SetSpacing((1.0, 1.0, 5.0))
        image.SetMetaData("PatientName", f"{STEM}^{name}")
        path = folder / f"{STEM}.{name}"
        sitk.WriteImage(image, str(path))
        if name.endswith("nii"):
            data = bytearray(path.read_bytes())
            for start, size in ((14, 18), (148, 80), (228, 24), (328, 16)):
                data[start : start + size] = f"{STEM} {start}".encode().ljust(size, b"\0")
            path.write_bytes(data)


def write_masks(folder: Path, slices: list[Dataset], drawn: Ball) -> None:
    """Outlines whose segments and ROIs bear planted names, in objects with planted tags."""
    frame, uid = str(slices[0].FrameOfReferenceUID), str(slices[0].SeriesInstanceUID)
    for dataset in slices:
        dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = f"{STEM}^SEG", f"{STEM} SEG", f"{STEM} ACC"
        dataset.PatientBirthDate = DATES[0]
    write_seg(folder / f"{STEM}_seg.dcm", slices, drawn.mask(), [f"{STEM} clot"])
    contours = [("CLOSED_PLANAR", points) for points in drawn.circles()]
    write_structure_set(folder / f"{STEM}_rt.dcm", {f"{STEM} clot": contours}, frame, uid)
    write_structure_set(folder / f"{STEM}_two.dcm", {f"{STEM} a": contours, f"{STEM} b": contours}, frame, uid)
    for name in ("seg", "rt", "two"):
        dataset = pydicom.dcmread(folder / f"{STEM}_{name}.dcm")
        dataset.PatientName, dataset.OperatorsName, dataset.PatientBirthDate = f"{STEM}^A", f"{STEM}^B", DATES[0]
        dataset.ContentCreatorName, dataset.StructureSetLabel, dataset.SeriesDescription = f"{STEM}^C", STEM, STEM
        for item in (*dataset.get("StructureSetROISequence", []), *dataset.get("SegmentSequence", [])):
            item.ROIDescription, item.SegmentDescription = f"{STEM} roi", f"{STEM} segment"
        dataset.save_as(folder / f"{STEM}_{name}.dcm")
    placed = sitk.GetImageFromArray(np.ones((4, 9, 9), np.uint8))
    placed.SetSpacing((1.0, 1.0, 4.0))
    placed.SetOrigin(tuple((drawn.center_mm - 6).tolist()))
    texts = {"Segment0_Name": f"{STEM} Clot", "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Reader": f"{STEM} Dr"}
    for key, text in texts.items():
        placed.SetMetaData(key, text)
    sitk.WriteImage(placed, str(folder / f"{STEM}.seg.nrrd"))


@dataclass(frozen=True)
class Archive:
    """A planted archive, and what came of it."""

    folder: Path
    manifest: Path
    planted: Planted
    home: Path


def plant_archive(root: Path) -> Archive:
    """Make the archive below a folder."""
    planted = Planted({})
    folder = root / f"{STEM}_DOE_JOHN_{DATES[0]}"
    folder.mkdir()
    drawn = ball((4.0,) * 11)
    slices = planted_series(folder / f"{STEM} good", drawn, planted)
    planted_series(folder / f"{STEM} gap", ball((4.0, 8.0, 4.0, 4.0, 4.0)), planted)
    planted_series(folder / f"{STEM} unit", ball((4.0,) * 2), planted)
    for path in (folder / f"{STEM} unit").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.RescaleType = f"{STEM} UNIT"
        dataset.save_as(path, enforce_file_format=True)
    planted_series(folder / f"{STEM} cut", ball((4.0,) * 2), planted)
    cut = sorted((folder / f"{STEM} cut").iterdir())[1]
    cut.write_bytes(cut.read_bytes()[:-5000])
    write_text_headers(folder)
    write_masks(folder, slices, drawn)
    good = {"center": "A", "case_id": "good", "image": f"{STEM} good"}
    rows = [
        {**good, "mask": f"{STEM}_seg.dcm", "roi": "seg"},
        {**good, "mask": f"{STEM}_rt.dcm", "roi": "rt"},
        {**good, "mask": f"{STEM}.seg.nrrd", "roi": "slicer"},
        {**good, "mask": f"{STEM}_two.dcm", "roi": "two"},
        {**good, "mask": f"{STEM}_rt.dcm", "roi": "unnamed", "segment": "another"},
        {**good, "mask": f"{STEM}.nii", "roi": "elsewhere", "mask_label": 33},
        *({"center": "A", "case_id": name, "image": f"{STEM} {name}"} for name in ("gap", "unit", "cut")),
        *({"center": "B", "case_id": name, "image": f"{STEM}.{name}"} for name in ("nii", "nrrd", "mha")),
        {"center": "B", "case_id": "foreign", "image": f"{STEM}.foreign.nii"},
    ]
    return Archive(folder, write_rows(folder / f"{STEM}.csv", rows), planted, root / "home")
