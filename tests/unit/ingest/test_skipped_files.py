"""Where there is no CT image, the message says what there is instead; and a series is found by its UID, however it is padded."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.skipped_files import tell_counts
from cvtbatch.manifest import read_manifest
from tests.support.archives import write_rows
from tests.support.series import HEAD, case, change, refused, write


def test_what_was_passed_over_is_counted_by_class_and_suffix(tmp_path: Path) -> None:
    for name, class_uid, modality, count in (
        ("mr", "1.2.840.10008.5.1.4.1.1.4", "MR", 9),
        ("capture", "1.2.840.10008.5.1.4.1.1.7", "OT", 1),
        ("own", "1.2.840.113619.4.30", "CT", 2),
    ):
        write(tmp_path / "s" / name, (5.0,) * max(count - 1, 1), name, SOPClassUID=class_uid, Modality=modality)
    (tmp_path / "s" / "capture" / "0002.dcm").unlink()
    for name in ("a.jpg", "b.JPG", "note.txt", "Mueller.Anna"):
        (tmp_path / "s" / name).write_bytes(b"\xff\xd8\xff\0")
    error = refused(tmp_path / "s")
    assert error.kind == "no_ct_series"
    assert error.message == (
        "the source holds no CT image; passed over: 9 MR Image, 2 not DICOM (.jpg), 2 private object, 1 Secondary Capture Image, "
        "1 not DICOM, 1 not DICOM (.txt)"
    )


def test_scouts_are_named_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "s", (5.0,), "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert refused(tmp_path / "s").message == "the source holds no CT image but scout images"
    (tmp_path / "s" / "a.png").write_bytes(b"\x89PNG\0")
    assert refused(tmp_path / "s").message.endswith("but scout images; passed over: 1 not DICOM (.png)")


def test_many_reasons_are_cut() -> None:
    assert tell_counts({f"kind {number}": number for number in range(1, 9)}).endswith("3 kind 3, 3 more")
    assert tell_counts({}) == ""


@pytest.mark.parametrize(
    ("held", "named"),
    [
        ("1.2.826.0.1.3680043.8.498.7", " 1.2.826.0.1.3680043.8.498.7 "),
        ("1.2.826.0.1.3680043.8.498.7", "1.2.826.0.1.3680043.8.498.7\0"),
        ("1.2.826.0.01.3680043.8.498.007", "1.2.826.0.01.3680043.8.498.007"),
        ("1.2.826.0.1.3680043." + "9" * 60, "1.2.826.0.1.3680043." + "9" * 60),
        ("SERIES_7-a", "SERIES_7-a"),
    ],
    ids=["blanks", "NUL", "leading zeros", "80 characters", "letters"],
)
def test_series_uid_may_hold_what_files_hold(tmp_path: Path, held: str, named: str) -> None:
    write(tmp_path / "s" / "1", HEAD, "one")
    hu = write(tmp_path / "s" / "2", HEAD, "two")
    with pydicom.config.disable_value_validation():
        change(tmp_path / "s" / "2", lambda dataset: setattr(dataset, "SeriesInstanceUID", held))
    manifest = write_rows(
        tmp_path / "manifest.csv", [{"center": "A", "case_id": "1", "image": "s", "series_uid": named}]
    )
    [row] = read_manifest(manifest)
    volume = read_volume(row)
    assert np.array_equal(volume.hu_zyx, hu)
    assert "named by series_uid" in volume.choice
    assert np.array_equal(read_volume(case(tmp_path / "s", named)).hu_zyx, hu)


def test_a_padded_uid_in_some_files_is_the_same_series(tmp_path: Path) -> None:
    hu = write(tmp_path / "s", HEAD)
    uid = str(pydicom.dcmread(tmp_path / "s" / "0001.dcm").SeriesInstanceUID)
    with pydicom.config.disable_value_validation():
        change(tmp_path / "s", lambda dataset: setattr(dataset, "SeriesInstanceUID", uid + " "), only=[5])
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)
