"""How the cases of a store stand: which there are, which masks a run works on, and what is done of them; in numbers, for millions.

Keys are fingerprints: texts of a million cases take ten times the memory, and longer to compare.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.pipelines.stores.duplicates import CASE, OF_CASES, OF_VOLUMES, find_duplicates
from cvtbatch.pipelines.stores.region_status import ROI, with_regions
from cvtbatch.store import REGION, Fingerprints, View, are_among, chosen

Document = dict[str, object]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CaseKeys:
    """Keys of cases, as fingerprints: of all that are current, of those with a volume, and of those with a live failure."""

    current: Fingerprints
    with_volume: Fingerprints
    failed: Fingerprints


def read_cases(view: View, volume_spec_id: str) -> tuple[Fingerprints, Fingerprints, Document]:
    """Return the keys of the current cases, those that have a volume under a specification, and what is said of duplicates."""
    # A row is looked at before what it stands on.
    view.pin("rois")
    volumes = view.condensed("volumes", OF_VOLUMES, ["volume_spec_id"])
    with_volume = chosen(volumes.keys[CASE], _is(volumes.others["volume_spec_id"], volume_spec_id))
    cases = view.condensed("cases", OF_CASES)
    return cases.keys[CASE], with_volume, find_duplicates(view, volumes.keys, cases.keys)


@dataclass(frozen=True, slots=True)
class Masks:
    """Current masks, one a row; keys as fingerprints.

    Attributes:
        drawn: which ones people made.
    """

    roi_keys: Fingerprints
    case_keys: Fingerprints
    drawn: Flags


def read_masks(view: View, spec_ids: Mapping[str, str], finds_all: bool) -> tuple[Masks, Fingerprints]:
    """Return the current masks that a run works on, and the keys of those on its volumes that other methods than its own found.

    Args:
        spec_ids: the run's, by kind; empty where it had none.
    """
    rois = view.condensed("rois", [ROI, CASE], ["outline_spec_id", "volume_spec_id", REGION])
    roi_keys, case_keys = rois.keys[ROI], rois.keys[CASE]
    here = _is(rois.others["volume_spec_id"], spec_ids["volume"]) & np.asarray(pc.is_null(rois.others[REGION]))
    drawn = here & np.asarray(pc.is_null(rois.others["outline_spec_id"]))
    own = here & _is(rois.others["outline_spec_id"], spec_ids["outline"])
    left = own.copy()
    if not finds_all:
        left[own] = ~are_among(case_keys[own], chosen(case_keys, drawn))
    masks = drawn | left
    return Masks(chosen(roi_keys, masks), chosen(case_keys, masks), drawn[masks]), roi_keys[here & ~(drawn | own)]


def count_cases(
    view: View,
    spec_ids: Mapping[str, str],
    with_values: Iterable[Fingerprints],
    embedded: Mapping[str, pc.Expression],
    regions: Sequence[str],
    masks: Masks,
    cases: CaseKeys,
) -> dict[str, int]:
    """Return how many cases there are, and how many in each state.

    Args:
        spec_ids: the newest run's, by kind; empty where it had none.
        with_values: for each of its feature sets and descriptions, the outlines that have it or need not.
        embedded: by specification, rows of embeddings of which an outline has one if it has those that were asked for.
        regions: specifications of its regions.
        masks: that this run works on.
    """
    outlines = view.condensed("outlines", [CASE], ["outline_spec_id", "state"])
    none_found = outlines.keys[CASE][
        _is(outlines.others["outline_spec_id"], spec_ids["outline"]) & _is(outlines.others["state"], "no_hemorrhage")
    ]
    of_spec = pc.field("radiomics_spec_id") == spec_ids["radiomics"]
    finished = view.fingerprints(contracts.RADIOMICS, ROI, of_spec)
    for outlines_with_it in with_values:
        finished = finished[are_among(finished, outlines_with_it)]
    done = are_among(masks.roi_keys, with_regions(view, regions, masks.roi_keys, finished))
    for spec_id, asked_for in embedded.items():
        of_spec = asked_for & (pc.field("embedding_spec_id") == spec_id)
        finished = finished[are_among(finished, view.fingerprints("embeddings", ROI, of_spec))]
    done &= are_among(masks.roi_keys, finished)
    unfinished = masks.case_keys[~done]

    have_failed, have_mask = (are_among(cases.current, keys) for keys in (cases.failed, masks.case_keys))
    without_mask = are_among(cases.current, cases.with_volume) & ~have_failed & ~have_mask
    looked_at = are_among(cases.current, none_found)
    states = {
        "done": have_mask & ~have_failed & ~are_among(cases.current, unfinished),
        "failed": have_failed,
        "no_hemorrhage": without_mask & looked_at,
        "awaiting_mask": without_mask & ~looked_at,
    }
    counts = {name: int(np.count_nonzero(of)) for name, of in states.items()}
    return {"total": len(have_failed), **counts, "incomplete": len(have_failed) - sum(counts.values())}


def _is(column: pa.ChunkedArray, value: str) -> Flags:
    """Say which rows have a value in a column."""
    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))
