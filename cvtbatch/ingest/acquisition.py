"""How a CT series was made, as far as a store may know it.

Text tags hold whatever a technologist typed. What leaves this module is therefore spelled with known words alone: a
manufacturer of the list, a kernel of the table, a model, image type or position whose every word is known; anything else is None.
UIDs are kept as they are, because duplicates are found by them: hash them with a key before they leave the machine.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# As the first word of a Manufacturer says; the name under which all of a maker's spellings are stored.
MANUFACTURERS = {
    "GE": "GE",
    "SIEMENS": "Siemens",
    "PHILIPS": "Philips",
    "PICKER": "Philips",
    "MARCONI": "Philips",
    "ELSCINT": "Philips",
    "TOSHIBA": "Canon",
    "CANON": "Canon",
    "HITACHI": "Hitachi",
    "FUJIFILM": "Hitachi",
    "SHIMADZU": "Shimadzu",
    "NEUSOFT": "Neusoft",
    "UIH": "United Imaging",
    "UNITED": "United Imaging",
    "NEUROLOGICA": "NeuroLogica",
    "SAMSUNG": "NeuroLogica",
    "MINFOUND": "MinFound",
    "ANKE": "Anke",
}
_MODEL_WORDS = frozenset(
    # GE
    "HISPEED HIGHSPEED LIGHTSPEED BRIGHTSPEED PROSPEED SYTEC DISCOVERY OPTIMA REVOLUTION APEX FRONTIER EVO MAXIMA ASCEND QX/I FX/I "
    "LX/I NX/I CT/I ZX/I CTE DUAL ULTRA PLUS PRO PRO16 PRO32 VCT RT RT16 HD HDE STE ACT "
    # Siemens
    "SOMATOM SENSATION EMOTION DEFINITION DRIVE FORCE EDGE FLASH GO.UP GO.NOW GO.ALL GO.TOP GO.SIM GO.OPEN CONFIDENCE PERSPECTIVE "
    "SCOPE SPIRIT VOLUME ZOOM ACCESS BALANCE ART X.CITE X.CEED NAEOTOM ALPHA BIOGRAPH TRUEPOINT MCT SYMBIA AS AS+ OPEN DUO PRONTO "
    # Philips
    "BRILLIANCE INGENUITY ICT IQON SPECTRAL INCISIVE MX MX8000 IDT PQ5000 PQ2000 PRECEDENCE GEMINI VEREOS BIG BORE TF CORE CORE128 "
    # Canon, Toshiba
    "AQUILION ONE PRIME SP PRECISION LIGHTNING GENESIS VISION LB CXL CX ACTIVION ALEXION ASTEION ASTELION AUKLET XVISION XPRESS "
    # Hitachi, United Imaging, Neusoft, NeuroLogica
    "SCENARIA SUPRIA ECLOS PRATICO ROBUSTO VIEW UCT ATLAS NEUVIZ GLORY EPOCH CERETOM OMNITOM BODYTOM ELITE "
    "CT PET PET/CT SE SM ES EX XR S".split()
)
_SHORT_NUMBER = re.compile(r"\d{1,4}|[A-Z]{1,2}\d{1,3}")
_IMAGE_TYPES = frozenset(
    "ORIGINAL DERIVED PRIMARY SECONDARY MIXED AXIAL LOCALIZER SCOUT REFORMATTED REFORMAT MPR MIP MINIP AVERAGE SCREEN SAVE CSA "
    "CSAMANIP CSAPARALLEL RANGE VOLUME VOLUME_RENDER RESAMPLED OTHER NONE HELIX HELICAL SPI SEQ SCREENSAVE JP2K LOSSY ADD SUM MONO "
    "PERFUSION ANGIO CONSOLE DRAWING TEMPLATE BOLUS CT_SOM5 CT_SOM7 CT_SOM8 SPI_AVE".split()
)
_POSITIONS = frozenset("HFS HFP HFDR HFDL FFS FFP FFDR FFDL".split())


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What a DICOM series says of itself, and what reading it had to mend; all None (zero) for other formats.

    Maker, model, kernel, voltage, thickness and position are None where slices do not agree on them.

    Attributes:
        convolution_kernel: name as the scanner's vendor writes it.
        image_type: known values, joined with "/".
        transfer_syntax: UID of the DICOM standard; several are joined with "/".
        contrast: whether a contrast agent is named in any slice; None where nothing is said.
        series_uid, study_uid, frame_of_reference_uid: raw; never to be stored or shared as they are.
        duplicates_dropped: slices that were in the source twice with equal pixels.
        missing_slices: how many are missing where `allow_gaps` let the series pass.
        series_in_source: how many CT image series, as split for the choice, the source holds.
        instances: of every slice, in the order of the volume, SOPInstanceUID and number of the frame, from 1; raw like the UIDs.
        flags: what a reader should know of what the series says: overlapping_passes (a slice each was left out where passes over
            the patient overlap), interleaved_passes (evenly spaced passes lie in the middle of one another's gaps),
            slice_location_disagrees (SliceLocation contradicts the slices' positions), multi_energy (computed of several energies),
            lossy_compressed.
    """

    manufacturer: str | None = None
    scanner_model: str | None = None
    convolution_kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    image_type: str | None = None
    transfer_syntax: str | None = None
    contrast: bool | None = None
    series_uid: str | None = None
    study_uid: str | None = None
    frame_of_reference_uid: str | None = None
    patient_position: str | None = None
    duplicates_dropped: int | None = None
    missing_slices: int | None = None
    series_in_source: int | None = None
    instances: tuple[tuple[str, int], ...] = ()
    flags: tuple[str, ...] = ()


def known_manufacturer(text: str | None) -> str | None:
    """Return the maker's name of the list that a Manufacturer begins with."""
    words = re.split(r"[^A-Z]+", (text or "").upper())
    return MANUFACTURERS.get(words[0])


def known_model(text: str | None) -> str | None:
    """Return a scanner's model if every word of it is known or a short number."""
    words = (text or "").upper().replace("-", " ").replace("_", " ").split()
    if not words or not all(word in _MODEL_WORDS or _SHORT_NUMBER.fullmatch(word) for word in words):
        return None
    return " ".join((text or "").split()) if any(word in _MODEL_WORDS for word in words) else None


def known_image_type(values: Sequence[str]) -> str | None:
    """Return the known values of an ImageType, joined with "/"."""
    return "/".join(value for value in values if value.upper() in _IMAGE_TYPES) or None


def known_position(text: str | None) -> str | None:
    """Return a PatientPosition that the standard defines."""
    return text if text in _POSITIONS else None
