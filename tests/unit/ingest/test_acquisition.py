"""What a series says of itself reaches a store in known words only."""

from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import DicomDictionary

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.acquisition import (
    known_image_type,
    known_manufacturer,
    known_model,
    known_position,
)
from tests.support.outside_data import outside
from tests.support.series import case, change, refused, write


def test_the_real_head() -> None:
    acquisition = read_volume(case(outside("head_ct_ge"))).acquisition
    assert (acquisition.manufacturer, acquisition.scanner_model, acquisition.convolution_kernel) == (
        "GE",
        "HiSpeed Dual",
        "STD+",
    )
    # Its slices are 4 mm thick below and 7 mm above.
    assert (acquisition.kvp, acquisition.slice_thickness_mm, acquisition.image_type) == (
        120,
        None,
        "ORIGINAL/PRIMARY/AXIAL/ADD",
    )
    assert (acquisition.patient_position, acquisition.contrast, acquisition.series_in_source) == ("HFS", None, 1)
    assert (acquisition.duplicates_dropped, acquisition.missing_slices) == (0, 0)


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("GE MEDICAL SYSTEMS", "GE"),
        ("SIEMENS", "Siemens"),
        ("Siemens Healthineers", "Siemens"),
        ("Philips Medical Systems", "Philips"),
        ("TOSHIBA_MEC", "Canon"),
        ("GERTRUD MUELLER", None),
        ("", None),
        (None, None),
    ],
)
def test_manufacturers(text: str | None, maker: str | None) -> None:
    assert known_manufacturer(text) == maker


@pytest.mark.parametrize(
    "text", ["SOMATOM Definition AS+", "Aquilion ONE", "LightSpeed VCT", "iCT 256", "Brilliance 64"]
)
def test_models(text: str) -> None:
    assert known_model(text) == text


@pytest.mark.parametrize(
    "text", ["Brilliance of Dr Miller", "12345678", "Aquilion 12345678", "64", "", None, "MUELLER"]
)
def test_models_that_are_not_stored(text: str | None) -> None:
    assert known_model(text) is None


def test_image_types_and_positions() -> None:
    assert known_image_type(["ORIGINAL", "PRIMARY", "MUELLER", "AXIAL"]) == "ORIGINAL/PRIMARY/AXIAL"
    assert known_image_type(["MUELLER"]) is None
    assert (known_position("FFS"), known_position("MUELLER"), known_position(None)) == ("FFS", None, None)


TEXT_VRS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}


def test_names_in_every_text_tag_are_neither_kept_nor_shown(tmp_path: Path) -> None:
    """UIDs apart, which are raw in an acquisition and hashed before they are stored."""
    write(tmp_path / "s")
    kept = {"SpecificCharacterSet", "PhotometricInterpretation", "RescaleType", "Modality"}
    tags = [
        (tag, entry) for tag, entry in DicomDictionary.items() if entry[0] in TEXT_VRS and 0x8 <= tag >> 16 < 0x7FE0
    ]
    assert len(tags) > 1500

    def plant(dataset: pydicom.Dataset) -> None:
        for tag, (vr, _, _, _, keyword) in tags:
            if keyword not in kept:
                dataset.add_new(tag, vr, "MUELLER" if vr != "PN" else "MUELLER^ANNA")

    change(tmp_path / "s", plant, only=[2])
    volume = read_volume(case(tmp_path / "s"))
    change(tmp_path / "s", plant)
    everywhere = read_volume(case(tmp_path / "s"))
    for found in (volume, everywhere):
        assert "MUELLER" not in f"{found.acquisition}{found.choice}{found.source_format}"
    change(tmp_path / "s", lambda dataset: setattr(dataset, "RescaleType", "MUELLER"))
    error = refused(tmp_path / "s")
    assert (error.kind, "MUELLER" in error.message, "MUELLER" in error.private) == ("not_hounsfield", False, True)
