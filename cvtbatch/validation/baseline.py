"""The baseline table: how two groups of patients differ, variable by variable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from cvtbatch.validation.values import Floats, Maybe, NotComputable, Significance, finite

Value = float | str | None

NORMAL_P = 0.05
FISHER_BELOW = 5.0
"""Cochran's rule: the chi-square test wants every expected count at least this large."""
FISHER_DRAWS = 9999


@dataclass(frozen=True, slots=True)
class NumberSummary:
    """A numeric variable in one group.

    Attributes:
        q1, q3: quartiles, linear interpolation.
    """

    known: int
    unknown: int
    mean: float
    sd: Maybe[float]
    median: float
    q1: float
    q3: float


@dataclass(frozen=True, slots=True)
class LevelCount:
    """How many of a group's known values are one level."""

    level: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """A categorical variable in one group."""

    known: int
    unknown: int
    levels: tuple[LevelCount, ...]


Summary = NumberSummary | LevelSummary


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One variable in two groups.

    Attributes:
        unit: of a number, or an empty text.
        normal: whether means describe both groups (Shapiro-Wilk P >= 0.05); false for categories.
    """

    variable: str
    unit: str
    first: Maybe[Summary]
    second: Maybe[Summary]
    normal: bool
    test: Maybe[Significance]


def compare_numbers(
    variable: str, unit: str, first: Sequence[float | None], second: Sequence[float | None]
) -> BaselineRow:
    """Compare a number between groups: Welch's t-test where both look normal (Shapiro-Wilk), else Mann-Whitney U."""
    groups = [np.array([value for value in group if value is not None], dtype=np.float64) for group in (first, second)]
    unknown = [len(group) - len(known) for group, known in zip((first, second), groups, strict=True)]
    normal = all(_looks_normal(group) for group in groups)
    summaries = [_summarise_numbers(known, missing) for known, missing in zip(groups, unknown, strict=True)]
    return BaselineRow(variable, unit, summaries[0], summaries[1], normal, _test_numbers(groups[0], groups[1], normal))


def _looks_normal(values: Floats) -> bool:
    if len(values) < 3 or np.ptp(values) == 0:
        return False
    # Beyond 5,000 values SciPy's P is rough, and the t-test needs no normality.
    return len(values) > 5000 or float(stats.shapiro(values).pvalue) >= NORMAL_P


def _summarise_numbers(known: Floats, unknown: int) -> Maybe[Summary]:
    if len(known) == 0:
        return NotComputable(f"unknown in all {unknown} cases" if unknown else "no case in the group")
    sd: Maybe[float] = float(known.std(ddof=1)) if len(known) > 1 else NotComputable("one value has no spread")
    q1, median, q3 = (float(value) for value in np.quantile(known, [0.25, 0.5, 0.75]))
    return NumberSummary(len(known), unknown, float(known.mean()), sd, median, q1, q3)


def _test_numbers(first: Floats, second: Floats, normal: bool) -> Maybe[Significance]:
    if min(len(first), len(second)) < 2:
        return NotComputable(f"a test needs two values in each group; there are {len(first)} and {len(second)}")
    if np.ptp(np.concatenate([first, second])) == 0:
        return NotComputable("all values are equal")
    if normal:
        result = stats.ttest_ind(first, second, equal_var=False)
        return Significance("t-test (Welch)", finite(result.statistic), finite(result.pvalue))
    result = stats.mannwhitneyu(first, second)
    return Significance("Mann-Whitney U", finite(result.statistic), finite(result.pvalue))


def compare_levels(variable: str, first: Sequence[str | None], second: Sequence[str | None]) -> BaselineRow:
    """Compare a category between groups: chi-square without correction, or Fisher where an expected count is below 5.

    A table of more than two by two has Fisher's P by 9,999 random tables of a fixed seed.
    """
    levels = sorted({value for value in (*first, *second) if value is not None})
    counts = np.array([[sum(value == level for value in group) for level in levels] for group in (first, second)])
    summaries = [_summarise_levels(levels, row, len(group)) for row, group in zip(counts, (first, second), strict=True)]
    return BaselineRow(variable, "", summaries[0], summaries[1], False, _test_levels(levels, counts))


def _summarise_levels(levels: Sequence[str], counts: npt.NDArray[np.int64], n: int) -> Maybe[Summary]:
    known = int(counts.sum())
    if known == 0:
        return NotComputable(f"unknown in all {n} cases" if n else "no case in the group")
    found = tuple(
        LevelCount(level, int(count), int(count) / known) for level, count in zip(levels, counts, strict=True)
    )
    return LevelSummary(known, n - known, found)


def _test_levels(levels: Sequence[str], counts: npt.NDArray[np.int64]) -> Maybe[Significance]:
    if len(levels) < 2:
        return NotComputable("all known values are equal" if levels else "no value is known")
    if (counts.sum(axis=1) == 0).any():
        return NotComputable("one group has no known value")
    expected = stats.contingency.expected_freq(counts)
    if expected.min() >= FISHER_BELOW:
        result = stats.chi2_contingency(counts, correction=False)
        return Significance("chi-square", finite(result.statistic), finite(result.pvalue))
    if counts.shape == (2, 2):
        result = stats.fisher_exact(counts)
        return Significance("Fisher, exact", None, finite(result.pvalue))
    draws = stats.MonteCarloMethod(n_resamples=FISHER_DRAWS, rng=np.random.default_rng(0))
    # SciPy gives an array of one value where random tables of a very small cohort are all alike.
    p_value = np.asarray(stats.fisher_exact(counts, method=draws).pvalue).item()
    return Significance(f"Fisher, {FISHER_DRAWS:,} random tables", None, finite(p_value))


def baseline_table(
    variables: Mapping[str, str], first: Mapping[str, Sequence[Value]], second: Mapping[str, Sequence[Value]]
) -> tuple[BaselineRow, ...]:
    """Compare several variables.

    Args:
        variables: name to unit; the unit "category" marks a category, "yes/no" one of 1 and 0, an empty unit a plain number.
        first, second: values by variable, None where unknown.
    """
    rows = []
    for name, unit in variables.items():
        groups = [group.get(name, ()) for group in (first, second)]
        if unit in ("category", "yes/no"):
            words = {"0": "no", "1": "yes"} if unit == "yes/no" else {}
            named = [[None if value is None else str(value) for value in group] for group in groups]
            texts = [[None if text is None else words.get(text, text) for text in group] for group in named]
            rows.append(compare_levels(name, texts[0], texts[1]))
        else:
            numbers = [[None if value is None else float(value) for value in group] for group in groups]
            rows.append(compare_numbers(name, unit, numbers[0], numbers[1]))
    return tuple(rows)
