"""Which outlines' results may be sent: people's, and found ones that a review accepts."""

import pytest

from cvtbatch.pipelines.serving.outgoing import sort_out
from cvtbatch.reviewing.verdicts import Verdict
from cvtbatch.store import FeatureStore
from tests.support.store_rows import VOLUME_SPEC, add_specs, row

# By case: whether a method found the outline, its flags, and what a review says of it.
CASES: dict[str, tuple[bool, list[str], Verdict | None]] = {
    "drawn": (False, [], None),
    "drawn, accepted": (False, [], Verdict.ACCEPT),
    "drawn, refused": (False, [], Verdict.REDO),
    "found": (True, ["auto"], None),
    "found, accepted": (True, ["auto"], Verdict.ACCEPT),
    "found, refused": (True, ["auto"], Verdict.NOT_HEMATOMA),
    "unfit": (True, ["auto", "not_for_inference"], None),
    "unfit, accepted": (True, ["auto", "not_for_inference"], Verdict.ACCEPT),
}
SENT = {"drawn", "drawn, accepted", "found, accepted"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    store = FeatureStore.open_for_writing(str(tmp_path_factory.mktemp("outgoing") / "store"))
    add_specs(store, VOLUME_SPEC)
    rows: dict[str, list[dict[str, object]]] = {"volumes": [], "rois": [], "reviews": []}
    for name, (found, flags, verdict) in CASES.items():
        case = {"case_key": f"A/{name}", "center": "A", "case_id": name}
        volume = {**case, "volume_spec_id": VOLUME_SPEC.spec_id, "image_digest": name}
        roi = {"roi_key": f"A/{name}/hematoma/A/1", "input_digest": name, "flags": flags}
        rows["volumes"].append(row("volumes", **volume))
        rows["rois"].append(row("rois", **volume, **roi, outline_spec_id="out-1" if found else None))
        if verdict is not None:
            rows["reviews"].append(
                row("reviews", **case, roi_key=roi["roi_key"], input_digest=name, verdict=str(verdict))
            )
    for table, of_table in rows.items():
        store.table(table).append(of_table)
    return store


def names(roi_keys: tuple[str, ...]) -> set[str]:
    return {key.split("/")[1] for key in roi_keys}


def test_what_a_review_would_let_go_waits_for_it(store: FeatureStore) -> None:
    keys = [f"A/{name}" for name in CASES]
    found = sort_out(store.at(None), keys, send_unreviewed=False)
    assert (names(found.ready), names(found.others)) == (SENT, CASES.keys() - SENT)
    assert found.waiting == {"A/found"}
    found = sort_out(store.at(None), keys, send_unreviewed=True)
    assert (names(found.ready), names(found.others)) == ({*SENT, "found"}, CASES.keys() - SENT - {"found"})
    assert found.waiting == frozenset()
    assert names(sort_out(store.at(None), ["A/drawn"], send_unreviewed=False).ready) == {"drawn"}
