"""A store of made-up features under true contracts, in two centres, on which a model can be fitted and scored."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cvtbatch import contracts
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
        rows["rois"].append(row("rois", **case, **roi, **volume, input_digest=digest))
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
            rows["embeddings"].append(row("embeddings", **of_input, embedding_spec_id=embedding_spec.spec_id, **slice_))
