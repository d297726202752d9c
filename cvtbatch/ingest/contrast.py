"""Whether a series hints at a contrast agent: by what stands in ContrastBolusAgent, SeriesDescription and ImageType.

The texts are a technologist's, in the language of the house. ContrastBolusAgent says as often that there is no agent as which one
it is. One that is not understood counts as an agent: a series with contrast that passes for a native one has other values, and
nobody is told.
"""

import re
from functools import lru_cache

# German, English, French, Italian, Spanish and Portuguese.
_WITHOUT = r"(?:WITHOUT|W/?O|OHNE|KEINE?[MNRS]?|SANS|SENZA|SIN|SEM)"
_NONE = rf"(?:{_WITHOUT}|O|NO[NT]?E?|N|NEIN|NICHT|PAS|NIL|NULL|UNUSED|UNENHANCED|NATIVE?|PLAIN|N[CE]CT)"
# What may follow "no" and say no more than that; "non ionic" is an agent's property.
_OF_ANY_AGENT = (
    r"(?:ANY|I\W?V|CONTRAST\w*|KONTRAST\w*|KM|CM|CE|MDC|AGENTS?|MEDI(?:A|UM)|BOLUS|INJECT\w*|ADMINISTERED|APPLI(?:ED|CABLE)|GIVEN|USED|"
    r"GEGEBEN|GABE|VERABREICHT|ENHANCE(?:D|MENT)|WAS|IS|PHASE|SCAN|CT)"
)
_AGENT = (
    r"(?:I?OMERON|IMERON|ULTRAVIST|OMNIPAQUE|ACCUPAQUE|ISOVUE|VISIPAQUE|XENETIX|OPTIRAY|SOLUTRAST|IODIXANOL|IO(?!D)[A-Z]{5,}|"
    r"[1-9]\d*\W*(?:ML|CC)\b)"
)
_NO_AGENT = re.compile(
    rf"\W*(?:{_NONE}(?:\W+{_OF_ANY_AGENT})*|{_WITHOUT}\b(?!.*\b{_AGENT}).*|N\.?/?A\.?|0(?:[.,]0+)?\W*(?:ML|CC|M?G)?|-\W*(?:KM|C)|"
    r"(?:KM|C)\W*-)?\W*"
)
_MEDIUM = r"(?:I\.?V\.?[ -]*)?(?:CONTRAST\w*|KONTRAST\w*|MDC)"
_WORDS = (
    rf"(?:\b(?:CTA|CTV|ANGIO\w*|VENOGR\w*|PHLEBOGR\w*|ART[EÉ]RI(?:AL|EL\w*)|VENOUS|VEN(?:Ö|OE)S\w*|CECT|KM|MDC|KONTRASTMITTEL\w*|INJECT\w*|C/C|"
    rf"(?:POST|WITH|W|W/|AFTER|MIT|NACH|CON|COM|AVEC)[ -]*{_MEDIUM})\b|C\+|\bIV ?\+|(?<!\S)\+ ?C\b)"
)
# "With and without", in any order, is a hint too.
_WITH = r"(?:WITH|W|MIT|M|AVEC|CON|COM)"
_HINT = re.compile(
    rf"{_WORDS}|\b(?:{_WITH}\W*(?:AND|UND|ET|E|Y|[+&/])?\W*{_WITHOUT}|{_WITHOUT}\W*(?:AND|UND|ET|E|Y|[+&/])\W*{_WITH})"
    rf"\W+(?:{_MEDIUM}|KM|IV)\b"
)
# "ohne KM" and "-KM" say the contrary; "mit und ohne KM" does not, and "Kopf-KM" has a hyphen.
_NEGATED = re.compile(
    rf"\b(?:OHNE|O\.?|VOR|KEINE?|NO[NT]?|WITHOUT|W/?O|PR[EÄ]|SANS|SENZA|SIN|SEM)[ -]*(?:I\.?V\.?[ -]*)?{_WORDS}|"
    r"(?<!\S)-KM\b|\bKM-(?=\s*(?:/|$))"
)
_GIVEN_TOO = re.compile(r"\b(?:MIT|M|NACH|WITH|W(?!/?O\b)|POST|AFTER)\b")


def names_contrast(agent: str) -> bool:
    """Say whether the text of ContrastBolusAgent names an agent, rather than saying that there is none."""
    return _NO_AGENT.fullmatch(agent.upper()) is None


@lru_cache  # all slices of a series have the same texts
def hints_at_contrast(
    agent: str | None, lists_agents: bool, description: tuple[str, ...], image_type: tuple[str, ...]
) -> bool | None:
    """Say whether an agent, a list of agents, a description or the image type hints at contrast; None where nothing is said."""
    if agent is not None and names_contrast(agent):
        return True
    words = " ".join(description).upper().replace("_", " ")
    if not _GIVEN_TOO.search(words):
        words = _NEGATED.sub("", words)
    if lists_agents or _HINT.search(words) or "ANGIO" in image_type:
        return True
    return None if agent is None else False
