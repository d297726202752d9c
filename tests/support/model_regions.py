"""The store of `model_store` with a small feature set of its outlines and of rims of these; CVT moves some features of both."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cvtbatch.pipelines.extraction.region_work import RegionWork
from cvtbatch.pipelines.extraction.set_settings import specify_set
from cvtbatch.radiomics.parameter_file import check_parameters
from cvtbatch.regions.rules import rule_of
from cvtbatch.spec import Spec, region_spec
from cvtbatch.store import FeatureStore
from tests.support.model_store import VOLUME_SPEC, fill
from tests.support.store_rows import RADIOMICS_SPEC, Row, row

RIM_SPEC = region_spec(VOLUME_SPEC, rule_of("rim5").settings())
# By case: its rim is empty, or was never derived.
EMPTY, UNDERIVED = ("C1/004", "C2/004"), ("C1/006", "C2/006")
# Second outlines without a rim.
NO_SECOND = ("C1/008", "C1/009")
SET, TABLE = "small", "features_small"
PARAMETERS = {
    "imageType": {"Original": {}, "Wavelet": {}},
    "featureClass": {"firstorder": ["Mean", "Entropy", "Range"]},
    "setting": {"binWidth": 25},
}
ROI = ("roi_key", "case_key", "center", "case_id", "roi", "reader", "reading", "volume_spec_id", "input_digest")
OF_OUTLINE, OF_RIM = slice(0, 3), slice(5, 9)


def set_spec() -> Spec:
    """Return the specification of the set."""
    found = check_parameters(PARAMETERS).feature_set
    assert found is not None
    return specify_set(SET, found, VOLUME_SPEC)


def fill_with_set(url: str | Path) -> FeatureStore:
    """Make the store without rims."""
    store, spec = fill(url), set_spec()
    _add_spec(store, spec)
    store.create_tables()
    study = [RADIOMICS_SPEC.spec_id]
    outlines = store.at(None).features("radiomics", ["roi_key"], spec=study)["roi_key"].to_pylist()
    rows = [outline for outline in store.current("rois").to_pylist() if outline["roi_key"] in outlines]
    store.table(TABLE).append([_featured(store, outline, OF_OUTLINE) for outline in rows])
    return store


def add_rims(store: FeatureStore, cases: Sequence[str] | None = None, spec: Spec = RIM_SPEC) -> None:
    """Derive the rims of some cases' outlines, by default of all but UNDERIVED."""
    _add_spec(store, spec)
    rim, rows = RegionWork(rule_of("rim5"), spec.spec_id), dict[str, list[Row]](rois=[], regions=[])
    featured = []
    for outline in [outline for outline in store.current("rois").to_pylist() if outline["region"] is None]:
        case, second = outline["case_key"], outline["reader"] == "B"
        if case in UNDERIVED if cases is None else case not in cases:
            continue
        if second and case in NO_SECOND:
            continue
        key = {name: outline[name] for name in ("case_key", "center", "case_id", "reader", "reading", "volume_spec_id")}
        key |= {"roi_key": rim.key(outline["roi_key"]), "roi": "hematoma.rim5", "region": "rim5"}
        key |= {"input_digest": rim.input_digest(outline["input_digest"]), "region_spec_id": rim.region_spec_id}
        parent = {"parent_roi_key": outline["roi_key"], "parent_digest": outline["input_digest"]}
        state = {"state": "empty", "reason": "nothing_left"} if case in EMPTY else {"state": "derived"}
        rows["regions"].append(row("regions", **key, **parent, **state))
        if case not in EMPTY:
            rows["rois"].append(row("rois", **key, image_digest=outline["image_digest"]))
            featured.append(_featured(store, key, OF_RIM))
    for name, batch in {**rows, TABLE: featured}.items():
        store.table(name).append(batch)


def _add_spec(store: FeatureStore, spec: Spec) -> None:
    columns = ("spec_id", "kind", "parent_id", "settings")
    store.table("specs").append([row("specs", **{name: getattr(spec, name) for name in columns})])


def _featured(store: FeatureStore, roi: Row, moved: slice) -> Row:
    """Return the set's row of an ROI; readers agree on all but the last features."""
    cvt = int(str(roi["case_id"])) % 2
    names, case = store.table(TABLE).contract.features, [5, moved.start, *str(roi["case_key"]).encode()]
    values = np.random.default_rng(case).normal(size=len(names))
    values[moved] += 1.2 * cvt
    if roi["reader"] == "B":
        noise = np.where(np.arange(len(names)) < len(names) - 4, 0.05, 3.0)
        values += noise * np.random.default_rng([6, *case]).normal(size=len(names))
    own = {name: roi[name] for name in ROI}
    features = dict(zip(names, values.tolist(), strict=True))
    return row("radiomics", **own, region=roi["region"], radiomics_spec_id=set_spec().spec_id, **features)
