"""Counts in words. Pure."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number and what it counts: "1 slice", "2,000 slices"; `several` is given where more than an s is added to `one`."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
