"""Stores of patients who were scanned several times."""

from cvtbatch import contracts
from cvtbatch.store import FeatureStore
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, Row, add_specs, row

FEATURES = contracts.feature_names()
# Of each case: patient, timepoint, hours from onset, and ml by outline (ROI, reader, reading).
Outlines = dict[tuple[str, str, int], float]
HEMATOMA, IVH = ("hematoma", "A", 1), ("ivh", "A", 1)
CASES: dict[tuple[str, str], tuple[str, int | None, float | None, Outlines]] = {
    # Two follow-ups, each beside the first study: grows by 5 ml (25 %), then by 7 (35 %).
    ("C1", "p1-a"): ("p1", 0, 2.0, {HEMATOMA: 20.0}),
    ("C1", "p1-c"): ("p1", 2, 50.0, {HEMATOMA: 27.0}),
    ("C1", "p1-b"): ("p1", 1, 26.5, {HEMATOMA: 25.0}),
    # The same pseudonym elsewhere is somebody else, with one study.
    ("C2", "p1-a"): ("p1", 1, 20.0, {HEMATOMA: 99.0}),
    # New blood in the ventricles, by hours alone; the second reader has outlined the first study only.
    ("C1", "p2-z"): ("p2", None, 1.0, {HEMATOMA: 10.0, ("hematoma", "B", 1): 11.0}),
    ("C1", "p2-a"): ("p2", None, 6.0, {HEMATOMA: 10.5, IVH: 0.4}),
    # Two hematomas, of which one is new; blood in the ventricles grows by 1 ml.
    ("C1", "p3-a"): ("p3", 0, None, {HEMATOMA: 30.0, IVH: 2.0}),
    ("C1", "p3-b"): ("p3", 1, None, {HEMATOMA: 30.0, ("second", "A", 1): 4.0, IVH: 3.0}),
    # No outline yet of the follow-up.
    ("C1", "p4-a"): ("p4", 0, 3.0, {HEMATOMA: 8.0}),
    ("C1", "p4-b"): ("p4", 1, 9.0, {}),
    # Nothing says which is the first.
    ("C1", "p5-a"): ("p5", None, None, {HEMATOMA: 8.0}),
    ("C1", "p5-b"): ("p5", None, 4.0, {HEMATOMA: 9.0}),
}


def fill_pairs(
    url: str, cases: dict[tuple[str, str], tuple[str, int | None, float | None, Outlines]], *, features: bool = False
) -> FeatureStore:
    """Return a store of these cases; with features, number i of the n-th outline is n + i."""
    store = FeatureStore.open_for_writing(url)
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC)
    rows: dict[str, list[Row]] = {"volumes": [], "cases": [], "rois": [], "radiomics": []}
    for (center, case_id), (patient, timepoint, hours, outlines) in cases.items():
        case = {"case_key": f"{center}/{case_id}", "center": center, "case_id": case_id}
        volume = {"volume_spec_id": VOLUME_SPEC.spec_id, "image_digest": f"image-{center}-{case_id}"}
        times = {"timepoint": timepoint, "onset_to_ct_h": hours}
        rows["cases"].append(row("cases", **case, patient=patient, extra="{}", **times))
        rows["volumes"].append(row("volumes", **case, **volume))
        for (roi, reader, reading), ml in outlines.items():
            key = f"{center}/{case_id}/{roi}/{reader}/{reading}"
            outline = {"roi_key": key, "roi": roi, "reader": reader, "reading": reading, "input_digest": f"of {key}"}
            # The stored mask is another number, and not the one that was drawn.
            volumes = {"source_volume_ml": ml, "volume_ml": ml + 100}
            rows["rois"].append(row("rois", **case, **outline, **volume, **volumes))
            if not features:
                continue
            values = {name: float(len(rows["radiomics"]) + number) for number, name in enumerate(FEATURES)}
            of_input = {"volume_spec_id": VOLUME_SPEC.spec_id, "radiomics_spec_id": RADIOMICS_SPEC.spec_id}
            rows["radiomics"].append(row("radiomics", **case, **outline, **of_input, **values))
    for name, batch in rows.items():
        store.table(name).append(batch)
    return store
