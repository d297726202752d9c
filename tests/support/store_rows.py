"""Rows for stores that nothing was extracted into: generated values under true contracts."""

import datetime
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.spec import Spec, radiomics_spec, volume_spec
from cvtbatch.store import FeatureStore

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
GRID = Grid((4, 4, 3), (0.5, 0.5, 5.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
VOLUME_SPEC = volume_spec(GRID.spacing_mm)
Row = dict[str, object]


def radiomics_spec_of(**settings: object) -> Spec:
    return radiomics_spec(VOLUME_SPEC, {"binWidth": 5, "normalize": False, **settings}, contracts.feature_names())


RADIOMICS_SPEC = radiomics_spec_of()
EMBEDDING_SPEC = Spec("embedding", VOLUME_SPEC.spec_id, "{}")


def row(table: str, **values: object) -> Row:
    """Return a row of a table: the values, and something of the right type in every other column that needs one."""
    fillers = {"string": "", "integer": 1, "number": 1.0, "boolean": False, "array": [], "datetime": NOW}
    needed = {field.name: fillers[field.type] for field in contracts.table(table).fields if field.required}
    return {**needed, **values}


def feature_values(seed: int) -> dict[str, float]:
    """Return a value of every feature, one of them NaN and one -0.0."""
    names = contracts.feature_names()
    values = np.random.default_rng(seed).normal(size=len(names)).tolist()
    return {**dict(zip(names, values, strict=True)), names[30]: float("nan"), names[31]: -0.0}


def case_rows(
    store: FeatureStore, number: int, center: str = "A", image: str = "", specs: Sequence[Spec] = (RADIOMICS_SPEC,)
) -> dict[str, list[Row]]:
    """Write a volume and a mask, and return the rows of a case with one ROI, by table."""
    case = {"case_key": f"{center}/{number}", "center": center, "case_id": str(number)}
    volume_id = {"volume_spec_id": VOLUME_SPEC.spec_id}
    image = image or f"image-{center}-{number}"
    inputs = {
        "image_digest": image,
        "mask_digest": f"mask-{center}-{number}",
        "input_digest": f"input-{center}-{number}",
    }
    roi = {"roi_key": f"{center}/{number}/hematoma/A/1", "roi": "hematoma", "reader": "A", "reading": 1}
    rng = np.random.default_rng(number)
    volume = store.write_volume(rng.integers(0, 90, GRID.shape_zyx).astype(np.int16), GRID)
    mask = store.write_mask(np.ones(GRID.shape_zyx, np.uint8), GRID)
    grid = {"size_xyz": [4, 4, 3], "spacing_mm": [0.5, 0.5, 5.0]}
    rows = {
        "cases": [row("cases", **case, patient=f"p{number}", clinical_digest=f"clinical-{number}", age=40.0 + number)],
        "volumes": [
            row("volumes", **case, **volume_id, **grid, image_digest=image, path=volume.path, checksum=volume.checksum)
        ],
        "rois": [row("rois", **case, **roi, **volume_id, **inputs, path=mask.path, checksum=mask.checksum)],
        "radiomics": [],
        "embeddings": [],
    }
    of_input = {**case, **roi, **volume_id, "input_digest": inputs["input_digest"]}
    for spec in specs:
        rows["radiomics"].append(
            row("radiomics", **of_input, radiomics_spec_id=spec.spec_id, engine="fast", **feature_values(number))
        )
    for index in (1, 2):
        values = np.random.default_rng(number * 10 + index).normal(size=8).astype(np.float32).tolist()
        slice_ = {"slice_index": index, "is_largest": index == 2, "embedding": values, "weights": "random:0"}
        rows["embeddings"].append(row("embeddings", **of_input, embedding_spec_id=EMBEDDING_SPEC.spec_id, **slice_))
    return rows


def add_cases(store: FeatureStore, *cases: dict[str, list[Row]]) -> None:
    """Append the rows of cases, a commit a table."""
    for name in ("volumes", "cases", "rois", "radiomics", "embeddings"):
        store.table(name).append([row for case in cases for row in case[name]])


def add_specs(store: FeatureStore, *specs: Spec) -> None:
    rows = [
        row("specs", spec_id=spec.spec_id, kind=spec.kind, parent_id=spec.parent_id, settings=spec.settings)
        for spec in specs
    ]
    store.table("specs").append(rows)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Say whether two tables hold the same values, NaN and -0.0 included."""
    return one.column_names == other.column_names and repr(one.to_pylist()) == repr(other.to_pylist())
