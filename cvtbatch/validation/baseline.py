"""The baseline table: how two groups of patients differ, variable by variable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from cvtbatch.validation.kept_columns import (
    NOT_KEPT,
    RARER,
    KeptLevels,
    KeptNumbers,
    ks_at_quantiles,
    looks_normal,
)
from cvtbatch.validation.values import Floats, Maybe, NotComputable, Significance, finite

Value = float | str | None
Kept = KeptNumbers | KeptLevels | NotComputable
"""What is at hand of a column whose values are not."""

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
    normal = all(looks_normal(group) for group in groups)
    summaries = [_summarise_numbers(known, missing) for known, missing in zip(groups, unknown, strict=True)]
    return BaselineRow(variable, unit, summaries[0], summaries[1], normal, _test_numbers(groups, normal))


def significance_of_numbers(groups: Sequence[Floats]) -> Maybe[Significance]:
    """Test whether a number differs between groups of values, NaN where unknown.

    Of two groups as `compare_numbers` does. Of more by their generalisations: Welch's analysis of variance (Biometrika 1951,
    38:330-336) where all look normal, else Kruskal and Wallis' test.
    """
    known = [group[~np.isnan(group)] for group in groups]
    return _test_numbers(known, all(map(looks_normal, known)))


def _summarise_numbers(known: Floats, unknown: int) -> Maybe[Summary]:
    if len(known) == 0:
        return NotComputable(f"unknown in all {unknown} cases" if unknown else "no case in the group")
    sd: Maybe[float] = float(known.std(ddof=1)) if len(known) > 1 else NotComputable("one value has no spread")
    q1, median, q3 = (float(value) for value in np.quantile(known, [0.25, 0.5, 0.75]))
    return NumberSummary(len(known), unknown, float(known.mean()), sd, median, q1, q3)


def _test_numbers(groups: Sequence[Floats], normal: bool) -> Maybe[Significance]:
    counts = [len(group) for group in groups]
    if min(counts) < 2:
        there = f"{', '.join(map(str, counts[:-1]))} and {counts[-1]}"
        return NotComputable(f"a test needs two values in each group; there are {there}")
    if np.ptp(np.concatenate(groups)) == 0:
        return NotComputable("all values are equal")
    if len(groups) > 2:
        name, result = (
            ("ANOVA (Welch)", stats.f_oneway(*groups, equal_var=False))
            if normal
            else ("Kruskal-Wallis", stats.kruskal(*groups))
        )
    elif normal:
        name, result = "t-test (Welch)", stats.ttest_ind(*groups, equal_var=False)
    else:
        name, result = "Mann-Whitney U", stats.mannwhitneyu(*groups)
    return Significance(name, finite(result.statistic), finite(result.pvalue))


def compare_levels(variable: str, first: Sequence[str | None], second: Sequence[str | None]) -> BaselineRow:
    """Compare a category between groups: chi-square without correction, or Fisher where an expected count is below 5.

    A table of more than two by two has Fisher's P by 9,999 random tables of a fixed seed.
    """
    levels, counts = _count_levels([first, second])
    summaries = [_summarise_levels(levels, row, len(group)) for row, group in zip(counts, (first, second), strict=True)]
    return BaselineRow(variable, "", summaries[0], summaries[1], False, _test_levels(levels, counts))


def significance_of_levels(groups: Sequence[Sequence[str | None]]) -> Maybe[Significance]:
    """Test whether a category differs between groups, two or more, as `compare_levels` does."""
    return _test_levels(*_count_levels(groups))


def _count_levels(groups: Sequence[Sequence[str | None]]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the known levels in order, and how often each group has each: (groups, levels)."""
    levels = sorted({value for group in groups for value in group if value is not None})
    return levels, np.array([[sum(value == level for value in group) for level in levels] for group in groups])


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


def compare_with_kept_numbers(
    variable: str, unit: str, first: Sequence[float | None], kept: KeptNumbers
) -> BaselineRow:
    """Compare a number with what is kept of another group: Welch's t-test where both look normal, else at the kept quantiles."""
    known = to_floats(first)
    known = known[np.isfinite(known)]
    normal = kept.normal and looks_normal(known)
    quartiles = (kept.quantile(share) for share in (0.5, 0.25, 0.75))
    second = NumberSummary(kept.known, kept.unknown, kept.mean, kept.sd, *quartiles)
    return BaselineRow(
        variable,
        unit,
        _summarise_numbers(known, len(first) - len(known)),
        second,
        normal,
        _test_kept_numbers(known, kept, normal),
    )


def _test_kept_numbers(known: Floats, kept: KeptNumbers, normal: bool) -> Maybe[Significance]:
    if len(known) < 2:
        return NotComputable(f"a test needs two values in each group; there are {len(known)} and {kept.known}")
    if kept.sd == 0 and (known == kept.quantiles[0]).all():
        return NotComputable("all values are equal")
    if not normal:
        return ks_at_quantiles(kept, known)
    own = (float(known.mean()), float(known.std(ddof=1)), len(known))
    result = stats.ttest_ind_from_stats(*own, kept.mean, kept.sd, kept.known, equal_var=False)
    return Significance("t-test (Welch)", finite(result.statistic), finite(result.pvalue))


def compare_with_kept_levels(variable: str, first: Sequence[str | None], kept: KeptLevels) -> BaselineRow:
    """Compare a category with what is kept of another group; in the test, levels that it does not name are one."""
    levels = sorted({value for value in first if value is not None})
    own = np.array([sum(value == level for value in first) for level in levels], dtype=np.int64)
    counts = {**kept.counts, RARER: kept.rarer}
    told = tuple(LevelCount(level, count, count / kept.known) for level, count in counts.items() if count)
    seen = [value if value in kept.counts else RARER for value in first if value is not None]
    table = np.array([[seen.count(level) for level in counts], list(counts.values())])
    there = table.sum(axis=0) > 0
    return BaselineRow(
        variable,
        "",
        _summarise_levels(levels, own, len(first)),
        LevelSummary(kept.known, kept.unknown, told),
        False,
        _test_levels([level for level, yes in zip(counts, there, strict=True) if yes], table[:, there])
        if kept.counts
        else NOT_KEPT,
    )


def baseline_table(
    variables: Mapping[str, str], first: Mapping[str, Sequence[Value]], second: Mapping[str, Sequence[Value] | Kept]
) -> tuple[BaselineRow, ...]:
    """Compare several variables.

    Args:
        variables: name to unit; the unit "category" marks a category, "yes/no" one of 1 and 0, an empty unit a plain number.
        first: values by variable, None where unknown.
        second: the same, or what is kept of it.
    """
    return tuple(_compare(name, unit, first.get(name, ()), second.get(name, ())) for name, unit in variables.items())


def _compare(name: str, unit: str, first: Sequence[Value], second: Sequence[Value] | Kept) -> BaselineRow:
    if unit in ("category", "yes/no"):
        texts = level_texts(first, unit)
        if isinstance(second, KeptLevels):
            return compare_with_kept_levels(name, texts, second)
        if not isinstance(second, KeptNumbers | NotComputable):
            return compare_levels(name, texts, level_texts(second, unit))
        return replace(compare_levels(name, texts, ()), second=NOT_KEPT, test=NOT_KEPT)
    numbers = [None if value is None else float(value) for value in first]
    if isinstance(second, KeptNumbers):
        return compare_with_kept_numbers(name, unit, numbers, second)
    if not isinstance(second, KeptLevels | NotComputable):
        return compare_numbers(name, unit, numbers, [None if value is None else float(value) for value in second])
    return replace(compare_numbers(name, unit, numbers, ()), second=NOT_KEPT, test=NOT_KEPT)


def level_texts(values: Sequence[Value], unit: str) -> list[str | None]:
    """Return a category's values as texts, those of the unit "yes/no" as "yes" and "no"; None where unknown."""
    words = {"0": "no", "1": "yes"} if unit == "yes/no" else {}
    texts = [None if value is None else str(value) for value in values]
    return [None if text is None else words.get(text, text) for text in texts]


def to_floats(values: Sequence[Value]) -> Floats:
    """Return numbers (n,), NaN where unknown."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
