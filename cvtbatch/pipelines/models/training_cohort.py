"""The training cohort of a fit, read from a snapshot with all that the fit looks at."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.audit import Member
from cvtbatch.dlrn.clinical_columns import values_of
from cvtbatch.dlrn.cohort import Cohort, RepeatedOutlines, patient_key
from cvtbatch.dlrn.description import Outlines
from cvtbatch.dlrn.fit import Surroundings
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.scoring import SpecIds
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading, refuse_twins, require_centers
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.eligible_cases import Row, refuse_several_outlines, select_rows
from cvtbatch.pipelines.models.training_networks import fused_lengths, tuned_on, weights_of
from cvtbatch.pipelines.shared.case_values import Columns, case_columns
from cvtbatch.pipelines.shared.outcomes import Outcomes, read_outcomes
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE, flagged_outlines, read_readings
from cvtbatch.pipelines.shared.region_columns import lacking_regions, no_features_of
from cvtbatch.pipelines.shared.reviewed import NOT_REVIEWED, refused_outlines
from cvtbatch.regions.rules import REGION_SPEC, region_column
from cvtbatch.spec import Spec, parts_of
from cvtbatch.store import (
    IS_OUTLINE,
    FeatureStore,
    View,
    among,
    feature_columns,
    incomplete_outlines,
    sort_rows,
    wide_rows,
)
from cvtbatch.validation.outcome import CVT, ETIOLOGY, EXPANSION

_FILL_IN = "fill in what is missing, and run extract again, which computes no feature anew for it"
_WHERE_OUTCOMES_STAND = {
    CVT.column: f"An outcome is the manifest's column cvt or etiology: {_FILL_IN}",
    ETIOLOGY: f"An outcome is the manifest's column etiology: {_FILL_IN}",
    EXPANSION: "Whether a hematoma expanded is told of the first of two studies of a patient: cvtbatch export pairs",
}
NOT_WHOLE = "slices_without_embedding"
WIDE = ("roi_key", "case_key", "center", "input_digest", "volume_spec_id", "radiomics_spec_id", "embedding_spec_id")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A training cohort and what stands around it.

    Attributes:
        excluded: cases of the training centres that take no part, by reason.
        weights: name, hash and usability of the backbone's weights.
        volume_spec_id: of the volumes below the features.
        spec_chain: of volumes, features and embeddings, with their settings.
        outlines: whose they are.
        clinical, acquisition: values by column, a row a case of the cohort.
        features: table of the radiomics features.
    """

    cohort: Cohort
    specs: SpecIds
    volume_spec_id: str
    spec_chain: tuple[Spec, ...]
    surroundings: Surroundings
    excluded: Mapping[str, int]
    weights: Mapping[str, str | bool]
    centers: tuple[str, ...]
    outlines: Outlines
    clinical: Columns
    acquisition: Columns
    features: str

    @property
    def embeddings(self) -> tuple[Spec, ...]:
        """The specification of the embeddings, or those that are fused, in their order."""
        return tuple(spec for spec in self.spec_chain if spec.kind == "embedding")


@lru_cache(maxsize=1)
def read_training(source: CohortSource) -> TrainingData:
    """Read the cohort that a fit is made on: rows of eligible cases with outcome, features and embedding, by roi_key.

    Raises:
        InputError: no training centre is named, or none of that name is there, or another spelling of it; no usable case; several
            specifications; slices without an embedding.
    """
    store = FeatureStore(source.store_url)
    view, features = store.at(source.snapshot), store.features_of(source.features)
    derived = [region_column(region, REGION_SPEC) for region in source.regions]
    wanted = dict.fromkeys([*WIDE, *derived, *contracts.clinical_columns(), *source.clinical])
    names = feature_columns(features, source.regions, source.outline_features)
    columns = [*wanted, *names, source.pooling.column]
    rows = wide_rows(
        view,
        columns,
        None,
        source.spec_ids,
        source.primary,
        features=features,
        pooling=source.pooling,
        regions=source.regions,
    )
    cases = view.rows("cases").to_pylist()
    _check_centers(source.training_centers, {case["center"] for case in cases})
    rows = rows.filter(pc.is_in(rows["center"], pa.array(source.training_centers, pa.string()))).sort_by("roi_key")
    refuse_several_outlines(rows)
    outlines = rows.select(["roi_key", "case_key", "input_digest"]).to_pylist() if source.reviewed else []
    refused = {
        **lacking_regions(view, rows, source.regions, "case_key"),
        **_unpooled(view, source, rows),
        **refused_outlines(view, outlines, "case_key"),
    }
    own = [case for case in cases if case["center"] in source.training_centers]
    outcomes = read_outcomes(view, own, source.outcome, source.primary, source.spec_ids, source.classes)
    rows, excluded = select_rows(rows, cases, source.training_centers, refused, outcomes, source.pooling)
    rows = rows.rename_columns(["embedding" if name == source.pooling.column else name for name in columns])
    if not rows.num_rows:
        raise InputError("no_training_cases", _nobody_left(source, excluded))
    if source.fitted_on:
        _require_classes(source, outcomes, rows)
    _require_slices(view, source, rows)
    volume_spec_id, known = rows["volume_spec_id"][0].as_py(), view.specs()
    images = _image_digests(view, volume_spec_id)
    slices = _slices(store, source, rows)
    of_components = slices if source.pooling in (Pooling.LARGEST, Pooling.ATTENTION) else rows
    unfit = flagged_outlines(view, NOT_FOR_INFERENCE, [volume_spec_id])
    members = tuple(
        Member(row["roi_key"], row["center"], row["patient"], images.get(row["roi_key"], ""), row["roi_key"] in unfit)
        for row in rows.select(["roi_key", "center", "patient"]).to_pylist()
    )
    of_regions = {name: rows[column][0].as_py() for name, column in zip(source.regions, derived, strict=True)}
    specs = SpecIds(rows["radiomics_spec_id"][0].as_py(), rows["embedding_spec_id"][0].as_py(), of_regions)
    embeddings = [known[part] for part in parts_of([specs.embedding_spec_id])]
    others = _others(cases, images, source.training_centers)
    clinical, acquisition = _case_columns(view, rows, features.name, volume_spec_id, specs.radiomics_spec_id)
    return TrainingData(
        cohort=_cohort(
            rows,
            names,
            of_components,
            members,
            source,
            outcomes,
            _repeats(view, source, features, rows),
            fused_lengths(embeddings),
        ),
        specs=specs,
        volume_spec_id=volume_spec_id,
        spec_chain=(known[volume_spec_id], known[specs.radiomics_spec_id], *embeddings),
        surroundings=Surroundings(members, others, tuned_on(embeddings, cases)),
        excluded=excluded,
        weights=weights_of(embeddings, slices),
        centers=tuple(sorted(set(source.training_centers))),
        outlines=_outlines(view, rows, source.primary),
        clinical=clinical,
        acquisition=acquisition,
        features=features.name,
    )


def _unpooled(view: View, source: CohortSource, rows: pa.Table) -> dict[str, str]:
    """Return why a case's slices make no pooled embedding though some have one, by case_key; nothing where none is pooled."""
    if source.pooling is Pooling.LARGEST:
        return {}
    lacking = rows.filter(among(rows, incomplete_outlines(view, source.spec_ids), ["roi_key", "input_digest"]))
    return dict.fromkeys(lacking["case_key"].to_pylist(), NOT_WHOLE)


def _require_classes(source: CohortSource, outcomes: Outcomes, rows: pa.Table) -> None:
    """Refuse several classes of which one has no case among the rows.

    Raises:
        InputError: "one_class", with the cases of each.
    """
    counts = Counter(outcomes[key] for key in rows["case_key"].to_pylist())
    if any(not counts[number] for number in range(len(source.classes))):
        told = ", ".join(f"{counts[number]} {name}" for number, name in enumerate(source.classes))
        raise InputError(
            "one_class",
            f"cases to train on, by {source.outcome}: {told}: leave a class without cases out of fit.classes, or put rare ones "
            "together by listing OTHER in place of them",
        )


def _require_slices(view: View, source: CohortSource, rows: pa.Table) -> None:
    """Refuse outlines some of whose slices have no embedding where principal components are fitted on slices: on all of them.

    Raises:
        InputError: "slices_without_embedding".
    """
    if source.pooling is not Pooling.LARGEST or not source.fitted_on:
        return
    if lacking := incomplete_outlines(view, source.spec_ids, rows["roi_key"].combine_chunks()).num_rows:
        raise InputError(
            "slices_without_embedding",
            f"of {lacking} of {rows.num_rows} outlines to train on some slices have no embedding, and principal components are "
            f"fitted on all slices: {_all_slices(source)} adds the others, under the settings of those that are there",
        )


def _all_slices(source: CohortSource) -> str:
    """Return the command that embeds the slices that have no embedding."""
    return f"cvtbatch extract MANIFEST --store {source.store_url} --only embeddings --set embedding.slices=all"


def _nobody_left(source: CohortSource, excluded: Mapping[str, int]) -> str:
    """Say why there is nobody to train on, and for each reason what to do about it."""
    why = ", ".join(f"{cases} {reason.replace('_', ' ')}" for reason, cases in excluded.items())
    mends = {
        "no_outcome": _WHERE_OUTCOMES_STAND.get(
            source.outcome, f"An outcome is the manifest's column {source.outcome}: {_FILL_IN}"
        ),
        "no_features": f"Features ({source.features}) are missing where a case failed, has no such outline, or they were not "
        f"extracted before the snapshot: cvtbatch status --store {source.store_url}",
        "no_embedding": "Embeddings are computed with weights: cvtbatch extract MANIFEST --store "
        f"{source.store_url} --only embeddings --set embedding.weights=imagenet",
        NOT_WHOLE: f"A pooled embedding takes all slices of a hematoma: {_all_slices(source)} --retry-failed",
        **{
            no_features_of(region): f"Regions are derived of stored outlines: cvtbatch extract MANIFEST --store "
            f"{source.store_url} --set 'regions=[{region}]', before the snapshot"
            for region in source.regions
        },
        NOT_REVIEWED: f"Verdicts are given on the pages of a review: cvtbatch review --store {source.store_url} --out FOLDER",
    }
    told = [f"no case of {', '.join(source.training_centers)} can be trained on ({why or 'it has none'})"]
    return ". ".join([*told, *(mend for reason, mend in mends.items() if reason in excluded)])


def _case_columns(
    view: View, rows: pa.Table, features: str, volume_spec_id: str, radiomics_spec_id: str
) -> tuple[Columns, Columns]:
    """Return the clinical values of the rows' cases, and how they were scanned, by column."""

    def by(key: str, found: pa.Table) -> dict[str, Row]:
        own = found.filter(pc.is_in(found[key], rows[key].combine_chunks()))
        return {row[key]: row for row in own.to_pylist()}

    cases = by("case_key", view.rows("cases"))
    rois, volumes = (
        by("roi_key", view.outlines(None, [volume_spec_id])),
        by("case_key", view.rows("volumes", None, [volume_spec_id])),
    )
    scales = by("roi_key", view.features(features, ["roi_key", "filter_scale_hu"], spec=[radiomics_spec_id]))
    keys = zip(rows["roi_key"].to_pylist(), rows["case_key"].to_pylist(), strict=True)
    return case_columns((cases[case], rois[roi], volumes[case], scales[roi]["filter_scale_hu"]) for roi, case in keys)


def _outlines(view: View, rows: pa.Table, primary: Reading) -> Outlines:
    """Return whose outlines the rows are: people's, or those of a method with its specification."""
    rois = view.outlines(["roi_key", "outline_spec_id"])
    own = rois.filter(pc.is_in(rois["roi_key"], rows["roi_key"].combine_chunks()))
    found = next((spec_id for spec_id in own["outline_spec_id"].to_pylist() if spec_id), None)
    method = primary.reader.rpartition(":")[0] if found else None
    return Outlines(primary.reader, primary.number, method, found)


def _check_centers(wanted: Collection[str], known: Collection[str]) -> None:
    """Refuse training centres of which there is no case.

    Raises:
        InputError: "no_training_centers": none is named; "no_such_center"; "twin_centers": one is there under another spelling too.
    """
    if not wanted:
        raise InputError(
            "no_training_centers",
            "cohort.training_centers is empty: name the centres to train on, e.g. --set 'cohort.training_centers=[C1]'; "
            f"the snapshot has {', '.join(sorted(known)) or 'none'}",
        )
    require_centers(wanted, known, "the snapshot")
    refuse_twins(wanted, known)


def _image_digests(view: View, volume_spec_id: str) -> dict[str, str]:
    """Return the digest of the voxels that each outline lies on, by roi_key."""
    rois = view.outlines(["roi_key", "image_digest", "volume_spec_id"])
    rois = rois.filter(pc.equal(rois["volume_spec_id"], volume_spec_id))
    return dict(zip(rois["roi_key"].to_pylist(), rois["image_digest"].to_pylist(), strict=True))


def _others(cases: Sequence[Row], images: Mapping[str, str], centers: Sequence[str]) -> tuple[Member, ...]:
    """Return the cases of all other centres, each with the voxels that any of its outlines lies on."""
    by_case = {key.rsplit("/", 3)[0]: image for key, image in images.items()}
    return tuple(
        Member(key, str(case["center"]), str(case["patient"]), by_case.get(key, ""))
        for case in cases
        if case["center"] not in centers
        for key in [str(case["case_key"])]
    )


def _slices(store: FeatureStore, source: CohortSource, rows: pa.Table) -> pa.Table:
    """Return the embeddings of all slices of the rows' outlines, in order of outline and slice."""
    columns = ["roi_key", "input_digest", "slice_index", "embedding", "weights", "not_for_inference"]
    of_rows = pc.field("roi_key").isin(rows["roi_key"].combine_chunks())
    slices = store.embeddings(snapshot=source.snapshot, columns=columns, where=of_rows, spec=list(source.spec_ids))
    return sort_rows(slices, ["roi_key", "slice_index"])


def _matrix(embeddings: pa.ChunkedArray) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return embeddings as (rows, E)."""
    values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in embeddings.chunks]
    return np.concatenate(values).astype(np.float32, copy=False).reshape(len(embeddings), -1)


def _features(rows: pa.Table, names: Sequence[str]) -> Floats:
    """Return the radiomics features as (rows, R)."""
    return np.column_stack([rows[name].to_numpy() for name in names])


def _cohort(
    rows: pa.Table,
    names: tuple[str, ...],
    slices: pa.Table,
    members: Sequence[Member],
    source: CohortSource,
    outcomes: Outcomes,
    repeats: tuple[RepeatedOutlines, ...],
    networks: tuple[int, ...],
) -> Cohort:
    """Return the cohort's arrays.

    Args:
        slices: with roi_key and embedding, what principal components are fitted on, or attention: slices, or the rows where these
            are pooled before.
    """
    number = {member.key: place for place, member in enumerate(members)}
    return Cohort(
        keys=tuple(member.key for member in members),
        patients=tuple(patient_key(member.center, member.patient) for member in members),
        outcome=np.array([outcomes[key] for key in rows["case_key"].to_pylist()], np.int64),
        clinical={name: values_of(rows, name) for name in source.clinical},
        radiomics_names=names,
        radiomics=_features(rows, names),
        embedding=np.empty((len(rows), 0), np.float32)
        if source.pooling is Pooling.ATTENTION
        else _matrix(rows["embedding"]),
        slices=_matrix(slices["embedding"]),
        slice_rows=np.array([number[key] for key in slices["roi_key"].to_pylist()], np.int64),
        image_digests=tuple(member.image_digest for member in members),
        repeats=repeats,
        icc_table=source.icc_table,
        networks=networks,
    )


def _repeats(view: View, source: CohortSource, features: TableContract, rows: pa.Table) -> tuple[RepeatedOutlines, ...]:
    """Return the second outlines of the rows' cases, by reader and reading: of the readers that are asked for, or people's."""
    methods = read_readings(view, source.spec_ids).methods
    if not source.icc_readers and source.primary.reader in methods:
        return ()
    whose = pc.field("reader").isin(pa.array(source.icc_readers or tuple(methods), pa.string()))
    number = {key: place for place, key in enumerate(rows["case_key"].to_pylist())}
    reader, reading = source.primary
    second = ~((pc.field("reader") == reader) & (pc.field("reading") == reading))
    of_cases = pc.field("case_key").isin(rows["case_key"].combine_chunks())
    where = IS_OUTLINE & second & of_cases & (whose if source.icc_readers else ~whose)
    columns = ["case_key", "roi_key", "input_digest", "reader", "reading"]
    found = view.features(features.name, columns, where, source.spec_ids)
    if source.reviewed:
        outlines = found.select(["roi_key", "input_digest"]).to_pylist()
        refused = refused_outlines(view, outlines, "roi_key")
        found = found.filter(pc.invert(pc.is_in(found["roi_key"], pa.array(list(refused), pa.string()))))
    readings = sorted(set(zip(found["reader"].to_pylist(), found["reading"].to_pylist(), strict=True)))
    names, repeats = feature_columns(features, source.regions, source.outline_features), []
    for name, turn in readings:
        keys = found.filter((pc.field("reader") == name) & (pc.field("reading") == turn))["roi_key"].combine_chunks()
        own = wide_rows(
            view,
            ["case_key", *names],
            None,
            source.spec_ids,
            Reading(name, turn),
            keys,
            features,
            regions=source.regions,
        ).sort_by("case_key")
        places = np.array([number[key] for key in own["case_key"].to_pylist()], np.int64)
        repeats.append(RepeatedOutlines(f"reader {name}, reading {turn}", places, _features(own, names)))
    return tuple(repeats)
