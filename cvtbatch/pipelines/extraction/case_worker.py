"""One case on a worker: read, resample once, write, compute. Returns rows or failures; writes no table."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cvtbatch.engine import require_memory
from cvtbatch.errors import FormatError
from cvtbatch.geometry import Grid
from cvtbatch.imaging import place_mask, require_in_head, resample_stack
from cvtbatch.ingest import ImageSlices, SourceVolume, read_mask, read_volume, source_bytes
from cvtbatch.pipelines.extraction.case_plan import CaseTask, FeatureTask, RoiTask, ValueWork
from cvtbatch.pipelines.extraction.case_result import CaseResult, Row, case_identity, roi_identity
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.feature_step import FeatureStep, MaskedRoi
from cvtbatch.pipelines.extraction.guard import About, Stopped, guarded
from cvtbatch.pipelines.extraction.roi_row import mask_columns
from cvtbatch.pipelines.extraction.source_inputs import SourceInputs
from cvtbatch.pipelines.extraction.stored_masks import is_whole
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.pipelines.extraction.volume_row import describe_volume
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from cvtbatch.spec import digest
from cvtbatch.store import ArrayStore, StoredArray

Value = TypeVar("Value")


@dataclass(slots=True)
class _Volume:
    """The volume of the case: where it is stored, and its voxels and its source's slices once somebody needs them."""

    digest: str
    grid: Grid
    stored: StoredArray
    hu_zyx: npt.NDArray[np.int16] | None
    slices: ImageSlices | None = None


class CaseWorker:
    """Works on a case; see `process_case`."""

    def __init__(self, task: CaseTask) -> None:
        self.meter = Meter()
        self.task = task
        self.store = ArrayStore(task.work.store_url)
        self.features = FeatureStep(task.work, self.store, self.meter)
        self.sources = SourceInputs(
            task.case, self.meter, wanted=any(features.grid == "source" for features in task.work.features)
        )
        self.rows: dict[str, list[Row]] = {"volumes": [], "rois": [], **self.features.rows}
        self.failures: list[Failure] = []
        self.succeeded: list[FailureKey] = []
        self.decoded = False
        self.computed = False

    def process(self) -> CaseResult:
        try:
            volume = self._volume()
            self.succeeded.append(FailureKey("", self.task.work.volume_spec_id))
            for roi in self.task.rois:
                if not roi.skipped:
                    self._roi(roi, volume)
        except Stopped as stopped:
            self.failures.append(stopped.failure)
        return CaseResult(
            rows=self.rows,
            failures=(*self.failures, *self.features.failures),
            succeeded=(*self.succeeded, *self.features.succeeded),
            audits=tuple(self.features.audits),
            decoded=self.decoded or self.sources.decoded,
            computed=self.computed or self.features.computed,
            cost=self.meter.cost(),
        )

    def _guarded(self, stage: str, roi: RoiTask | None, function: Callable[[], Value]) -> Value:
        """Call the function; stop the case or ROI with a failure if it raises anything but a fault of the store."""
        key = FailureKey(roi.source.roi_key if roi else "", self.task.work.volume_spec_id)
        return guarded(self.meter, stage, key, self._about(roi), function)

    def _about(self, roi: RoiTask | None) -> About:
        if roi is None:
            return About(self.task.failure_fingerprint, self.task.case.manifest_row)
        return About(roi.failure_fingerprint, roi.source.manifest_row)

    def _volume(self) -> _Volume:
        task, known = self.task, self.task.known
        if known is not None and task.unchanged:
            return _Volume(known.image_digest, known.grid, known.stored, None)
        source = self._read_source()
        image_digest = source.image_digest()
        self.sources.keep_image(image_digest, source)
        if known is not None and known.image_digest == image_digest:
            if not is_whole(self.store, known.stored):
                return self._write_volume(source, image_digest, known.generation + 1)
            self._add_volume_row(source, image_digest, known.grid, known.stored, known.generation)
            return _Volume(image_digest, known.grid, known.stored, None, ImageSlices.of(source))
        return self._write_volume(source, image_digest, generation=0)

    def _read_source(self) -> SourceVolume:
        self.decoded = True
        return self._guarded("read", None, self._read_image)

    def _read_image(self) -> SourceVolume:
        with case_at_hand(self.task.case) as case:
            self.meter.read_bytes += source_bytes(case.image)
            return read_volume(case, require_memory)

    def _write_volume(self, source: SourceVolume, image_digest: str, generation: int) -> _Volume:
        spacing_mm = self.task.work.spacing_mm
        hu_zyx, grid = self._guarded("volume", None, lambda: resample_stack(source.hu_zyx, source.stack, spacing_mm))
        stored = self._write(lambda: self.store.write_volume(hu_zyx, grid))
        self.computed = True
        self._add_volume_row(source, image_digest, grid, stored, generation)
        return _Volume(image_digest, grid, stored, hu_zyx, ImageSlices.of(source))

    def _write(self, write: Callable[[], StoredArray]) -> StoredArray:
        with self.meter.stage("write"):
            stored = write()
        self.meter.written_bytes += stored.size_bytes
        return stored

    def _slices(self, volume: _Volume) -> ImageSlices:
        """Return where the slices of the image lie, for outlines that were drawn on them."""
        if volume.slices is None:
            source = self._read_source()
            changed = FormatError("source_changed", "the image is not the one that was stored")
            self._guarded("read", None, lambda: _require_same(source, volume.digest, changed))
            self.sources.keep_image(volume.digest, source)
            volume.slices = ImageSlices.of(source)
        return volume.slices

    def _voxels(self, volume: _Volume) -> npt.NDArray[np.int16]:
        """Return the stored voxels; a stored volume that is lost or damaged is made anew from its source."""
        if volume.hu_zyx is not None:
            return volume.hu_zyx
        try:
            hu_zyx = np.asarray(self.store.read_array(volume.stored), dtype=np.int16)
        except FormatError as error:
            damage = error
            source = self._read_source()
            self._guarded("read", None, lambda: _require_same(source, volume.digest, damage))
            self.sources.keep_image(volume.digest, source)
            generation = self.task.known.generation + 1 if self.task.known else 1
            renewed = self._write_volume(source, volume.digest, generation)
            volume.stored, volume.hu_zyx = renewed.stored, renewed.hu_zyx
            return self._voxels(volume)
        volume.hu_zyx = hu_zyx
        return hu_zyx

    def _roi(self, roi: RoiTask, volume: _Volume) -> None:
        key, work = roi.source.roi_key, self.task.work
        with self._holding_failures():
            input_digest, mask_zyx = self._mask(roi, volume)
            self.succeeded.append(FailureKey(key, work.volume_spec_id))
            for features, there in zip(work.values, roi.features, strict=True):
                if there.skipped:
                    continue
                wanted = input_digest not in there.featured or there.audit_failed
                if wanted and mask_zyx is None and features.grid == "stored":
                    input_digest, mask_zyx = self._stored_mask(roi, volume)
                with self._holding_failures():
                    if wanted and features.grid == "source":
                        of_set = FailureKey(key, features.spec_id)
                        given = self.sources.of_roi(roi.source, volume.digest, input_digest, of_set, self._about(roi))
                        self._compute(roi, given.mask_zyx, input_digest, features, there, given.hu_zyx, given.grid)
                    elif wanted and mask_zyx is not None:
                        hu_zyx = self._voxels(volume)
                        self._compute(roi, mask_zyx, input_digest, features, there, hu_zyx, volume.grid)
                    self.succeeded.append(FailureKey(key, features.spec_id))

    def _compute(
        self,
        roi: RoiTask,
        mask_zyx: npt.NDArray[np.uint8],
        input_digest: str,
        features: ValueWork,
        there: FeatureTask,
        hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32],
        grid: Grid,
    ) -> None:
        masked = MaskedRoi(
            roi_key=roi.source.roi_key,
            identity=roi_identity(self.task.case, roi.source),
            about=self._about(roi),
            mask_zyx=mask_zyx,
            input_digest=input_digest,
        )
        featured = input_digest in there.featured
        self.features.add(masked, features, hu_zyx, grid, featured=featured, audited=there.audited)

    @contextlib.contextmanager
    def _holding_failures(self) -> Iterator[None]:
        """Hold the failure of an outline, or of one kind of its values, that stops the block."""
        try:
            yield
        except Stopped as stopped:
            if not stopped.failure.key.roi_key:
                raise
            self.failures.append(stopped.failure)

    def _mask(self, roi: RoiTask, volume: _Volume) -> tuple[str, npt.NDArray[np.uint8] | None]:
        """Return the digest of image and mask, and the mask's voxels if they had to be read."""
        known = roi.known
        if known is not None and roi.unchanged and known.image_digest == volume.digest:
            return known.input_digest, None
        return self._read_mask(roi, volume)

    def _stored_mask(self, roi: RoiTask, volume: _Volume) -> tuple[str, npt.NDArray[np.uint8]]:
        """Return digest and voxels of a mask that is known; one that is lost or damaged is made anew from its source."""
        if roi.known is not None:
            with contextlib.suppress(FormatError):
                return roi.known.input_digest, np.asarray(self.store.read_array(roi.known.stored), dtype=np.uint8)
        return self._read_mask(roi, volume)

    def _read_mask(self, roi: RoiTask, volume: _Volume) -> tuple[str, npt.NDArray[np.uint8]]:
        known = roi.known
        self.decoded = True
        self.meter.read_bytes += source_bytes(roi.source.mask or "")
        source = self._guarded("mask", roi, lambda: read_mask(roi.source, lambda: self._slices(volume), require_memory))
        mask_digest = source.mask_digest()
        self.sources.keep_mask(roi.source.roi_key, mask_digest, source)
        input_digest = digest(volume.digest, mask_digest)
        mask_zyx = self._guarded("mask", roi, lambda: place_mask(source.voxels_zyx, source.place, volume.grid))
        hu_zyx = self._voxels(volume)
        self._guarded("mask", roi, lambda: require_in_head(mask_zyx, hu_zyx, volume.grid))
        same = known is not None and known.input_digest == input_digest
        if known is not None and same and is_whole(self.store, known.stored):
            stored, generation = known.stored, known.generation
        else:
            stored = self._write(lambda: self.store.write_mask(mask_zyx, volume.grid))
            generation = known.generation + 1 if known is not None and same else 0
            self.computed = True
        digests = {"image_digest": volume.digest, "mask_digest": mask_digest, "input_digest": input_digest}
        self.rows["rois"].append(
            {
                **roi_identity(self.task.case, roi.source),
                "volume_spec_id": self.task.work.volume_spec_id,
                **digests,
                "mask_fingerprint": roi.fingerprint,
                "path": stored.path,
                "checksum": stored.checksum,
                "generation": generation,
                "mask_format": source.mask_format,
                **mask_columns(mask_zyx, hu_zyx, volume.grid, source.volume_ml, source.flags),
            }
        )
        return input_digest, mask_zyx

    def _add_volume_row(
        self, source: SourceVolume, image_digest: str, grid: Grid, stored: StoredArray, generation: int
    ) -> None:
        task = self.task
        described = self._guarded("volume", None, lambda: describe_volume(source, grid, task.work.uid_key))
        self.rows["volumes"].append(
            {
                **case_identity(task.case),
                "volume_spec_id": task.work.volume_spec_id,
                "image_digest": image_digest,
                "image_fingerprint": task.fingerprint,
                "path": stored.path,
                "checksum": stored.checksum,
                "generation": generation,
                **described,
                "manifest_row": task.case.manifest_row,
            }
        )


def _require_same(source: SourceVolume, image_digest: str, damage: FormatError) -> None:
    if source.image_digest() != image_digest:
        raise FormatError(
            damage.kind,
            f"{damage.message}; it cannot be made anew, since the source has changed: run again with --verify-inputs",
        )
