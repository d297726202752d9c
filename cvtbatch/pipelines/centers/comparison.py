"""Two readers' outlines of the same cases, people's or a method's: features, overlap, volume, scores and decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from cvtbatch.contracts import RADIOMICS
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.outline_pairs import OutlinePairs, overlaps, read_pairs
from cvtbatch.pipelines.centers.reader_study import (
    PairedScores,
    kind_of,
    score_pairs,
    study_pairs,
)
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.pipelines.shared.pinned_store import PinnedStore
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE, Readings
from cvtbatch.validation.readers import FEWEST, ReaderStudy


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two readings of the same cases.

    Attributes:
        shares: Dice's overlap of each pair, None where there is none.
        scores: of each pair, by model; none without a bundle.
        not_for_inference: outlines of the first and of the second reading with that flag.
    """

    pairs: OutlinePairs
    study: ReaderStudy
    shares: tuple[float | None, ...]
    scores: tuple[PairedScores, ...]
    not_for_inference: tuple[int, int]


def compare_readings(
    pinned: PinnedStore,
    spec_ids: Sequence[str],
    centers: Sequence[str],
    readings: tuple[Reading, Reading],
    there: Readings,
    bundle: Bundle | None,
    cluster: Cluster,
) -> Comparison:
    """Compare two readings where both outlined a case once.

    Args:
        spec_ids: of the features, and of embeddings where a bundle scores.
        centers: of these alone; of all where none is named.
        there: says who is no person.
        cluster: takes the masks.

    Raises:
        InputError: "too_few_pairs": fewer than FEWEST cases.
    """
    pairs = read_pairs(
        pinned.view,
        spec_ids,
        centers,
        readings,
        pinned.view.contract(bundle.description.features_table if bundle else RADIOMICS),
        bundle.needed_columns() if bundle else (),
        bundle.model.pooling if bundle else Pooling.LARGEST,
        bundle.regions if bundle else (),
    )
    if len(pairs.cases) < FEWEST:
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in pairs.left_out.items())
        raise InputError(
            "too_few_pairs",
            f"{len(pairs.cases)} cases have features of one outline by {readings[0]} and by {readings[1]}; it takes "
            f"{FEWEST} (cases of {told})",
        )
    shares = overlaps(pinned.store.location.url, pairs, partial(map_on, cluster))
    scores = [] if bundle is None else score_pairs(bundle, pairs)
    first, second = (sum(NOT_FOR_INFERENCE in (row["flags"] or ()) for row in rois) for rois in pairs.rois)
    return Comparison(
        pairs=pairs,
        study=study_pairs(pairs, readings, kind_of(there, readings), shares, scores),
        shares=tuple(shares),
        scores=tuple(scores),
        not_for_inference=(first, second),
    )
