"""What a store holds and how its cases stand."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.errors import FormatError
from cvtbatch.pipelines.stores.duplicates import find_duplicates
from cvtbatch.pipelines.stores.region_status import count_regions, with_regions
from cvtbatch.pipelines.stores.unended_runs import read_committed
from cvtbatch.run_id import started_at
from cvtbatch.spec import Spec
from cvtbatch.store import IS_LARGEST, STANDS_FOR_ALL, FeatureStore, View, set_table
from cvtbatch.validation.eligibility import CRITERIA, InclusionFlow, inclusion_flow

Document = dict[str, object]
KINDS = ("volume", "outline", "radiomics", "embedding")
TABLES = ("volumes", "outlines", "radiomics", "embeddings")


def read_status(url: str, *, flow: bool = False) -> Document:
    """Return the JSON document of `cvtbatch status --json`, with the inclusion flow if asked.

    A case is done when every current mask of it has features, those of feature sets too, embeddings (of all slices, or of the
    largest where no more was asked for) and descriptions if they were asked for, and the regions that were asked for with
    features of theirs, under the newest run's specifications, failed when it has a live failure under them, and awaits its mask
    when it has a volume and no mask, unless the run's method found no hemorrhage in it. Masks are people's, and those that this
    method found in cases that the run's job leaves to it. The store does not know the manifest: a mask that was taken out of it
    stays.

    Raises:
        StorageError, FormatError: as `FeatureStore`.
    """
    store = FeatureStore(url)
    # One look at the tables for all that is asked of them.
    view = store.view()
    runs = store.runs().to_pylist()
    newest: dict[str, str] = next((run for run in runs if run["command"] == "extract"), {})
    spec_ids = {kind: newest.get(f"{kind}_spec_id") or "" for kind in KINDS}
    sets, descriptions = _feature_sets(newest), _by_name(newest, "descriptions")
    regions = list(_by_name(newest, "regions").values())
    embedded = _embedded(newest)
    current = {*spec_ids.values(), *embedded, *sets.values(), *descriptions.values(), *regions} - {""}
    there = store.table_names()
    masks, of_others = _masks(view, spec_ids, finds_all=_finds_all(newest))
    failures = view.rows("failures")
    live = failures.filter(pc.is_in(failures["spec_id"], value_set=pa.array(sorted(current), pa.string())))
    live = live.filter(pc.invert(_are_in(live["roi_key"], of_others["roi_key"])))
    keys = {(row["stage"], row["kind"], row["case_key"]) for row in live.to_pylist()}
    by_kind = Counter((stage, kind) for stage, kind, _ in keys)
    return {
        **({"flow": _flow(store)} if flow else {}),
        "command": "status",
        "store": url,
        "format_version": store.format_version,
        "cases": _case_states(
            view,
            spec_ids,
            [*_with_sets(view, newest, there, masks), *_with_descriptions(view, descriptions, there)],
            embedded,
            regions,
            masks,
            live["case_key"],
        ),
        "rows": {name: failures.num_rows if name == "failures" else store.table(name).count() for name in there},
        "regions": count_regions(view),
        "failures": [
            {"stage": stage, "kind": kind, "cases": count} for (stage, kind), count in sorted(by_kind.items())
        ],
        "lacking_sets": _lacking_sets(failures, runs, sets),
        "specs": _specs(store, current),
        "runs": _runs(view, runs, [set_table(name) for name in store.feature_sets()]),
        "duplicates": find_duplicates(view),
    }


def _finds_all(run: Mapping[str, str]) -> bool:
    """Say whether a run's method outlines people's cases too; not where there is no run, or one of an earlier version."""
    return bool(_job(run).get("outline", {}).get("cases") == "all")


def _job(run: Mapping[str, str]) -> dict[str, Any]:
    """Return the job of a run; empty where there is no run.

    Raises:
        FormatError: it is damaged.
    """
    try:
        job = json.loads(run.get("job") or "{}")
    except ValueError:
        job = None
    if not isinstance(job, dict):
        raise FormatError("store_damaged", "the job of a run in table runs is not what was written")
    return job


def _embedded(run: Mapping[str, str]) -> dict[str, pc.Expression]:
    """Return, for each specification of a run's embeddings, the rows of which an outline has one that has what was asked for."""
    told = _read(run, "embeddings")
    # Of several it says each; of one, a run of an earlier version said the specification elsewhere.
    spec_ids = [str(one["spec_id"]) for one in told] if isinstance(told, list) else [run.get("embedding_spec_id") or ""]
    job = _job(run).get("embedding", {})
    sections = job if isinstance(job, list) else [job]
    asked_for = [section.get("slices") for section in sections if section.get("weights") != "none"]
    return {
        spec_id: IS_LARGEST if slices == "largest" else STANDS_FOR_ALL
        for spec_id, slices in zip(spec_ids, asked_for, strict=False)
        if spec_id
    }


def _feature_sets(run: Mapping[str, str]) -> dict[str, str]:
    """Return the specifications of a run's feature sets by their tables."""
    return {set_table(name): spec_id for name, spec_id in _by_name(run, "feature_sets").items()}


def _by_name(run: Mapping[str, str], column: str) -> dict[str, str]:
    """Return the specifications that a column of a run has by name; none where it had none, or is of an earlier version.

    Raises:
        FormatError: what it says of them is damaged.
    """
    found = _read(run, column)
    return {name: str(spec_id) for name, spec_id in found.items()}


def _read(run: Mapping[str, str], column: str) -> Any:
    """Return what a column of a run says as JSON; an empty object where it says nothing.

    Raises:
        FormatError: it is damaged.
    """
    try:
        return json.loads(run.get(column) or "{}")
    except ValueError:
        told = column.replace("_", " ")
        raise FormatError("store_damaged", f"the {told} of a run in table runs are not what was written") from None


def _lacking_sets(
    failures: pa.Table, runs: Sequence[Mapping[str, str]], asked_for: Mapping[str, str]
) -> list[Document]:
    """Return the feature sets that have live failures, those that the newest run did not ask for too.

    Args:
        runs: newest first; the first that asked for a set says under which specification.
        asked_for: specifications of the newest run's sets, by table.
    """
    specs: dict[str, str] = {}
    for run in runs:
        specs = {**_feature_sets(run), **specs}
    cases = {
        table: pc.count_distinct(failures.filter(pc.equal(failures["spec_id"], spec_id))["case_key"]).as_py()
        for table, spec_id in sorted(specs.items())
    }
    return [
        {"feature_set": table.removeprefix(contracts.SET_PREFIX), "cases": count, "asked_for": table in asked_for}
        for table, count in cases.items()
        if count
    ]


def _with_sets(
    view: View, run: Mapping[str, str], tables: Collection[str], masks: pa.Table
) -> Iterator[pa.ChunkedArray]:
    """Yield, for each feature set of a run, the outlines that have it or need not.

    A set that never had a row has no table. One of the source's grid is of people's outlines alone, and not of regions.
    """
    of_sources = {set_table(name) for name in _job(run).get("radiomics", {}).get("source_sets", {})}
    found = masks.filter(pc.is_valid(masks["outline_spec_id"]))["roi_key"]
    regions = view.rows("regions", ["roi_key"])["roi_key"]
    for table, spec_id in _feature_sets(run).items():
        chunks = [*found.chunks, *regions.chunks] if table in of_sources else []
        if table in tables:
            rows = view.features(table, ["roi_key"], pc.field("radiomics_spec_id") == spec_id)
            chunks = [*chunks, *rows["roi_key"].chunks]
        yield pa.chunked_array(chunks, pa.string())


def _with_descriptions(
    view: View, descriptions: Mapping[str, str], tables: Collection[str]
) -> Iterator[pa.ChunkedArray]:
    """Yield, for each description of a run, by table, the outlines that have it, and regions, which need none."""
    regions = view.rows("regions", ["roi_key"])["roi_key"]
    for table, spec_id in descriptions.items():
        chunks = regions.chunks
        if table in tables:
            rows = view.described(table, ["roi_key"], pc.field(f"{table}_spec_id") == spec_id)
            chunks = [*chunks, *rows["roi_key"].chunks]
        yield pa.chunked_array(chunks, pa.string())


def _masks(view: View, spec_ids: Mapping[str, str], finds_all: bool) -> tuple[pa.Table, pa.Table]:
    """Return the current masks that a run works on, and those on its volumes that other methods than its own found.

    Args:
        spec_ids: the run's, by kind; empty where it had none.
    """
    rois = view.outlines(["case_key", "roi_key", "outline_spec_id", "volume_spec_id"])
    rois = rois.filter(pc.equal(rois["volume_spec_id"], spec_ids["volume"]))
    drawn = pc.is_null(rois["outline_spec_id"])
    own = pc.fill_null(pc.equal(rois["outline_spec_id"], spec_ids["outline"]), fill_value=False)
    left = own if finds_all else pc.and_(own, pc.invert(_are_in(rois["case_key"], rois.filter(drawn)["case_key"])))
    return rois.filter(pc.or_(drawn, left)), rois.filter(pc.invert(pc.or_(drawn, own)))


def _case_states(
    view: View,
    spec_ids: Mapping[str, str],
    with_values: Iterable[pa.ChunkedArray],
    embedded: Mapping[str, pc.Expression],
    regions: Sequence[str],
    masks: pa.Table,
    failed: pa.ChunkedArray,
) -> dict[str, int]:
    """Return how many cases there are, and how many in each state.

    Args:
        spec_ids: the newest run's, by kind; empty where it had none.
        with_values: for each of its feature sets and descriptions, the outlines that have it or need not.
        embedded: by specification, rows of embeddings of which an outline has one if it has those that were asked for.
        regions: specifications of its regions.
        masks: that this run works on.
        failed: case_keys that have a live failure.
    """
    cases = view.rows("cases", ["case_key"])["case_key"]
    volumes = view.rows("volumes", ["case_key", "volume_spec_id"])
    with_volume = volumes.filter(pc.equal(volumes["volume_spec_id"], spec_ids["volume"]))["case_key"]
    outlines = view.rows("outlines", ["case_key", "outline_spec_id", "state"])
    none_found = outlines.filter(
        pc.and_(
            pc.equal(outlines["outline_spec_id"], spec_ids["outline"]), pc.equal(outlines["state"], "no_hemorrhage")
        )
    )["case_key"]
    finished = view.radiomics(["roi_key"], pc.field("radiomics_spec_id") == spec_ids["radiomics"])["roi_key"]
    for outlines_with_it in with_values:
        finished = finished.filter(_are_in(finished, outlines_with_it))
    whole = with_regions(view, regions, masks["roi_key"], finished)
    for spec_id, asked_for in embedded.items():
        of_spec = asked_for & (pc.field("embedding_spec_id") == spec_id)
        finished = finished.filter(_are_in(finished, view.embeddings(["roi_key"], of_spec)["roi_key"]))
    done = pc.and_(_are_in(masks["roi_key"], finished), _are_in(masks["roi_key"], whole))
    unfinished = masks.filter(pc.invert(done))["case_key"]

    have_failed, have_mask = _are_in(cases, failed), _are_in(cases, masks["case_key"])
    sound = pc.invert(have_failed)
    without_mask = pc.and_(pc.and_(_are_in(cases, with_volume), sound), pc.invert(have_mask))
    looked_at = _are_in(cases, none_found)
    states = {
        "done": pc.and_(pc.and_(have_mask, sound), pc.invert(_are_in(cases, unfinished))),
        "failed": have_failed,
        "no_hemorrhage": pc.and_(without_mask, looked_at),
        "awaiting_mask": pc.and_(without_mask, pc.invert(looked_at)),
    }
    counts = {name: pc.sum(of, min_count=0).as_py() for name, of in states.items()}
    return {"total": len(cases), **counts, "incomplete": len(cases) - sum(counts.values())}


def _are_in(values: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.ChunkedArray:
    found: pa.ChunkedArray = pc.is_in(values, value_set=others)
    return found


def _flow(store: FeatureStore) -> Document:
    """Return the inclusion flow of all current cases, and that of every centre, by name."""
    columns = list(dict.fromkeys(["center", *(criterion.column for criterion in CRITERIA)]))
    cases = store.table("cases").current(columns).to_pylist()
    centers = sorted({case["center"] for case in cases})
    return {
        **_flow_document(inclusion_flow(cases)),
        "centers": [
            {"center": name, **_flow_document(inclusion_flow(case for case in cases if case["center"] == name))}
            for name in centers
        ],
    }


def _flow_document(flow: InclusionFlow) -> Document:
    """Return the counts of an inclusion flow as JSON."""
    return {
        "screened": flow.screened,
        "excluded": [{"reason": reason, "cases": cases} for reason, cases in flow.excluded.items()],
        "included": flow.included,
        "unknown": [{"column": column, "cases": cases} for column, cases in flow.unknown.items()],
    }


def _specs(store: FeatureStore, current: set[str]) -> list[Document]:
    """Return what is said of every specification, with how many rows, current or not, name it."""
    rows: Counter[str] = Counter()
    for kind, table in (*zip(KINDS, TABLES, strict=True), ("region", "regions")):
        rows += store.table(table).counts(f"{kind}_spec_id")
    for of_set in store.feature_sets().values():
        rows += of_set.counts("radiomics_spec_id")
    for table in contracts.description_tables():
        rows += store.table(table).counts(f"{table}_spec_id")
    largest_alone = _largest_alone(store)
    specs = store.table("specs").read().sort_by([("kind", "descending"), ("spec_id", "ascending")]).to_pylist()
    return [
        {
            "spec_id": row["spec_id"],
            "kind": row["kind"],
            "feature_set": spec.feature_set,
            "parent_id": row["parent_id"],
            "rows": rows[row["spec_id"]],
            "current": row["spec_id"] in current,
            "not_for_inference": _is_for_trials(spec),
            "largest_alone": largest_alone[row["spec_id"]],
        }
        for row in specs
        for spec in [Spec(row["kind"], row["parent_id"], row["settings"])]
    ]


def _largest_alone(store: FeatureStore) -> Counter[str]:
    """Return of how many outlines, current or not, the largest slice alone has an embedding, by specification."""
    column, table = "embedding_spec_id", store.table("embeddings")
    largest, whole = (Counter(table.read([column], rows)[column].to_pylist()) for rows in (IS_LARGEST, STANDS_FOR_ALL))
    return largest - whole


def _is_for_trials(spec: Spec) -> bool:
    """Say whether what is made under a specification is marked as not for inference: by its weights, or by its method."""
    settings = spec.content()
    return bool(settings.get("not_for_inference") or settings.get("weights", {}).get("not_for_inference"))


def _runs(view: View, rows: Sequence[Mapping[str, object]], sets: Sequence[str]) -> list[Document]:
    """Return what is said of runs; of one without an end, what it committed, and whether another one has begun since.

    Args:
        sets: tables of the store's feature sets.
    """
    runs = [_run(row) for row in rows]
    newest = max((str(run["started_at"]) for run in runs), default="")
    committed = read_committed(view, [str(run["run_id"]) for run in runs if run["state"] == "started"], sets)
    for run in runs:
        own = committed.get(str(run["run_id"]))
        run["committed"] = None if own is None else own.to_document()
        run["presumed_killed"] = own is not None and str(run["started_at"]) < newest
    return runs


def _run(row: Mapping[str, object]) -> Document:
    """Return what is said of a run.

    Raises:
        FormatError: its id is damaged.
    """
    counts = ("cases", "computed", "already_done", "failed", "awaiting_mask", "no_hemorrhage", "seconds")
    # Null until the run ends, and in rows of earlier versions.
    cost = ("cases_per_second", "core_hours_per_1000_cases", "cpu_hours_per_1000_cases", "worker_peak_bytes")
    names = ("run_id", "command", "state", "reason", *counts, *cost)
    try:
        started = started_at(str(row["run_id"]))
    except ValueError:
        raise FormatError("store_damaged", "the id of a run in table runs is not what was written") from None
    return {**{name: row[name] for name in names}, "started_at": started.isoformat()}
