"""A store of made-up features under true contracts, in two centres, on which a model can be fitted and scored."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.manifest import patient_digest
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, Row, row

LENGTH = 24
EMBEDDING_SPEC = Spec(
    "embedding", VOLUME_SPEC.spec_id, canonical_json({"weights": {"sha256": "a" * 64, "fine_tuned": {}}})
)
# Those of C1 who can be trained on.
TRAINED_ON = json.dumps([patient_digest("C1", f"C1-p{number}") for number in range(40)])
TUNED_SPEC = Spec(
    "embedding",
    VOLUME_SPEC.spec_id,
    canonical_json(
        {"weights": {"sha256": "b" * 64, "fine_tuned": {"training_centers": '["C1"]', "trained_on": TRAINED_ON}}}
    ),
)
CASES = {"C1": 44, "C2": 14}
# Of each outline, slice by slice.
VOXELS = (5, 3, 11, 4)
# Stored as no radiologist looks at it: columns run towards the patient's right, rows towards the face.
HEAD = Grid((120, 140, 3), (1.5, 1.5, 5.0), (0.0, 0.0, 0.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
DRAWN = "C2/001"


def fill(url: str | Path, embedding_spec: Spec = EMBEDDING_SPEC, more: Mapping[str, int] | None = None) -> FeatureStore:
    """Make a store of two centres; in C1, case 40 is traumatic, 41 has no outcome, 42 no embedding, 43 no features.

    CVT, every other case, moves 20 features and 3 directions of the embedding, and makes epilepsy likelier; case 2 of each centre
    has an unknown epilepsy. C1's first 12 cases are outlined again by reader B, who agrees on the first 900 features.

    Args:
        more: further centres like C2, with their numbers of cases.
    """
    store = FeatureStore.open_for_writing(str(url))
    rows: dict[str, list[Row]] = {name: [] for name in ("volumes", "cases", "rois", "radiomics", "embeddings")}
    for center, count in {**CASES, **(more or {})}.items():
        for number in range(count):
            _add_case(rows, center, number, embedding_spec)
    specs = [VOLUME_SPEC, RADIOMICS_SPEC, embedding_spec]
    columns = ("spec_id", "kind", "parent_id", "settings")
    store.table("specs").append([row("specs", **{name: getattr(spec, name) for name in columns}) for spec in specs])
    for name, batch in rows.items():
        store.table(name).append(batch)
    return store


def _add_case(rows: dict[str, list[Row]], center: str, number: int, embedding_spec: Spec) -> None:
    rng = np.random.default_rng([number, int(center[1:])])
    cvt = number % 2
    odd = center == "C1"
    case = {"case_key": f"{center}/{number:03d}", "center": center, "case_id": f"{number:03d}"}
    clinical = {
        "patient": f"{center}-p{number}",
        "cvt": None if odd and number == 41 else cvt,
        "epilepsy": None if number == 2 else int(rng.uniform() < (0.6 if cvt else 0.2)),
        "traumatic": int(odd and number == 40),
        "clinical_digest": f"clinical-{center}-{number}",
        "extra": "{}",
    }
    volume = {"volume_spec_id": VOLUME_SPEC.spec_id, "image_digest": f"image-{center}-{number}"}
    grid = {"size_xyz": [4, 4, 3], "spacing_mm": [0.5, 0.5, 5.0]}
    rows["cases"].append(row("cases", **case, **clinical))
    rows["volumes"].append(row("volumes", **case, **volume, **grid))
    names = contracts.feature_names()
    values = rng.normal(size=len(names)) * 10
    values[100:120] += 12 * cvt
    values[7] = 3.0
    readers = ("A", "B") if odd and number < 12 else ("A",)
    for reader in readers:
        roi = {"roi_key": f"{case['case_key']}/hematoma/{reader}/1", "roi": "hematoma", "reader": reader, "reading": 1}
        digest = f"input-{center}-{number}-{reader}"
        rows["rois"].append(row("rois", **case, **roi, **volume, input_digest=digest, voxels=sum(VOXELS)))
        of_input = {**case, **roi, "volume_spec_id": VOLUME_SPEC.spec_id, "input_digest": digest}
        own = values + (
            np.where(np.arange(len(names)) < 900, 0.1, 10) * rng.normal(size=len(names)) if reader == "B" else 0
        )
        if not (odd and number == 43):
            features = dict(zip(names, own.tolist(), strict=True))
            rows["radiomics"].append(row("radiomics", **of_input, radiomics_spec_id=RADIOMICS_SPEC.spec_id, **features))
        if odd and number in (42, 43):
            continue
        center_of_slices = rng.normal(size=LENGTH) + 1.5 * cvt * (np.arange(LENGTH) < 3)
        for index in range(4):
            embedding = (center_of_slices + 0.3 * rng.normal(size=LENGTH)).astype(np.float32).tolist()
            slice_ = {"slice_index": index, "is_largest": index == 2, "embedding": embedding, "weights": "file"}
            slice_["area_mm2"] = VOXELS[index] * 0.25
            rows["embeddings"].append(row("embeddings", **of_input, embedding_spec_id=embedding_spec.spec_id, **slice_))


def add_to_second_center(store: FeatureStore) -> None:
    """Give C2 a second reader of six cases, a real head, a traumatic case, one without outline and one that failed."""
    for name in ("rois", "radiomics", "embeddings"):
        rows = store.current(name)
        rows = rows.filter(pc.and_(pc.equal(rows["center"], "C2"), pc.less(rows["case_id"], "006"))).to_pylist()
        rng = np.random.default_rng(0)
        for entry in rows:
            entry |= {"reader": "B", "roi_key": entry["roi_key"].replace("/A/1", "/B/1")}
            entry["input_digest"] = entry["input_digest"].replace("-A", "-B")
            for feature in contracts.feature_names() if name == "radiomics" else ():
                entry[feature] += 0.1 * rng.normal()
        store.table(name).append(rows)
    hu, mask = np.full(HEAD.shape_zyx, 34, np.int16), np.zeros(HEAD.shape_zyx, np.uint8)
    mask[1, 60:80, 50:80] = 1
    stored = {"volumes": store.write_volume(hu, HEAD), "rois": store.write_mask(mask, HEAD)}
    for name, array in stored.items():
        rows = store.current(name)
        entries = rows.filter(pc.equal(rows["case_key"], DRAWN)).to_pylist()
        whole = {"spacing_mm": [1.5, 1.5, 5.0], "size_xyz": [120, 140, 3], "direction": list(HEAD.direction)}
        grid = whole if name == "volumes" else {"largest_slice": 1}
        changed = [
            {**entry, "path": array.path, "checksum": array.checksum, "generation": 2, **grid} for entry in entries
        ]
        store.table(name).append(changed)
    more = {"traumatic": {"traumatic": 1}, "awaiting": {}, "failing": {}}
    for name, values in more.items():
        case = {"case_key": f"C2/{name}", "center": "C2", "case_id": name}
        own = {"patient": f"C2-{name}", "clinical_digest": name, "extra": "{}", "cvt": 1, **values}
        store.table("cases").append([row("cases", **case, **own)])
    failing = {
        "case_key": "C2/failing",
        "center": "C2",
        "case_id": "failing",
        "kind": "empty_mask",
        "scope": "extraction",
    }
    store.table("failures").append([row("failures", **failing, spec_id=VOLUME_SPEC.spec_id, resolved=False)])
