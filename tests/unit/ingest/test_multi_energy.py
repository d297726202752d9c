"""What was computed of several energies is read, flagged, and not taken where a conventional series is there."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.ingest import read_volume
from cvtbatch.ingest.multi_energy import names_multi_energy
from tests.support.series import HEAD, case, multiframe, write

FLAG = "multi_energy"
DERIVED = ("DERIVED", "PRIMARY", "AXIAL")


@pytest.mark.parametrize(
    "text",
    [
        "VNC", "DE_VNC 5.0", "Virtual Non-Contrast", "virtuell nativ", "Virtual unenhanced", "MonoE 70keV[HU]", "Mono+ 50 keV",
        "Monoenergetic Plus", "VMI 40", "Head 65.5 keV", "Iodine Density", "Iodine (Water)", "Iodine map", "Jodkarte",
        "Carte d'iode", "Z Effective", "Electron Density",
    ],
)  # fmt: skip
def test_words_of_descriptions(text: str) -> None:
    assert names_multi_energy((text,), DERIVED)


@pytest.mark.parametrize(
    "text",
    [
        "Head 120 kV", "CCT nativ 5.0 H31s", "Crane sans iode", "without iodine", "non contrast", "Mono 5.0", "Vue axiale",
        "Dual Energy 0.6", "Monochrome", "CT virtual planning", "VNCX", "",
    ],
)  # fmt: skip
def test_words_of_conventional_series(text: str) -> None:
    assert not names_multi_energy(
        (text,), ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI DUAL", "STD", "SNRG", "DET_AB")
    )


@pytest.mark.parametrize("value", ["VMI", "MAT_REMOVED", "MAT_MODIFIED", "CT_SOM8 DEOC"])
def test_values_of_image_type(value: str) -> None:
    assert names_multi_energy((), (*DERIVED, value))


def test_a_series_of_several_energies_is_flagged_and_stands_behind_a_conventional_one(tmp_path: Path) -> None:
    """By its tags it is the softer and the original one: VNC was taken in the place of the head, and nobody told."""
    virtual = write(tmp_path / "s" / "vnc", HEAD, "V", SeriesDescription="Head VNC 5.0", ConvolutionKernel="H31s")
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, virtual)
    assert (volume.acquisition.flags, "multi-energy" in volume.choice) == ((FLAG,), True)
    head = write(tmp_path / "s" / "head", HEAD, "H", ImageType=[*DERIVED, "CSA MPR"], ConvolutionKernel="H60s")
    volume = read_volume(case(tmp_path / "s"))
    assert np.array_equal(volume.hu_zyx, head)
    assert (volume.acquisition.flags, volume.choice.endswith("by: conventional")) == ((), True)


def test_frames_of_an_enhanced_object_say_so_in_their_own_type(tmp_path: Path) -> None:
    write(tmp_path / "s", HEAD)
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    assert read_volume(case(tmp_path / "one.dcm")).acquisition.flags == ()
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.CTImageFrameTypeSequence[0].FrameType = ["DERIVED", "PRIMARY", "VOLUME", "VMI"]
    dataset.save_as(tmp_path / "one.dcm")
    assert read_volume(case(tmp_path / "one.dcm")).acquisition.flags == (FLAG,)
