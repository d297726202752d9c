"""P values of several tests that are looked at together."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return P values adjusted by Holm (Scand J Stat 1979;6:65), in the order given."""
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
