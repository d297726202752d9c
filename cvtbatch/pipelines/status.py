"""What a store holds and how its cases stand."""

import datetime
import json
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.pipelines.duplicates import find_duplicates
from cvtbatch.store import FeatureStore
from cvtbatch.validation.eligibility import CRITERIA, InclusionFlow, inclusion_flow

Document = dict[str, object]
KINDS = ("volume", "radiomics", "embedding")


def read_status(url: str, *, flow: bool = False) -> Document:
    """Return the JSON document of `cvtbatch status --json`, with the inclusion flow if asked.

    A case is done when every current mask of it has features, and embeddings if they were asked for, under the newest run's
    specifications, failed when it has a live failure under them, and awaits its mask when it has a volume and no mask.
    The store does not know the manifest: a mask that was taken out of it stays.

    Raises:
        StorageError, FormatError: as `FeatureStore`.
    """
    store = FeatureStore(url)
    runs = store.runs().to_pylist()
    newest = runs[0] if runs else {}
    volume_spec, radiomics_spec, embedding_spec = (newest.get(f"{kind}_spec_id") or "" for kind in KINDS)
    current = {volume_spec, radiomics_spec, embedding_spec} - {""}
    failures = store.failures()
    live = failures.filter(pc.is_in(failures["spec_id"], value_set=pa.array(sorted(current), pa.string())))
    keys = {(row["stage"], row["kind"], row["case_key"]) for row in live.to_pylist()}
    by_kind = Counter((stage, kind) for stage, kind, _ in keys)
    return {
        **({"flow": _flow(store)} if flow else {}),
        "command": "status",
        "store": url,
        "format_version": store.format_version,
        "cases": _case_states(store, volume_spec, radiomics_spec, embedding_spec, set(live["case_key"].to_pylist())),
        "rows": {
            name: store.current(name).num_rows if name == "failures" else store.table(name).read(["sequence"]).num_rows
            for name in contracts.table_names()
        },
        "failures": [
            {"stage": stage, "kind": kind, "cases": count} for (stage, kind), count in sorted(by_kind.items())
        ],
        "specs": _specs(store, current),
        "runs": [_run(row) for row in runs],
        "duplicates": find_duplicates(store.at(None)),
    }


def _case_states(
    store: FeatureStore, volume_spec: str, radiomics_spec: str, embedding_spec: str, failed: set[str]
) -> dict[str, int]:
    cases = set(store.table("cases").current(["case_key"])["case_key"].to_pylist())
    volumes = store.table("volumes").current(["case_key", "volume_spec_id"])
    with_volume = set(volumes.filter(pc.equal(volumes["volume_spec_id"], volume_spec))["case_key"].to_pylist())
    rois = store.rois().select(["case_key", "roi_key", "volume_spec_id"])
    masks = rois.filter(pc.equal(rois["volume_spec_id"], volume_spec)).to_pylist()
    featured = set(
        store.radiomics(columns=["roi_key"], where=pc.field("radiomics_spec_id") == radiomics_spec)[
            "roi_key"
        ].to_pylist()
    )
    if embedding_spec:
        largest = pc.field("is_largest") & (pc.field("embedding_spec_id") == embedding_spec)
        featured &= set(store.embeddings(columns=["roi_key"], where=largest)["roi_key"].to_pylist())
    with_mask = {row["case_key"] for row in masks}
    unfinished = {row["case_key"] for row in masks if row["roi_key"] not in featured}
    failed &= cases
    done = (with_mask - unfinished - failed) & cases
    awaiting = (with_volume - with_mask - failed) & cases
    return {
        "total": len(cases),
        "done": len(done),
        "failed": len(failed),
        "awaiting_mask": len(awaiting),
        "incomplete": len(cases) - len(done) - len(failed) - len(awaiting),
    }


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
    return {
        "screened": flow.screened,
        "excluded": [{"reason": reason, "cases": cases} for reason, cases in flow.excluded.items()],
        "included": flow.included,
        "unknown": [{"column": column, "cases": cases} for column, cases in flow.unknown.items()],
    }


def _specs(store: FeatureStore, current: set[str]) -> list[Document]:
    rows = Counter(store.table("radiomics").read(["radiomics_spec_id"])["radiomics_spec_id"].to_pylist())
    rows.update(store.table("volumes").read(["volume_spec_id"])["volume_spec_id"].to_pylist())
    rows.update(store.table("embeddings").read(["embedding_spec_id"])["embedding_spec_id"].to_pylist())
    specs = store.table("specs").read().sort_by([("kind", "descending"), ("spec_id", "ascending")]).to_pylist()
    return [
        {
            "spec_id": spec["spec_id"],
            "kind": spec["kind"],
            "parent_id": spec["parent_id"],
            "rows": rows[spec["spec_id"]],
            "current": spec["spec_id"] in current,
            "not_for_inference": json.loads(spec["settings"]).get("weights", {}).get("not_for_inference", False),
        }
        for spec in specs
    ]


def _run(row: dict[str, object]) -> Document:
    counts = ("cases", "computed", "already_done", "failed", "awaiting_mask", "seconds")
    names = ("run_id", "command", "state", "reason", *counts)
    started = datetime.datetime.strptime(str(row["run_id"]).partition("-")[0], "%Y%m%dT%H%M%S").replace(
        tzinfo=datetime.UTC
    )
    return {**{name: row[name] for name in names}, "started_at": started.isoformat()}
