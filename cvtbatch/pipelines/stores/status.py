"""What a store holds and how its cases stand."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.errors import FormatError
from cvtbatch.pipelines.stores.case_counts import CaseKeys, Masks, count_cases, read_cases, read_masks
from cvtbatch.pipelines.stores.region_status import ROI, count_regions
from cvtbatch.pipelines.stores.unended_runs import read_committed
from cvtbatch.run_id import started_at
from cvtbatch.spec import Spec
from cvtbatch.store import (
    IS_LARGEST,
    STANDS_FOR_ALL,
    FeatureStore,
    Fingerprints,
    View,
    are_among,
    counted,
    fingerprints_of,
    set_table,
)
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
    cases, with_volume, duplicates = read_cases(view, spec_ids["volume"])
    masks, of_others = read_masks(view, spec_ids, finds_all=_finds_all(newest))
    failures = view.rows("failures")
    live = failures.filter(pc.is_in(failures["spec_id"], value_set=pa.array(sorted(current), pa.string())))
    live = live.filter(pa.array(~are_among(fingerprints_of(live, ["roi_key"]), of_others)))
    by_kind = live.group_by(["stage", "kind"], use_threads=False).aggregate([("case_key", "count_distinct")])
    return {
        **({"flow": _flow(store)} if flow else {}),
        "command": "status",
        "store": url,
        "format_version": store.format_version,
        "cases": count_cases(
            view,
            spec_ids,
            [*_with_sets(view, newest, there, masks), *_with_descriptions(view, descriptions, there)],
            embedded,
            regions,
            masks,
            CaseKeys(cases, with_volume, fingerprints_of(live, ["case_key"])),
        ),
        "rows": {name: failures.num_rows if name == "failures" else store.table(name).count() for name in there},
        "regions": count_regions(view),
        "failures": [
            {"stage": row["stage"], "kind": row["kind"], "cases": row["case_key_count_distinct"]}
            for row in by_kind.sort_by([("stage", "ascending"), ("kind", "ascending")]).to_pylist()
        ],
        "lacking_sets": _lacking_sets(failures, runs, sets),
        "specs": _specs(store, current),
        "runs": _runs(view, runs, [set_table(name) for name in store.feature_sets()]),
        "duplicates": duplicates,
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


def _with_sets(view: View, run: Mapping[str, str], tables: Collection[str], masks: Masks) -> Iterator[Fingerprints]:
    """Yield, for each feature set of a run, the outlines that have it or need not.

    A set that never had a row has no table. One of the source's grid is of people's outlines alone, and not of regions.
    """
    of_sources = {set_table(name) for name in _job(run).get("radiomics", {}).get("source_sets", {})}
    for table, spec_id in _feature_sets(run).items():
        parts = [masks.roi_keys[~masks.drawn], view.fingerprints("regions", ROI)] if table in of_sources else []
        if table in tables:
            parts.append(view.fingerprints(table, ROI, pc.field("radiomics_spec_id") == spec_id))
        yield np.concatenate([masks.roi_keys[:0], *parts])


def _with_descriptions(view: View, descriptions: Mapping[str, str], tables: Collection[str]) -> Iterator[Fingerprints]:
    """Yield, for each description of a run, by table, the outlines that have it, and regions, which need none."""
    regions = view.fingerprints("regions", ROI)
    for table, spec_id in descriptions.items():
        parts = [regions]
        if table in tables:
            parts.append(view.fingerprints(table, ROI, pc.field(f"{table}_spec_id") == spec_id))
        yield np.concatenate(parts)


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
    largest, whole = (counted(table.read([column], rows)[column]) for rows in (IS_LARGEST, STANDS_FOR_ALL))
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
