"""Shares in words: of few cases as what they are, a count of a count. Pure.

Per cents of a handful say more than is known. SAMPL (Lang and Altman, Int J Nurs Stud 2015;52:5) asks for numerator and denominator
of every percentage; Cole (Arch Dis Child 2015;100:608) for whole per cents. Below FEW the count stands alone.
"""

from cvtbatch.counts import counted

FEW = 20


def share_in_words(count: int, n: int) -> str:
    """Return how many of n cases, e.g. "1 of 6 cases", and from FEW cases on "17 % of 120 cases"."""
    cases = counted(n, "case")
    return f"{count} of {cases}" if n < FEW else f"{100 * count / n:.0f} % of {cases}"
