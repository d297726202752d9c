"""The reader studies of a centre: people against each other, and against the method whose outlines are judged."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.thresholds import YOUDEN
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES
from cvtbatch.pipelines.centers.center_source import Source
from cvtbatch.pipelines.centers.outline_pairs import Map, Masks, OutlinePairs, overlaps, read_pairs
from cvtbatch.pipelines.shared.readings import Readings, read_readings
from cvtbatch.validation.agreement import icc_agreement
from cvtbatch.validation.readers import (
    FEWEST,
    Kind,
    OtherReading,
    ReaderStudy,
    ScoreAgreement,
    feature_agreements,
    reader_study,
    score_agreement,
)
from cvtbatch.validation.values import Floats, Maybe


@dataclass(frozen=True, slots=True, eq=False)
class PairedScores:
    """What a model scores the first and the second outlines of pairs: (cases,) each, NaN where there is no score.

    Attributes:
        threshold: frozen; a score at or above it is a decision for the event.
    """

    model: str
    first: Floats
    second: Floats
    threshold: float

    def agreement(self) -> Maybe[ScoreAgreement]:
        """Return what the second outline does to score and decision, where both have a score."""
        both = ~(np.isnan(self.first) | np.isnan(self.second))
        return score_agreement(self.model, self.first[both], self.second[both], self.threshold)


@dataclass(frozen=True, slots=True)
class Readers:
    """Whose outlines of a centre there are beside those that are scored: what is compared, and what is there."""

    studies: tuple[ReaderStudy, ...]
    others: tuple[OtherReading, ...]


def read_readers(source: Source, map_: "Map[Masks, float | None]" = map) -> Readers:
    """Return the studies of a centre with FEWEST cases or more, a person's outlines against other people's, and a method's; and
    whose outlines are there and not scored.

    The person is who is read, or else whom the bundle was fitted on, or else the first. A method takes part where it is read.

    Args:
        map_: reads the masks, anywhere.
    """
    there = read_readings(source.view, source.spec_ids, [source.center])
    people = there.of_people()
    chosen = [reading for reading in (source.reading, source.bundle.description.primary) if reading in people]
    person = next(iter([*chosen, *people]), None)
    unscored = tuple(_others(source, there))
    if person is None:
        return Readers((), unscored)
    others = [reading for reading in people if reading != person]
    if source.reading.reader in there.methods:
        others.append(source.reading)
    return Readers(tuple(_studies(source, there, person, others, map_)), unscored)


def _others(source: Source, there: Readings) -> Iterator[OtherReading]:
    rows = source.view.outlines(["center", "case_key", "reader", "reading"], source.spec_ids).to_pylist()
    cases: defaultdict[Reading, set[str]] = defaultdict(set)
    for row in rows:
        if row["center"] == source.center:
            cases[Reading(row["reader"], row["reading"])].add(row["case_key"])
    for reading in sorted(there.outlines.keys() - {source.reading}):
        yield OtherReading(str(reading), there.outlines[reading], len(cases[reading] & cases[source.reading]))


def _studies(
    source: Source, there: Readings, person: Reading, others: Sequence[Reading], map_: "Map[Masks, float | None]"
) -> Iterator[ReaderStudy]:
    for other in others:
        readings = (person, other)
        pairs = read_pairs(
            source.view,
            source.spec_ids,
            [source.center],
            readings,
            source.features,
            source.bundle.needed_columns(),
            source.bundle.model.pooling,
            source.bundle.regions,
        )
        if len(pairs.cases) >= FEWEST:
            shares = overlaps(source.store.location.url, pairs, map_)
            scores = score_pairs(source.bundle, pairs)
            yield study_pairs(pairs, readings, kind_of(there, readings), shares, scores)


def kind_of(there: Readings, readings: tuple[Reading, Reading]) -> Kind:
    """Return what a study of two readings is."""
    first, second = readings
    if first.reader == second.reader:
        return "intra-reader"
    kinds: tuple[Kind, ...] = ("inter-reader", "method-reader", "inter-method")
    return kinds[len({first.reader, second.reader} & there.methods.keys())]


def score_pairs(bundle: Bundle, pairs: OutlinePairs) -> list[PairedScores]:
    """Score both outlines of each pair with every model, in the order in which these are shown."""
    first, second = (bundle.score(table) for table in pairs.rows)
    return [
        PairedScores(
            shown,
            first[str(model)].cast(pa.float64()).to_numpy(),
            second[str(model)].cast(pa.float64()).to_numpy(),
            bundle.model.thresholds[model][YOUDEN],
        )
        for model, shown in MODEL_NAMES.items()
    ]


def study_pairs(
    pairs: OutlinePairs,
    readings: tuple[Reading, Reading],
    kind: Kind,
    shares: Sequence[float | None],
    scores: Sequence[PairedScores] = (),
) -> ReaderStudy:
    """Return the study of pairs of outlines, two or more.

    Args:
        shares: Dice's overlap of each pair, None where there is none.
        scores: of each pair, by model; none without a bundle.
    """
    names = pairs.features
    values = pairs.values(names)
    counts = np.isfinite(values).all(axis=1).sum(axis=0)
    return reader_study(
        kind,
        (str(readings[0]), str(readings[1])),
        feature_agreements(names, icc_agreement(values), counts),
        [share for share in shares if share is not None],
        pairs.volumes_ml(),
        [score.agreement() for score in scores],
    )
