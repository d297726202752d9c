"""Whether a series was computed of several energies of the tube: monoenergetic, virtual non-contrast and iodine images.

Their values are HU or look so, and are not those of a conventional CT: at 40 keV blood has other HU than at 120 kV, and where
iodine was taken out, calcium and blood may have gone with it (DICOM PS3.17 JJJJ.4). ImageType says it by the terms of the standard
(PS3.3 C.8.15.2.1.1.5), if the scanner is young; else what a console writes into ImageType and SeriesDescription does. What a
scanner of two energies mixes to a common image is conventional.
"""

import re
from functools import lru_cache

# English, German, French, Italian, Spanish and Portuguese. Iodine alone is an agent in some: "sans iode" is without contrast.
_WORDS = re.compile(
    r"\b(?:VMI|MAT REMOVED|MAT MODIFIED|VNC|DEOC|MONOE\w*|MONO ?(?:\+|PLUS|ENERG\w*|CHROMATIC)|\d{2,3}(?:\.\d+)? ?KEV|Z ?EFF\w*|"
    r"VIRTU[AE]\w*\W*(?:NON?|OHNE|SANS|SIN|SEM|SENZA|UNENH\w*|NATI\w*|MONO\w*)|ELECTRON DENSITY|"
    r"(?<!WITH )(?<!WITHOUT )(?<!NO )IODINE|JOD(?:BILD|KARTE|MAP)\w*|(?:CARTE|MAPP?A)\W*(?:DE|DI|D)?\W*(?:IODE|IODIO|IODO|YODO))"
    r"(?!\w)"
)


@lru_cache  # all slices of a series have the same texts
def names_multi_energy(description: tuple[str, ...], image_type: tuple[str, ...]) -> bool:
    """Say whether a description or an image type calls a series one that was computed of several energies."""
    return _WORDS.search(" ".join([*description, *image_type]).upper().replace("_", " ")) is not None
