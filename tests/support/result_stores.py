"""Stores that know the cases of a manifest without having computed features, and a bundle of their specifications."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import write_bundle
from cvtbatch.dlrn.recalibration import OWN_KEYS
from cvtbatch.documents import to_document
from cvtbatch.geometry import Grid, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.imaging.placement import mask_volume_ml
from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from cvtbatch.manifest import read_manifest
from cvtbatch.store import FeatureStore
from cvtbatch.validation.outcome import CVT, Outcome
from tests.support.cohorts import golden_of
from tests.support.paths import ROOT
from tests.support.store_rows import VOLUME_SPEC, row

# Of a case by a bundle; no model computed them.
SCORES = {
    **{"rad": 0.41, "dl": 0.32, "dlr": 0.73, "dlrn": 0.625, "rad_probability": 0.3, "dlr_probability": 0.61},
    **{"rad_youden": 1, "rad_sens90": 1, "rad_sens95": 1, "dl_youden": 1, "dl_sens90": 1, "dl_sens95": 1},
    **{"dlr_youden": 1, "dlr_sens90": 1, "dlr_sens95": 1, "dlrn_youden": 1, "dlrn_sens90": 1, "dlrn_sens95": 0},
    **{"points_dlr": 73.25, "points_epilepsy": 12.5, "points_total": 85.75, "outside_count": 2},
    **{"clinical_terms": ["epilepsy", "age"], "clinical_points": [12.5, 7.25]},
}


def image_of(grid: Grid) -> np.ndarray:
    """Return an image of 61 HU and noise."""
    return np.random.default_rng(1).normal(61, 5, grid.shape_zyx).astype(np.int16)


def keep(store: FeatureStore, manifest: Path) -> None:
    """Store the cases of a manifest as `extract` does, with `image_of` in place of their images; one named nifti as no DICOM."""
    for case in read_manifest(manifest):
        source = read_volume(case)
        mask = read_mask(case.rois[0], lambda source=source: ImageSlices.of(source))
        grid = stored_grid(source.stack, (0.5, 0.5, 5.0))
        stored = place_mask(mask.voxels_zyx, mask.place, grid)
        volume, voxels = store.write_volume(image_of(grid), grid), store.write_mask(stored, grid)
        identity = {"case_key": case.case_key, "center": "A", "case_id": case.case_id}
        of_volume = {**identity, "volume_spec_id": VOLUME_SPEC.spec_id, "image_digest": source.image_digest()}
        place = {"size_xyz": grid.size_xyz, "spacing_mm": grid.spacing_mm, "origin_mm": grid.origin_mm}
        where = {**place, "direction": grid.direction, "path": volume.path, "checksum": volume.checksum}
        kind = {"source_format": "NIfTI" if case.case_id == "nifti" else "DICOM"}
        roi = {"roi_key": case.rois[0].roi_key, "roi": "hematoma", "reader": "A", "reading": 1}
        digests = {"mask_digest": mask.mask_digest(), "input_digest": mask.mask_digest()}
        area = float(stored.sum(axis=(1, 2)).max()) * 0.25
        measures = {"volume_ml": mask_volume_ml(stored, grid), "largest_slice_area_mm2": area}
        files = {"path": voxels.path, "checksum": voxels.checksum}
        store.table("volumes").append([row("volumes", **of_volume, **where, **kind)])
        store.table("rois").append([row("rois", **of_volume, **roi, **digests, **measures, **files)])


def add_scores(store: FeatureStore, bundle_digest: str) -> None:
    """Append `SCORES` of every outline that a store has."""
    names = ("roi_key", "case_key", "center", "case_id", "reader")
    store.table("scores").append(
        [
            row(
                "scores",
                **{name: roi[name] for name in names},
                radiomics_digest=roi["input_digest"],
                clinical_digest="",
                fitted_reader="A",
                bundle_digest=bundle_digest,
                **SCORES,
            )
            for roi in store.rois().to_pylist()
        ]
    )


def adapted_bundle(store: Path, to: Path, outcome: Outcome = CVT) -> Path:
    """Write a kept bundle anew, for the specifications, features and embeddings of a store, and as one that tells an outcome."""
    bundle = load_bundle(ROOT / "tests" / "compat" / "bundle-2")
    specs = {spec.kind: (name, spec) for name, spec in FeatureStore(str(store)).at(None).specs().items()}
    loadings = np.zeros((2048, bundle.model.loadings.shape[1]))
    loadings[: len(bundle.model.loadings)] = bundle.model.loadings
    names = contracts.feature_names()[: len(bundle.model.radiomics)]
    model = replace(bundle.model, radiomics=names, loadings=loadings)
    document = {name: value for name, value in bundle.document.items() if name not in OWN_KEYS}
    document["specs"] = {f"{kind}_spec_id": name for kind, (name, _) in specs.items()}
    document["spec_settings"] = {kind: spec.content() for kind, (_, spec) in specs.items()}
    document["job"] = {"cohort": {"primary_reader": "A", "primary_reading": 1}}
    if outcome != CVT:
        document["outcome"] = to_document(outcome)
    nothing = pa.table({"selected": pa.array([], pa.string())})
    columns = {name: pa.array([0.0]) for name in names} | {"epilepsy": pa.array([1])}
    rows = pa.table({**columns, "embedding": pa.array([[0.0] * 2048], pa.list_(pa.float32()))})
    write_bundle(to, document, model, golden_of(model, rows), nothing, bundle.out_of_fold)
    return to
