"""The page as a Secondary Capture: by dicom3tools, by its pixels, and by who is named in it."""

from pathlib import Path

import numpy as np
import pydicom

from cvtbatch.dicom_results.capture import to_capture
from tests.support.mask_files import ball, ct_slices
from tests.unit.dicom_results.test_dicom_objects import PRIVATE, RESULTS, cut, faults, to_bytes


def test_a_page_is_an_object_of_the_study(tmp_path: Path) -> None:
    sources = ct_slices(ball().stack, "1.2.4", 4.0)
    sources[0].SpecificCharacterSet, sources[0].PatientName = "GB18030", "Wang^XiaoDong=王^小东"
    for name, value in PRIVATE.items():
        setattr(sources[0], name, value)
    header = cut(sources).first
    page = np.random.default_rng(1).integers(0, 256, (33, 31, 3), np.uint8)
    data = to_bytes(to_capture(page, RESULTS, header))
    assert data == to_bytes(to_capture(page, RESULTS, header))
    path = tmp_path / "sc.dcm"
    path.write_bytes(data)
    assert faults(path) == set()
    back = pydicom.dcmread(path)
    assert np.array_equal(back.pixel_array, page)
    assert (back.PatientName, back.StudyInstanceUID) == ("Wang^XiaoDong=王^小东", sources[0].StudyInstanceUID)
    assert (back.Modality, back.BurnedInAnnotation, back.SOPClassUID.name) == (
        "OT",
        "NO",
        "Secondary Capture Image Storage",
    )
    assert [value for value in PRIVATE.values() if value.encode() in data] == []
    other = to_capture(255 - page, RESULTS, header)
    assert (other.SOPInstanceUID, other.SeriesInstanceUID) != (back.SOPInstanceUID, back.SeriesInstanceUID)
