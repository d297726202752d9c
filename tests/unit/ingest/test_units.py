"""Maps of other units than HU, stored as CT images on the slices of a head: no candidates, whatever their values are."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.units import known_unit, map_names, may_be_hounsfield
from tests.support.series import HEAD, case, change, multiframe, refused, write

DERIVED = ["DERIVED", "SECONDARY", "AXIAL"]
MAPS = {
    "unit": {"RescaleType": "ml/100ml/s"},
    "electron density": {"RescaleType": "EDW"},
    "modified HU": {"RescaleType": "HU_MOD"},
    "flow": {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "RCBF"]},
    "transit time": {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "MTT"], "RescaleType": "US"},
    "time to maximum": {"ImageType": [*DERIVED, "RAPID_TMAX"]},
    "perfusion": {"ImageType": [*DERIVED, "PERFUSION"], "RescaleType": "US"},
    "material": {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"]},
    "projection": {"ImageType": [*DERIVED, "CSA MIP"], "RescaleType": "HU"},
    "projection by the standard": {"ImageType": [*DERIVED, "MAX_IP"]},
    "projection in time": {"ImageType": [*DERIVED, "CT_SOM7 VPCT", "MIP"]},
    "projection image": {"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE", "VASCULAR"]},
    "curved": {"ImageType": ["DERIVED", "PRIMARY", "VOLUME", "CURVED_MPR"]},
    "difference": {"ImageType": [*DERIVED, "SUBTRACTION"]},
    "flow by Siemens": {"ImageType": [*DERIVED, "CT_SOM7 VPCT", "BF"]},
    "volume by Siemens": {"ImageType": [*DERIVED, "CT_SOM8 PERF", "BV"]},
}


@pytest.mark.parametrize("tags", MAPS.values(), ids=MAPS)
def test_a_map_is_refused_alone_and_left_out_beside_a_head(tmp_path: Path, tags: dict[str, object]) -> None:
    """Its values lie in the range of HU: nothing but its own word tells."""
    write(tmp_path / "s" / "map", HEAD, "map", ContrastBolusAgent="NONE", **{"RescaleType": "", **tags})
    error = refused(tmp_path / "s")
    assert error.kind == "not_hounsfield"
    assert "18 CT images say that they hold other values than HU" in error.message
    hu = write(tmp_path / "s" / "ct", HEAD, "ct", ContrastBolusAgent="IOMERON", ImageType=[*DERIVED, "MPR"])
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, hu)
    assert volume.choice.endswith("the only CT series")
    assert volume.acquisition.series_in_source == 1
    uid = str(pydicom.dcmread(tmp_path / "s" / "map" / "0001.dcm").SeriesInstanceUID)
    assert refused(tmp_path / "s", series_uid=uid).kind == "not_hounsfield"


def test_the_message_names_units_and_maps_but_no_other_text(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD, RescaleType="ml/100ml/s", ImageType=[*DERIVED, "RCBF MUELLER"])
    message = refused(tmp_path / "s").message
    assert "(ImageType RCBF; unit ml/100ml/s)" in message
    change(tmp_path / "s", lambda dataset: setattr(dataset, "RescaleType", "MUELLER"))
    error = refused(tmp_path / "s")
    assert ("MUELLER" in error.message, "RescaleType MUELLER" in error.private) == (False, True)


CT = {
    "no unit": {"RescaleType": ""},
    "unspecified unit": {"RescaleType": "US"},
    "HU in small letters": {"RescaleType": "hu"},
    "HU with dots": {"RescaleType": "H.U."},
    "HU in full": {"RescaleType": "Hounsfield Units"},
    "no unit in words": {"RescaleType": "None"},
    "slices of a perfusion scan": {"ImageType": ["ORIGINAL", "PRIMARY", "PERFUSION", "NONE"], "RescaleType": ""},
    "mean of a perfusion scan": {"ImageType": [*DERIVED, "PERFUSION", "AVERAGE"], "RescaleType": "HU"},
    "mean of a perfusion scan by Siemens": {"ImageType": [*DERIVED, "CT_SOM7 VPCT", "AVG"]},
    "mean of slices": {"ImageType": [*DERIVED, "AVERAGE"]},
    "thick slices": {"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE", "CSA MPR THICK"]},
    "oriented anew": {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SPO"]},
    "reformat": {"ImageType": [*DERIVED, "CSA MPR"]},
    "one energy": {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"]},
}


@pytest.mark.parametrize("tags", CT.values(), ids=CT)
def test_what_may_be_hounsfield_is_read(tmp_path: Path, tags: dict[str, object]) -> None:
    hu = write(tmp_path / "s", HEAD, **tags)
    assert np.array_equal(read_volume(case(tmp_path / "s")).hu_zyx, hu)


@pytest.mark.parametrize("lost", [17, 8], ids=["last", "inner"])
def test_a_slice_of_another_unit_in_a_series_is_not_left_out(tmp_path: Path, lost: int) -> None:
    write(tmp_path / "s", HEAD)
    change(tmp_path / "s", lambda dataset: setattr(dataset, "RescaleType", "IU"), only=[lost])
    for allow_gaps in (False, True):
        error = refused(tmp_path / "s", allow_gaps=allow_gaps)
        assert error.kind == "not_hounsfield"
        assert "1 CT images say that they hold other values than HU (by RescaleType or ImageType)" in error.message


def test_frames_of_an_enhanced_map_say_so_in_their_own_type(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD)
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    assert len(read_volume(case(tmp_path / "one.dcm")).hu_zyx) == 18
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.CTImageFrameTypeSequence[0].FrameType = ["DERIVED", "PRIMARY", "VOLUME", "EFF_ATOMIC_NUM"]
    dataset.save_as(tmp_path / "one.dcm")
    assert refused(tmp_path / "one.dcm").kind == "not_hounsfield"


@pytest.mark.parametrize(
    "unit", ["HU", " HU ", "hu.", "H.U.", "h. u.", "Hounsfield", "HOUNSFIELD UNITS", "Hounsfield unit"]
)
def test_spellings_of_hu(unit: str) -> None:
    """They say it, so that the mean of a perfusion scan is one."""
    assert known_unit(unit) is None
    assert may_be_hounsfield(unit, ["DERIVED", "PRIMARY", "PERFUSION"], is_derived=True)


@pytest.mark.parametrize("unit", ["", " ", "US", "U.S.", "None", "unspecified", "."])
def test_words_that_name_no_unit(unit: str) -> None:
    assert known_unit(unit) is None
    assert may_be_hounsfield(unit, [], is_derived=True)
    assert not may_be_hounsfield(unit, ["DERIVED", "PRIMARY", "PERFUSION"], is_derived=True)


@pytest.mark.parametrize("unit", ["HU_MOD", "hu mod", "HUS", "U", "S", "s.", "H"])
def test_words_that_only_look_so(unit: str) -> None:
    assert not may_be_hounsfield(unit, [], is_derived=False)


@pytest.mark.parametrize("unit", ["ml/100ml/s", "ml/100 g/min", "s", "%", "Z_EFF", "10^23/ml", "mg/ml"])
def test_units_that_are_shown(unit: str) -> None:
    assert known_unit(unit) == unit
    assert not may_be_hounsfield(unit, (), is_derived=False)


@pytest.mark.parametrize("text", ["", None, "MUELLER", "ml MUELLER", "19601224", "MGML" * 5000 + "?x"])
def test_texts_that_are_not(text: str | None) -> None:
    assert known_unit(text) is None


@pytest.mark.parametrize(
    "image_type",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
        ["DERIVED", "PRIMARY", "MPR", "MIP"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "HELIX", "ADD"],
        ["DERIVED", "SECONDARY", "AXIAL", "CSA MANIP", "JP2K LOSSY 6:1"],
        ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"],
    ],
)
def test_types_of_ordinary_series_name_no_map(image_type: list[str]) -> None:
    assert map_names(image_type) == []
