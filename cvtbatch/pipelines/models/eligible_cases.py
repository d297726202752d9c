"""Who is trained on, who is not and why: the one rule of fits, fine-tuning and validation."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.errors import InputError
from cvtbatch.pipelines.shared.outcomes import UNLISTED
from cvtbatch.validation.eligibility import assess_eligibility

Row = Mapping[str, Any]
# Why a case with such an outcome is left out.
MISSING: Mapping[int | None, str] = {None: "no_outcome", UNLISTED: "other_class"}


@dataclass(frozen=True, slots=True)
class CaseSelection:
    """Cases of the training centres.

    Attributes:
        taken: rows of `cases` by case_key, in its order.
        left_out: how many others, by reason.
    """

    taken: Mapping[str, Row]
    left_out: Mapping[str, int]


def select_cases(cases: Iterable[Row], centers: Collection[str], lack: Callable[[Row], str]) -> CaseSelection:
    """Return the eligible cases of the training centres that lack nothing.

    Args:
        cases: rows of `cases`, of any centre.
        lack: names what an eligible case lacks to be trained on; empty if nothing.
    """
    taken: dict[str, Row] = {}
    left_out: Counter[str] = Counter()
    for case in sorted((case for case in cases if case["center"] in centers), key=lambda case: str(case["case_key"])):
        if reason := next(iter(assess_eligibility(case).reasons), "") or lack(case):
            left_out[reason] += 1
        else:
            taken[case["case_key"]] = case
    return CaseSelection(taken, dict(sorted(left_out.items())))


def select_rows(
    rows: pa.Table,
    cases: Iterable[Row],
    centers: Collection[str],
    refused: Mapping[str, str],
    outcomes: Mapping[str, int | None],
    pooling: Pooling = Pooling.LARGEST,
) -> tuple[pa.Table, Mapping[str, int]]:
    """Return the rows that can be fitted on: of eligible cases with an outcome and an embedding, and not refused.

    Args:
        rows: of `FeatureStore.wide()`, with case_key and the embedding of a pooling; they stay in their order.
        cases: rows of `cases`, of any centre.
        refused: why outlines are not to be taken, by case_key.
        outcomes: by case_key; None where one is not known, UNLISTED where it is of a class that is not told.

    Returns:
        the rows, and how many cases of the training centres are left out, by reason.
    """
    complete = rows.filter(rows[pooling.column].is_valid())
    featured, embedded = set(rows["case_key"].to_pylist()), set(complete["case_key"].to_pylist())

    def lack(case: Row) -> str:
        if outcomes[case["case_key"]] in MISSING:
            return MISSING[outcomes[case["case_key"]]]
        if case["case_key"] not in featured:
            return "no_features"
        return refused.get(case["case_key"], "") or ("" if case["case_key"] in embedded else "no_embedding")

    selection = select_cases(cases, centers, lack)
    taken = pa.array(list(selection.taken), pa.string())
    return complete.filter(pc.is_in(complete["case_key"], taken)), selection.left_out


def refuse_several_outlines(rows: pa.Table) -> None:
    """Refuse rows of primary outlines among which a case has several.

    Raises:
        InputError: "several_rois".
    """
    if len(set(rows["case_key"].to_pylist())) != rows.num_rows:
        raise InputError(
            "several_rois", "some cases have several primary outlines: freeze a snapshot of one ROI name (--roi)"
        )
