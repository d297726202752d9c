"""Radiomics columns that are left out before any outcome is looked at: readers do not agree on them, or they are volume again."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.settings import SelectionSettings
from cvtbatch.errors import InputError
from cvtbatch.regions.rules import split_column
from cvtbatch.validation.agreement import icc_agreement

VOLUME = "original_shape_VoxelVolume"
FEWEST = 3
"""Cases that a rank correlation takes."""
FEWEST_PAIRS = 2
"""Outlines that an ICC takes."""


def unstable_reasons(cohort: Cohort, rows: Integers, selection: SelectionSettings) -> list[str]:
    """Say of each radiomics column why it is not offered, judged by the given rows; empty texts for those that are: (R,).

    Raises:
        InputError: "no_reader_study"; "no_volume": the features lack the one that volume is read from.
    """
    of_readers = _disagreements(cohort, rows, selection)
    of_volume = _volume_like(cohort, rows, selection.volume_correlation)
    return [reader or volume for reader, volume in zip(of_readers, of_volume, strict=True)]


def repeated_rows(cohort: Cohort, rows: Integers, selection: SelectionSettings) -> list[Integers]:
    """Return those of the rows whose second outlines are looked at, by repeat."""
    if selection.icc_minimum is None or cohort.icc_table is not None:
        return []
    return [repeat.rows[np.isin(repeat.rows, rows)] for repeat in cohort.repeats]


def _disagreements(cohort: Cohort, rows: Integers, selection: SelectionSettings) -> list[str]:
    """Say why readers do not agree on a column, by a table or by the second outlines of the given rows."""
    minimum = selection.icc_minimum
    reasons = [""] * len(cohort.radiomics_names)
    if minimum is None:
        return reasons
    if cohort.icc_table is not None:
        return [_lacks(icc, minimum) for icc in cohort.icc_table.icc]
    if not cohort.repeats:
        whose = " or ".join(selection.icc_readers) or "people"
        raise InputError(
            "no_reader_study",
            f"fit.selection.icc_minimum needs second outlines of training cases by {whose}; there are none",
        )
    for repeat in cohort.repeats:
        among = np.isin(repeat.rows, rows)
        pairs = np.stack([cohort.radiomics[repeat.rows[among]], repeat.radiomics[among]], axis=1)
        for region, columns in _by_region(cohort.radiomics_names):
            own = np.ascontiguousarray(pairs[:, :, columns])
            if region:
                # Of a second outline that has no such region its columns say nothing.
                own = own[np.isfinite(own[:, 1]).any(axis=1)]
            if region and len(own) < FEWEST_PAIRS:
                told = [f"no ICC of {region}: {len(own)} outlines with it by {repeat.name}"] * len(columns)
            else:
                told = [
                    "" if icc > minimum else f"ICC {icc:.3f} <= {minimum:g} with {repeat.name}"
                    for icc in icc_agreement(own).icc
                ]
            for column, reason in zip(columns, told, strict=True):
                reasons[column] = reasons[column] or reason
    return reasons


def _by_region(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return the numbers of the columns of each region, the outlines' own under an empty name."""
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        found.setdefault(split_column(name)[0], []).append(column)
    return list(found.items())


def _lacks(icc: float | None, minimum: float) -> str:
    """Say what a column's ICC in a table lacks; empty if nothing."""
    if icc is None:
        return "no ICC in the table"
    return "" if icc > minimum else f"ICC {icc:.3f} <= {minimum:g} in the table"


def _volume_like(cohort: Cohort, rows: Integers, maximum: float | None) -> list[str]:
    """Say which columns follow the hematoma's volume, which itself stays: by Spearman's rank correlation, ties averaged.

    Welch et al., Radiother Oncol 2019;130:2: a signature of textures may be one of volume.
    """
    if maximum is None:
        return [""] * len(cohort.radiomics_names)
    if VOLUME not in cohort.radiomics_names:
        raise InputError(
            "no_volume", f"fit.selection.volume_correlation reads the volume from {VOLUME}, which these features lack"
        )
    volume = cohort.radiomics[rows, cohort.radiomics_names.index(VOLUME)]
    found = (_spearman(column, volume) for column in cohort.radiomics[rows].T)
    return [
        f"rank correlation with volume {rho:+.3f}, beyond {maximum:g}" if abs(rho) > maximum and name != VOLUME else ""
        for name, rho in zip(cohort.radiomics_names, found, strict=True)
    ]


def _spearman(values: Floats, others: Floats) -> float:
    """Return the rank correlation of the pairs that are known; 0 where it does not exist."""
    known = np.isfinite(values) & np.isfinite(others)
    if known.sum() < FEWEST or np.ptp(values[known]) == 0 or np.ptp(others[known]) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(values[known]), rankdata(others[known]))[0, 1])
