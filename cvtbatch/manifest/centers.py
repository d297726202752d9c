"""Centres whose names differ by capitals, blanks or Unicode form alone: one centre, to everybody but a computer. Pure."""

import unicodedata
from collections.abc import Iterable

from cvtbatch.errors import InputError
from cvtbatch.nearest import NAMED, did_you_mean
from cvtbatch.plain_text import without_hidden


def folded(name: str) -> str:
    """Return what names have in common that differ by capitals, blanks or Unicode form."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(without_hidden(text).split())


def find_twins(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ by capitals, blanks or Unicode form alone."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def twins_of(name: str, among: Iterable[str]) -> tuple[str, ...]:
    """Return the other names that differ from this one by capitals, blanks or Unicode form alone."""
    own = folded(name)
    return tuple(sorted({other for other in among if other != name and folded(other) == own}))


def name_centers(names: Iterable[str]) -> str:
    """Return names as people tell them apart: with the numbers of their characters, where they are not ASCII."""
    return ", ".join(repr(name) if name.isascii() else f"{name!r} ({name!a})" for name in names)


def require_centers(wanted: Iterable[str], known: Iterable[str], where: str = "the store") -> None:
    """Refuse centres that are not there.

    Args:
        where: the centres are not, e.g. "the snapshot".

    Raises:
        InputError: "no_such_center", with the nearest that is there, and those that there are.
    """
    there = sorted(set(known))
    if missing := sorted(set(wanted) - set(there)):
        more = f" and {len(there) - NAMED} more" if len(there) > NAMED else ""
        told = f"it has {name_centers(there[:NAMED])}{more}" if there else "it has no case yet"
        raise InputError(
            "no_such_center", f"{where} has no centre {name_centers(missing)}; {did_you_mean(missing[0], there)}{told}"
        )


def twin_notices(names: Iterable[str]) -> list[str]:
    """Return what to say of each group of centres that are perhaps one."""
    return [
        f"the centres {name_centers(group)} differ by capitals, blanks or Unicode form alone; fit refuses to train on any of them"
        for group in find_twins(names)
    ]


def refuse_twins(training: Iterable[str], known: Iterable[str]) -> None:
    """Refuse training centres of which there is another spelling: its patients would count as others, and as another centre's.

    Raises:
        InputError: "twin_centers".
    """
    known = set(known)
    for center in training:
        if twins := twins_of(center, known):
            raise InputError(
                "twin_centers",
                f"{name_centers([center, *twins])} differ by capitals, blanks or Unicode form alone, and {center!r} is a training "
                "centre. If they are one centre, give it one name in the manifest, extract again and forget the cases under the "
                "other; if not, give them names that people can tell apart",
            )
