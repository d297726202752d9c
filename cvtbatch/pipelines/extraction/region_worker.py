"""Derives regions of a case's stored outlines on a worker, and computes their features. Returns rows; writes no table."""

from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from cvtbatch.engine import require_memory
from cvtbatch.errors import FormatError
from cvtbatch.ingest import SourceMask
from cvtbatch.outlining.skull import NoInside, find_inside
from cvtbatch.pipelines.extraction.case_result import Row, roi_identity
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.feature_step import FeatureStep, MaskedRoi
from cvtbatch.pipelines.extraction.guard import About, Stopped, guarded
from cvtbatch.pipelines.extraction.limits import region_bytes
from cvtbatch.pipelines.extraction.region_plan import Parent, RegionInput, RegionTask
from cvtbatch.pipelines.extraction.region_result import RegionResult
from cvtbatch.pipelines.extraction.region_row import region_mask_columns, region_row
from cvtbatch.pipelines.extraction.stored_masks import store_mask
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.regions.masks import NoRegion, Region, derive_region
from cvtbatch.store import ArrayStore


class RegionWorker:
    """Works on the regions of a case; see `derive_regions`. Volume, skull and masks are read or found once they are needed."""

    def __init__(self, task: RegionTask) -> None:
        self._task, self._meter = task, Meter()
        self._store = ArrayStore(task.work.store_url)
        self._features = FeatureStep(task.work, self._store, self._meter)
        self._rows: dict[str, list[Row]] = {"rois": [], "regions": []}
        self._failures: list[Failure] = []
        self._succeeded: list[FailureKey] = []
        self._masks: dict[str, npt.NDArray[np.uint8]] = {}

    def process(self) -> RegionResult:
        require_memory(region_bytes(self._task.grid))
        for outline in self._task.outlines:
            for region in outline.regions:
                try:
                    self._add(outline, region)
                except Stopped as stopped:
                    self._failures.append(stopped.failure)
        return RegionResult(
            rows={**self._rows, **self._features.rows},
            failures=(*self._failures, *self._features.failures),
            succeeded=(*self._succeeded, *self._features.succeeded),
            audits=tuple(self._features.audits),
            cost=self._meter.cost(),
        )

    @cached_property
    def _hu_zyx(self) -> npt.NDArray[np.int16]:
        try:
            return np.asarray(self._store.read_array(self._task.volume), dtype=np.int16)
        except FormatError as error:
            raise _to_verify(error) from None

    @cached_property
    def _inside_zyx(self) -> npt.NDArray[np.bool_] | None:
        found = find_inside(self._hu_zyx, self._spacing_zyx_mm)
        return None if isinstance(found, NoInside) else found.mask_zyx

    @property
    def _spacing_zyx_mm(self) -> tuple[float, float, float]:
        x_mm, y_mm, z_mm = self._task.grid.spacing_mm
        return z_mm, y_mm, x_mm

    def _mask_of(self, outline: Parent) -> npt.NDArray[np.uint8]:
        if outline.roi_key not in self._masks:
            try:
                mask_zyx = np.asarray(self._store.read_array(outline.mask), dtype=np.uint8)
            except FormatError as error:
                raise _to_verify(error) from None
            self._masks[outline.roi_key] = mask_zyx
        return self._masks[outline.roi_key]

    def _add(self, outline: Parent, region: RegionInput) -> None:
        """Derive a region and compute its features; one without voxels has neither mask nor features, and is no failure."""
        about = About(region.fingerprint, region.source.manifest_row)
        step = partial(guarded, self._meter, "region", region.failure_key, about)
        found = step(partial(self._derive, outline, region))
        self._rows["regions"].append(region_row(self._task, outline, region, found))
        keys = [FailureKey(region.source.roi_key, part.radiomics_spec_id) for part in self._task.work.features]
        self._succeeded.append(region.failure_key)
        if isinstance(found, NoRegion):
            self._succeeded += keys
            return
        mask_zyx = found.mask_zyx.astype(np.uint8)
        columns = step(partial(region_mask_columns, found, self._hu_zyx, self._task.grid))
        self._add_mask(outline, region, mask_zyx, columns)
        self._add_features(region, about, mask_zyx)

    def _derive(self, outline: Parent, region: RegionInput) -> Region | NoRegion:
        return derive_region(
            region.region.rule,
            self._mask_of(outline),
            self._hu_zyx,
            self._spacing_zyx_mm,
            lambda: self._inside_zyx,
        )

    def _add_mask(self, outline: Parent, region: RegionInput, mask_zyx: npt.NDArray[np.uint8], columns: Row) -> None:
        """Write a region's mask, unless it is stored as it is, and its row."""
        task = self._task
        stored, generation = store_mask(
            self._store, self._meter, mask_zyx, task.grid, region.input_digest, region.known
        )
        self._rows["rois"].append(
            {
                **roi_identity(task.case, region.source),
                "region": region.region.rule.name,
                "outline_spec_id": outline.outline_spec_id or None,
                "region_spec_id": region.region.region_spec_id,
                "volume_spec_id": task.work.volume_spec_id,
                "image_digest": task.image_digest,
                "mask_digest": SourceMask(mask_zyx, task.grid, "").mask_digest(),
                "input_digest": region.input_digest,
                "mask_fingerprint": region.input_digest,
                "path": stored.path,
                "checksum": stored.checksum,
                "generation": generation,
                "mask_format": None,
                **columns,
            }
        )

    def _add_features(self, region: RegionInput, about: About, mask_zyx: npt.NDArray[np.uint8]) -> None:
        """Compute the features that a region lacks, or compare again those that did not agree; a set that fails stops no other."""
        key = region.source.roi_key
        identity = {**roi_identity(self._task.case, region.source), "region": region.region.rule.name}
        roi = MaskedRoi(key, identity, about, mask_zyx, region.input_digest)
        for features, there in zip(self._task.work.features, region.features, strict=True):
            if there.skipped:
                continue
            featured = region.input_digest in there.featured
            try:
                if not featured or there.audit_failed:
                    self._features.add(
                        roi, features, self._hu_zyx, self._task.grid, featured=featured, audited=there.audited
                    )
                self._succeeded.append(FailureKey(key, features.radiomics_spec_id))
            except Stopped as stopped:
                self._failures.append(stopped.failure)


def _to_verify(error: FormatError) -> FormatError:
    """Return the error of a stored array that is lost or damaged, with what makes it anew."""
    return FormatError(
        error.kind, f"{error.message}: run extract with --verify-inputs, which makes it anew", error.private
    )
