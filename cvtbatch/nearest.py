"""What an unknown name was meant to be: the nearest of the known ones. Pure."""

import difflib
from collections.abc import Iterable

NAMED = 20


def nearest(name: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known names that are like a name, the likest first; capitals tell none apart.

    Args:
        cutoff: how like they have to be, as `difflib.get_close_matches` counts it; 0 takes any.
    """
    by_folded: dict[str, list[str]] = {}
    for one in known:
        by_folded.setdefault(one.casefold(), []).append(one)
    found = difflib.get_close_matches(name.casefold(), by_folded, n=max(len(by_folded), 1), cutoff=cutoff)
    # Two letters in the wrong order are the likeliest slip: "gclm" is as like "gldm" as "glcm".
    found = sorted(found, key=lambda one: sorted(one) != sorted(name.casefold()))[:most]
    return [one for folded in found for one in dict.fromkeys(by_folded[folded])][:most]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'? " of the likest known name, empty where none is like."""
    return "".join(f"did you mean {near!r}? " for near in nearest(name, known))


def enumerated(names: Iterable[str]) -> str:
    """Return names in order as a message lists them: the first ones, and how many more there are."""
    told = sorted(names)
    more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return ", ".join(told[:NAMED]) + more if told else "none"
