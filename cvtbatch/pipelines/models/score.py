"""Score: a bundle over a store, a portion at a time; what was scored before is not scored again."""

import datetime
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts, engine
from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.scoring import by_class
from cvtbatch.dlrn.settings import Model
from cvtbatch.engine import Cluster
from cvtbatch.errors import InternalError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.models.own_cases import OwnCases, keep_own_cases, set_digests, with_own_cases
from cvtbatch.pipelines.models.score_keys import KEY, read_keys, read_reading
from cvtbatch.pipelines.models.training_cohort import NOT_WHOLE
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE, flagged_outlines, read_readings
from cvtbatch.pipelines.shared.reviewed import refused_outlines
from cvtbatch.pipelines.shared.unfinished import require_done
from cvtbatch.run_id import make_run_id
from cvtbatch.store import FeatureStore, Location, View, among, incomplete_outlines, wide_rows
from cvtbatch.validation.eligibility import CRITERIA, assess_eligibility

TABLES = ("scores", "explanations")
# Outlines that are read, scored and committed together: their embeddings take 80 MB.
PORTION = 10_000
# And where slices are pooled: ten of each outline.
POOLED_PORTION = 1_000
MODELS = tuple(str(model) for model in Model)
CRITERIA_COLUMNS = tuple(criterion.column for criterion in CRITERIA)


@dataclass(frozen=True, slots=True)
class Portion:
    """Outlines for a worker, which reads and scores them.

    Attributes:
        roi_keys: in order, as runs have most likely stored them, so that they lie in few files.
        own: what moves centres that the bundle was not fitted on.
    """

    store_url: str
    run_id: str
    bundle: str
    snapshot: str
    reading: Reading
    roi_keys: tuple[str, ...]
    explain: bool
    own: tuple[OwnCases, ...] = ()


@dataclass(slots=True)
class ScoreReport:
    """What a run did, for people and as the JSON document of `cvtbatch score --json`.

    Attributes:
        centers: whose outlines are asked for; none for all.
        fitted_reader: whose outlines the bundle was fitted on.
        reader, reading: whose outlines are scored.
        others: how many outlines of others, corrections among them, are there and not scored, by reader and reading.
        outlines: those with features; each is scored, or already_scored.
        left_out: outlines with features that are not taken, by reason: those that lack a region which the bundle takes, and, where
            a review is asked for, those that it does not accept.
        scored, already_scored: outlines.
        computed: by model, outlines of this run that have its score.
        flags: by flag, outlines of this run that carry it.
        rows: appended by table.
    """

    store: str
    run_id: str
    bundle_digest: str
    snapshot: str
    centers: tuple[str, ...]
    fitted_reader: str
    reader: str
    reading: int
    marks: list[str]
    others: dict[str, int]
    outlines: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    scored: int = 0
    already_scored: int = 0
    computed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODELS, 0))
    flags: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    seconds: float = 0.0

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"command": "score", **values, "centers": list(self.centers)}


@functools.lru_cache(maxsize=1)
def _bundle(path: str) -> Bundle:
    """Return a bundle that this process has verified before."""
    return load_bundle(path)


@functools.lru_cache(maxsize=1)
def _view(store_url: str, snapshot: str, run_id: str) -> View:
    """Return a snapshot at which this process has looked before in this run; an erasure pins it anew."""
    return FeatureStore(store_url).at(snapshot)


@functools.lru_cache(maxsize=1)
def _unfit(store_url: str, snapshot: str, run_id: str, spec_id: str) -> set[str]:
    """Return the outlines of a snapshot that are marked not for inference, by roi_key, read once in this run."""
    return flagged_outlines(_view(store_url, snapshot, run_id), NOT_FOR_INFERENCE, [spec_id])


def score_store(
    store_url: str,
    bundle_path: Path,
    snapshot: str | None,
    centers: Sequence[str],
    cluster: Cluster,
    *,
    reader: str | None = None,
    explain: bool,
    reviewed: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ScoreReport:
    """Score one reading's outlines of a store that this bundle has not scored with these inputs, and append the rows.

    Args:
        snapshot: by default one that is recorded for this.
        centers: only these; all where none is named.
        reader: whose outlines; a method means its newest reader. By default whom the bundle was fitted on.
        explain: fill the table explanations too.
        reviewed: only outlines that a review accepts.
        on_progress: called with the outlines done and all of those to score.

    Raises:
        InputError: there is no bundle, snapshot, centre or reader; the store lacks the bundle's specifications; a new centre has
            too few cases of its own to be moved by.
        FormatError: the bundle is damaged.
        ResourceError: a worker died over a portion, or the scheduler went away.
    """
    started = time.monotonic()
    bundle = load_bundle(bundle_path)
    url = Location.of(store_url).url
    pinned = open_pinned(url, snapshot, "score", for_writing=True)
    store, snapshot = pinned.store, pinned.name
    now = datetime.datetime.now(datetime.UTC)
    run_id = make_run_id(now)
    marks = [entry.mark for entry in bundle.description.marks]
    reading, fitted = read_reading(pinned.view, bundle, reader, centers), bundle.description.primary
    there = read_readings(pinned.view, bundle.specs.ids(), centers)
    report = ScoreReport(
        url,
        run_id,
        bundle.digest,
        snapshot,
        tuple(centers),
        fitted.reader,
        reading.reader,
        reading.number,
        marks,
        {str(other): there.outlines[other] for other in sorted(there.outlines.keys() - {reading})},
    )
    own = keep_own_cases(pinned, bundle, reading, centers, run_id, reviewed=reviewed)
    wanted, lacking = read_keys(store, bundle, snapshot, centers, reading)
    if reviewed:
        wanted, refused = _accepted(pinned.view, wanted)
        lacking = {**lacking, **refused}
    report.left_out = dict(sorted(Counter(lacking.values()).items()))
    report.outlines = len(wanted)
    fresh = _unscored(store, wanted, bundle.digest, TABLES if explain else TABLES[:1])
    report.already_scored = len(wanted) - len(fresh)
    path = str(bundle_path.absolute())
    size = PORTION if bundle.model.pooling is Pooling.LARGEST else POOLED_PORTION
    portions = [
        Portion(url, run_id, path, snapshot, reading, tuple(fresh[start : start + size]), explain, own)
        for start in range(0, len(fresh), size)
    ]
    book = {"snapshot": snapshot, "snapshot_digest": pinned.content_digest, "run_id": run_id}
    flags: Counter[str] = Counter()
    for scored in _spread(portions, cluster):
        for name, table in _stored(scored, explain).items():
            rows = [{**row, **book, "recorded_at": now} for row in table.to_pylist()]
            report.rows[name] += store.table(name).append(rows)
        report.scored += len(scored)
        flags.update(scored["flags"].combine_chunks().flatten().to_pylist())
        for model in MODELS:
            column = by_class(model) if bundle.model.classes else model
            report.computed[model] += len(scored) - scored[column].null_count
        on_progress(report.scored, len(fresh))
    report.flags = {name: flags[name] for name in sorted(flags)}
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _accepted(view: View, wanted: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """Return the keys of outlines that a review accepts, and why others are left out, by roi_key."""
    pairs = zip(wanted["roi_key"].to_pylist(), wanted["radiomics_digest"].to_pylist(), strict=True)
    outlines = [{"roi_key": roi_key, "input_digest": input_digest} for roi_key, input_digest in pairs]
    refused = refused_outlines(view, outlines, "roi_key")
    kept = wanted.filter(pc.invert(pc.is_in(wanted["roi_key"], pa.array(list(refused), pa.string()))))
    return kept, refused


def _unscored(store: FeatureStore, wanted: pa.Table, bundle_digest: str, tables: Sequence[str]) -> list[str]:
    """Return the outlines that at least one of the tables has no row of, in order."""
    of_bundle = pc.field("bundle_digest") == bundle_digest
    there = (among(wanted, store.table(name).read(list(KEY), of_bundle), KEY) for name in tables)
    fresh: list[str] = wanted.filter(pc.invert(functools.reduce(pc.and_, there)))["roi_key"].to_pylist()
    return sorted(fresh)


def score_portion(portion: Portion) -> pa.Table:
    """Read and score some outlines; the columns are those of `scores`, and of `explanations` where asked."""
    bundle = with_own_cases(_bundle(portion.bundle), portion.own)
    identity = [
        "roi_key",
        "case_key",
        "center",
        "case_id",
        "roi",
        "reader",
        "reading",
        "input_digest",
        "clinical_digest",
    ]
    specs = ["radiomics_spec_id", "embedding_spec_id"]
    view = _view(portion.store_url, portion.snapshot, portion.run_id)
    features = view.contract(bundle.description.features_table)
    rows = wide_rows(
        view,
        list(dict.fromkeys([*identity, *specs, *bundle.needed_columns(), *CRITERIA_COLUMNS])),
        None,
        bundle.specs.ids(),
        portion.reading,
        pa.array(portion.roi_keys),
        features,
        bundle.model.pooling,
        regions=bundle.regions,
    ).sort_by("roi_key")
    if rows["roi_key"].to_pylist() != list(portion.roi_keys):
        raise InternalError("other_rows", "the outlines that were read are not those that were to be scored")
    scored = bundle.score(rows, portion.explain)
    unfit = _unfit(portion.store_url, portion.snapshot, portion.run_id, bundle.specs.radiomics_spec_id)
    excluded = [
        [f"excluded_{reason}" for reason in assess_eligibility(row).reasons]
        for row in rows.select(list(CRITERIA_COLUMNS)).to_pylist()
    ]
    partial = _partial(view, bundle, portion.roi_keys)
    incomplete = [[NOT_WHOLE] if key in partial else [] for key in portion.roi_keys]
    marked = [[NOT_FOR_INFERENCE] if key in unfit else [] for key in portion.roi_keys]
    flags = [
        [flag for own in found for flag in own]
        for found in zip(scored["flags"].to_pylist(), incomplete, excluded, marked, strict=True)
    ]
    input_digest, of_set = scored["input_digest"], set_digests(portion.own)
    columns = {
        "radiomics_digest": input_digest,
        "embedding_digest": pc.if_else(pc.is_valid(rows[bundle.model.pooling.column]), input_digest, ""),
        "clinical_digest": pc.fill_null(scored["clinical_digest"], ""),
        "flags": pa.array(flags, pa.list_(pa.string())),
        "harmonisation_digest": pa.array([of_set.get(center) for center in scored["center"].to_pylist()], pa.string()),
        "fitted_reader": pa.repeat(bundle.description.primary.reader, len(rows)),
    }
    kept = scored.drop_columns([name for name in columns if name in scored.column_names])
    for name, values in columns.items():
        kept = kept.append_column(name, values)
    return kept


def _partial(view: View, bundle: Bundle, roi_keys: Sequence[str]) -> set[str]:
    """Return the outlines of which only some slices have an embedding, where a bundle takes all of them."""
    if bundle.model.pooling is Pooling.LARGEST:
        return set()
    found = incomplete_outlines(view, [bundle.specs.embedding_spec_id], pa.array(roi_keys))
    return set(found["roi_key"].to_pylist())


def _spread(portions: Sequence[Portion], cluster: Cluster) -> Iterator[pa.Table]:
    for outcome in engine.run(cluster, score_portion, portions):
        yield require_done(outcome, f"a portion of {len(outcome.item.roi_keys)} outlines")


def _stored(scored: pa.Table, explain: bool) -> dict[str, pa.Table]:
    """Return the rows by table, without book-keeping."""
    names = TABLES if explain else TABLES[:1]
    columns = {
        name: [field for field in contracts.table(name).arrow().names if field in scored.column_names] for name in names
    }
    return {name: scored.select(columns[name]) for name in names}
