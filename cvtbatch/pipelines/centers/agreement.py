"""Agreement: two readers' outlines of the same cases, people's or a method's, as tables and one document."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.compute as pc

from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.outline_pairs import OutlinePairs, overlaps, read_pairs
from cvtbatch.pipelines.centers.reader_study import (
    FEWEST,
    PairedScores,
    columns_of,
    kind_of,
    score_pairs,
    study_pairs,
)
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.pipelines.shared.pinned_store import PinnedStore, open_pinned
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE, Readings, read_readings
from cvtbatch.store import View
from cvtbatch.validation.icc_table import icc_table_to_csv
from cvtbatch.validation.readers import BlandAltman, ReaderStudy, ScoreAgreement
from cvtbatch.validation.values import Maybe, NotComputable
from cvtbatch.whole_files import written_whole

Document = dict[str, object]
Cell = float | int | str | None


@dataclass(frozen=True, slots=True, eq=False)
class AgreementReport:
    """Two readings of the same cases, for people and as the JSON document of `cvtbatch agreement --json`.

    Attributes:
        spec_ids: of the features, and of the embeddings where a bundle scores.
        centers: that are compared; none for all.
        shares: Dice's overlap of each pair, None where there is none.
        not_for_inference: outlines of the first and of the second reading with that flag.
        in_use: radiomics features that the bundle's models use; none without a bundle.
    """

    snapshot: str
    snapshot_digest: str
    spec_ids: tuple[str, ...]
    centers: tuple[str, ...]
    bundle_digest: str | None
    pairs: OutlinePairs
    study: ReaderStudy
    shares: tuple[float | None, ...]
    scores: tuple[PairedScores, ...]
    not_for_inference: tuple[int, int]
    in_use: tuple[str, ...]

    @property
    def weak(self) -> list[str]:
        """Features whose ICC does not exceed 0.80, or that have none."""
        return [row.feature for row in self.study.features if not row.strong]

    def to_document(self) -> Document:
        """Return the JSON document."""
        study, in_use = self.study, set(self.in_use)
        return {
            "command": "agreement",
            "snapshot": self.snapshot,
            "snapshot_digest": self.snapshot_digest,
            "specs": list(self.spec_ids),
            "centers": list(self.centers),
            "bundle_digest": self.bundle_digest,
            "kind": study.kind,
            "first": study.first,
            "second": study.second,
            "not_for_inference": list(self.not_for_inference),
            "cases": study.cases,
            "left_out": dict(self.pairs.left_out),
            "features": len(study.features),
            "weak_features": self.weak,
            "weak_features_in_use": [name for name in self.weak if name in in_use],
            "classes": [
                {
                    "class": row.feature_class,
                    "features": row.features,
                    "not_computable": row.not_computable,
                    "median_icc": _plain(row.median_icc),
                    "strong": _plain(row.strong),
                }
                for row in study.classes
            ],
            "dice": _dice_document(study.dice, study.cases),
            "volume_ml": _bland_altman(study.volume_ml),
            "scores": [_score_document(score) for score in study.scores],
        }


def compare_readers(
    store_url: str,
    readers: Sequence[str],
    centers: Sequence[str],
    bundle_path: Path | None,
    snapshot: str | None,
    spec_ids: Sequence[str],
    out: Path,
    cluster: Cluster,
) -> AgreementReport:
    """Compare two readers' outlines where both outlined a case, and write what came out into a folder.

    Args:
        readers: two names of readers, or of methods of which there is one reader.
        centers: of these alone; of all where none is named.
        bundle_path: scores both outlines, under its own specifications.
        snapshot: by default one that is recorded for this.
        spec_ids: specifications to which the features are restricted, without a bundle.
        cluster: takes the masks.

    Raises:
        InputError: there are not two readers; there is no such reader, snapshot or specification; features of several
            specifications; fewer than FEWEST cases; the folder cannot be written.
        FormatError: the bundle is damaged.
    """
    if len(readers) != 2:
        raise InputError("not_two_readers", f"{len(readers)} readers are named: agreement is between two")
    bundle = None if bundle_path is None else load_bundle(bundle_path)
    pinned = open_pinned(store_url, snapshot, "agreement")
    specs = [bundle.specs.radiomics_spec_id, bundle.specs.embedding_spec_id] if bundle else list(spec_ids)
    there = read_readings(pinned.view, specs, centers)
    first, second = (there.find(name) for name in readers)
    if first == second:
        raise InputError("not_two_readers", f"{readers[0]!r} and {readers[1]!r} are both {first}")
    if bundle is None:
        specs = _one_specification(pinned.view, specs, (first, second))
    found = _compare(pinned, specs, centers, (first, second), there, bundle, cluster)
    try:
        _write(found, out)
    except OSError as error:
        raise InputError("cannot_write", f"the tables cannot be written: {error.strerror or error}", str(out)) from None
    return found


def _one_specification(view: View, spec_ids: Sequence[str], readings: tuple[Reading, Reading]) -> list[str]:
    """Return the one specification of both readings' features.

    Raises:
        InputError: "several_specs"; "too_few_pairs": there are no features.
    """
    either = pc.field("reader").isin([reading.reader for reading in readings])
    found = view.radiomics(["radiomics_spec_id"], either, list(spec_ids))["radiomics_spec_id"].unique().to_pylist()
    if not found:
        raise InputError("too_few_pairs", f"no outline of {readings[0]} or {readings[1]} has features")
    return list(found)


def _compare(
    pinned: PinnedStore,
    spec_ids: Sequence[str],
    centers: Sequence[str],
    readings: tuple[Reading, Reading],
    there: Readings,
    bundle: Bundle | None,
    cluster: Cluster,
) -> AgreementReport:
    pairs = read_pairs(pinned.view, spec_ids, centers, readings, columns_of(bundle))
    if len(pairs.cases) < FEWEST:
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in pairs.left_out.items())
        raise InputError(
            "too_few_pairs",
            f"{len(pairs.cases)} cases have features of one outline by {readings[0]} and by {readings[1]}; it takes "
            f"{FEWEST} (cases of {told})",
        )
    shares = overlaps(pinned.store.location.url, pairs, partial(map_on, cluster))
    scores = [] if bundle is None else score_pairs(bundle, pairs)
    marked = [sum(NOT_FOR_INFERENCE in (row["flags"] or ()) for row in rois) for rois in pairs.rois]
    return AgreementReport(
        snapshot=pinned.name,
        snapshot_digest=pinned.content_digest,
        spec_ids=tuple(spec_ids),
        centers=tuple(centers),
        bundle_digest=None if bundle is None else bundle.digest,
        pairs=pairs,
        study=study_pairs(pairs, readings, kind_of(there, readings), shares, scores),
        shares=tuple(shares),
        scores=tuple(scores),
        not_for_inference=(marked[0], marked[1]),
        in_use=() if bundle is None else tuple(bundle.model.radiomics),
    )


def _write(found: AgreementReport, folder: Path) -> None:
    """Write the tables and the document, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "features.csv": icc_table_to_csv(found.study.features),
        "classes.csv": _classes_csv(found.study),
        "cases.csv": _cases_csv(found),
        "agreement.json": json.dumps(found.to_document(), indent=1, allow_nan=False) + "\n",
    }
    for name, text in files.items():
        with written_whole(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")


def _classes_csv(study: ReaderStudy) -> str:
    header = ("class", "features", "not_computable", "median_icc", "share_above_0.80")
    rows = (
        (row.feature_class, row.features, row.not_computable, _number(row.median_icc), _number(row.strong))
        for row in study.classes
    )
    return _to_csv(header, rows)


def _cases_csv(found: AgreementReport) -> str:
    """Return a row a case: outlines, overlap, volumes, and by model both scores and whether the decision flips."""
    models = [column for score in found.scores for column in _score_columns(score.model)]
    header = ("case_key", "first_roi_key", "second_roi_key", "dice", "first_volume_ml", "second_volume_ml", *models)
    first, second = found.pairs.rois
    rows = (
        (
            case,
            one["roi_key"],
            other["roi_key"],
            found.shares[place],
            one["volume_ml"],
            other["volume_ml"],
            *(cell for score in found.scores for cell in _score_cells(score, place)),
        )
        for place, (case, one, other) in enumerate(zip(found.pairs.cases, first, second, strict=True))
    )
    return _to_csv(header, rows)


def _score_columns(model: str) -> tuple[str, str, str]:
    return f"{model}_first", f"{model}_second", f"{model}_flips"


def _score_cells(score: PairedScores, place: int) -> tuple[Cell, Cell, Cell]:
    first, second = float(score.first[place]), float(score.second[place])
    if np.isnan(first) or np.isnan(second):
        return None if np.isnan(first) else first, None if np.isnan(second) else second, None
    return first, second, int((first >= score.threshold) != (second >= score.threshold))


def _to_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _number(value: Maybe[float]) -> float | None:
    return None if isinstance(value, NotComputable) else value


def _plain(value: Maybe[float]) -> float | Mapping[str, str]:
    return {"not_computable": value.reason} if isinstance(value, NotComputable) else value


def _dice_document(shares: Sequence[float], cases: int) -> Document:
    if not shares:
        return {"not_computable": f"of none of {cases} cases both masks can be read on one volume"}
    return {"n": len(shares), "median": median(shares), "lowest": min(shares), "highest": max(shares)}


def _bland_altman(found: Maybe[BlandAltman]) -> Document:
    if isinstance(found, NotComputable):
        return {"not_computable": found.reason}
    return {"n": found.n, "mean": found.mean, "low": found.low, "high": found.high}


def _score_document(score: ScoreAgreement) -> Document:
    return {
        "model": score.model,
        "n": score.n,
        "differences": _bland_altman(score.differences),
        "largest": score.largest,
        "changed_decisions": score.changed_decisions,
        "kappa": _plain(score.kappa),
    }
