"""What the values of a CT image are: HU, or something else that was computed and stored as one.

Perfusion and spectral software writes its maps as CT images, in the study of the head CT and on its slices. RescaleType names the
unit (DICOM PS3.3 C.11.1.1.2): HU; US, which is unspecified; any other is another unit, HU_MOD too (HU from which a material was
taken). It may be left out, and then ImageType tells: by the terms of the standard for spectral images (PS3.3 C.8.15.2.1.1.5) and
by the names that perfusion software gives its maps. Projections (MIP) and differences of images are stored as HU, and are those of
no place in the patient.
"""

import re
from collections.abc import Sequence

# As `_folded`: people write "H.U.", "Hounsfield units", "None".
_HOUNSFIELD = {"HU", "HOUNSFIELD", "HOUNSFIELDUNIT", "HOUNSFIELDUNITS"}
_UNSPECIFIED = {"", "US", "UNSPECIFIED", "NONE"}
_SPECTRAL_MAPS = {"MAT_SPECIFIC", "MAT_FRACTIONAL", "MAT_VALUE_BASED", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY"}
# Blood flow and volume, transit and arrival times, permeability: alone, or as a word of a value.
_PERFUSION_MAPS = set(
    "CBF RCBF CBV RCBV MTT RMTT TTP TTD TTS TMAX PBV PBF IRF PERMEABILITY FLOWEXTRACTION KTRANS PENUMBRA".split()
)
# Of derived images alone: the slices of a perfusion scan are called so too, and hold HU.
_PERFUSION = "PERFUSION"
# Of derived images too: projections, and what is computed pixel by pixel of several images, by the terms of the standard (PS3.3
# C.8.16) and of consoles: as a whole value, or as a word of one. Siemens calls its maps of flow and volume BF and BV.
_COMPUTED = set(
    "MIP MINIP TMIP VRT MAX_IP MIN_IP MAXIMUM MINIMUM CURVED_MPR VOLUME_RENDER SURFACE_RENDER "
    "SUBTRACTION DIVISION MULTIPLICATION STD_DEVIATION BF BV".split()
)
# A value of its own, where a console does not call a reformat so.
_PROJECTION, _REFORMAT = "PROJECTION IMAGE", "MPR"
_UNITS = set("ML L MM3 CM3 CC MG G S SEC MIN MS % OD HU US PCT ED EDW MGML Z_EFF HU_MOD".split())
_NUMBERS_AND_SIGNS = set("1 10 100 10^23 / * .".split())
_UNIT_PARTS = re.compile(r"10\^23|\d+|[A-Z_]+3?|\S")


def may_be_hounsfield(rescale_type: str | None, image_type: Sequence[str], *, is_derived: bool) -> bool:
    """Say whether an image that calls its values so may hold HU."""
    if not is_hounsfield_unit(rescale_type):
        return False
    said = _folded(rescale_type) in _HOUNSFIELD
    if is_derived and computed_names(image_type):
        return False
    return not map_names(image_type) and not (is_derived and not said and _PERFUSION in _words(image_type))


def is_hounsfield_unit(rescale_type: str | None) -> bool:
    """Say whether a RescaleType is HU, says nothing, or is absent: CT images need it only for other units (PS3.3 C.8.2.1)."""
    return _folded(rescale_type) in _HOUNSFIELD | _UNSPECIFIED


def map_names(image_type: Sequence[str]) -> list[str]:
    """Return the values and words of an ImageType that name a map."""
    values = {value.upper() for value in image_type}
    return sorted((values & _SPECTRAL_MAPS) | (_words(image_type) & _PERFUSION_MAPS))


def computed_names(image_type: Sequence[str]) -> list[str]:
    """Return the values and words of a derived image's ImageType that say that its values are those of no place."""
    values, words = {value.upper() for value in image_type}, _words(image_type)
    projection = {_PROJECTION} & values if _REFORMAT not in words else set()
    return sorted((values | words) & _COMPUTED | projection)


def known_unit(rescale_type: str | None) -> str | None:
    """Return a RescaleType that is another unit and made of units alone: such texts may hold anything."""
    if is_hounsfield_unit(rescale_type):
        return None
    parts = set(_UNIT_PARTS.findall((rescale_type or "").upper()))
    return rescale_type if parts & _UNITS and parts <= _UNITS | _NUMBERS_AND_SIGNS else None


def _folded(rescale_type: str | None) -> str:
    """Return a unit without regard to case, blanks and dots."""
    return re.sub(r"[\s.]+", "", rescale_type or "").upper()


def _words(image_type: Sequence[str]) -> set[str]:
    return {word for value in image_type for word in re.split(r"[^A-Z0-9]+", value.upper())}
