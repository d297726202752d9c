"""Headers of a volume's slices, read again: those that it was made of, in its order, and nothing that was not asked for."""

import shutil
from pathlib import Path

import pytest

from cvtbatch.errors import FormatError
from cvtbatch.ingest import read_volume
from cvtbatch.ingest.instance_headers import read_instance_headers
from tests.support.series import case, multiframe, write

NAMES = ("SOPInstanceUID", "SOPClassUID", "ImagePositionPatient", "PatientName")


@pytest.mark.parametrize("packed", [False, True])
def test_headers_stand_in_the_order_of_the_slices(tmp_path: Path, packed: bool) -> None:
    write(tmp_path / "s" / "one", (5.0,) * 4 + (7.0,) * 5)
    write(tmp_path / "s" / "two", name="T")
    (tmp_path / "s" / "notes.txt").write_text("no DICOM")
    path = Path(shutil.make_archive(str(tmp_path / "s"), "zip", tmp_path / "s")) if packed else tmp_path / "s"
    volume = read_volume(case(tmp_path / "s" / "one"))
    headers = read_instance_headers(path, volume.acquisition.instances, NAMES)
    assert [tuple(map(float, header.ImagePositionPatient)) for header in headers] == list(volume.stack.positions_mm)
    assert {name for header in headers for name in header.dir()} <= {*NAMES, "SpecificCharacterSet"}


def test_a_slice_that_went_is_told(tmp_path: Path) -> None:
    write(tmp_path / "s")
    instances = read_volume(case(tmp_path / "s")).acquisition.instances
    sorted((tmp_path / "s").iterdir())[2].unlink()
    with pytest.raises(FormatError) as raised:
        read_instance_headers(tmp_path / "s", instances, NAMES)
    assert raised.value.kind == "source_changed"
    assert not any(uid in raised.value.message for uid, _ in instances)


def test_of_frames_it_is_that_of_their_object(tmp_path: Path) -> None:
    write(tmp_path / "s")
    multiframe(tmp_path / "s", tmp_path / "enhanced.dcm")
    instances = read_volume(case(tmp_path / "enhanced.dcm")).acquisition.instances
    headers = read_instance_headers(tmp_path / "enhanced.dcm", instances, NAMES)
    assert [header.SOPInstanceUID for header in headers] == [uid for uid, _ in instances]
    assert len(headers) == 10
