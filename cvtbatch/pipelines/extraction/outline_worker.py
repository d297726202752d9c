"""Outlines stored volumes on a worker, and computes the features of what it finds. Returns rows; writes no table."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cvtbatch.engine import NeedsMemory, require_memory
from cvtbatch.errors import FormatError, StorageError
from cvtbatch.ingest import SourceMask
from cvtbatch.manifest import RoiSource
from cvtbatch.outlining.head import BloodMap, Head, Method, find_head
from cvtbatch.outlining.outline import Outlines, outlines_of
from cvtbatch.pipelines.extraction.case_result import Row, roi_identity
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.feature_step import FeatureStep, MaskedRoi
from cvtbatch.pipelines.extraction.guard import About, Stopped, guarded
from cvtbatch.pipelines.extraction.limits import outline_bytes
from cvtbatch.pipelines.extraction.outline_method import load_method
from cvtbatch.pipelines.extraction.outline_plan import VolumeInput, roi_fingerprint, roi_name
from cvtbatch.pipelines.extraction.outline_result import Outlined, OutlineResult, OutlineTask
from cvtbatch.pipelines.extraction.outline_row import found_flags, outline_flags, outline_row, place_of
from cvtbatch.pipelines.extraction.roi_row import mask_columns
from cvtbatch.pipelines.extraction.stored_masks import store_mask
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.spec import digest
from cvtbatch.store import ArrayStore

Value = TypeVar("Value")
Mask = npt.NDArray[np.uint8]
Volume = npt.NDArray[np.int16]


@dataclass(slots=True)
class _Work:
    """A volume, and what has become of it until now."""

    given: VolumeInput
    features: FeatureStep
    rois: list[Row] = field(default_factory=list)
    outlines: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    succeeded: list[FailureKey] = field(default_factory=list)
    found: int | None = None

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Hold the failure that stops the block."""
        try:
            yield
        except Stopped as stopped:
            self.failures.append(stopped.failure)

    def outlined(self) -> Outlined:
        return Outlined(
            volume=self.given,
            rows={"rois": self.rois, "outlines": self.outlines, **self.features.rows},
            failures=(*self.failures, *self.features.failures),
            succeeded=(*self.succeeded, *self.features.succeeded),
            audits=tuple(self.features.audits),
            found=self.found,
            computed=bool(self.outlines) or self.features.computed,
        )


class OutlineWorker:
    """Works on the volumes of a task; see `outline_volumes`."""

    def __init__(self, task: OutlineTask) -> None:
        self._work, self._meter = task.work, Meter()
        self._needed_bytes = outline_bytes(task)
        self._store = ArrayStore(task.work.features.store_url)
        self._volumes = [
            _Work(given, FeatureStep(task.work.features, self._store, self._meter)) for given in task.volumes
        ]

    def process(self) -> OutlineResult:
        require_memory(self._needed_bytes)
        heads: list[tuple[_Work, Head]] = []
        for work in self._volumes:
            with work.stopping():
                hu_zyx = self._guarded(work, partial(self._voxels, work.given))
                masks = self._known_masks(work.given)
                if masks is None:
                    heads.append((work, self._guarded(work, partial(find_head, hu_zyx, work.given.grid))))
                    continue
                for source, mask_zyx in masks:
                    self._add_features(work, source, work.given.known[source.roi_key].input_digest, mask_zyx, hu_zyx)
                work.found = len(masks)
                work.succeeded.append(self._whole)
        if heads:
            self._outline(heads)
        return OutlineResult(tuple(work.outlined() for work in self._volumes), self._meter.cost())

    def _guarded(self, work: _Work, function: Callable[[], Value]) -> Value:
        """Call the function; stop the volume with a failure if it raises anything but a fault of the store."""
        about = About(work.given.fingerprint, work.given.manifest_row)
        return guarded(self._meter, "outline", self._whole, about, function)

    @property
    def _whole(self) -> FailureKey:
        return FailureKey("", self._work.outline_spec_id)

    def _voxels(self, given: VolumeInput) -> Volume:
        try:
            return np.asarray(self._store.read_array(given.volume), dtype=np.int16)
        except FormatError as error:
            raise FormatError(
                error.kind, f"{error.message}: run extract with --verify-inputs, which makes it anew", error.private
            ) from None

    def _known_masks(self, given: VolumeInput) -> list[tuple[RoiSource, Mask]] | None:
        """Return the outlines that were found before and lack features; None where the volume is to be outlined.

        That is so again if one of them is lost or damaged.
        """
        if not given.rois:
            return None
        try:
            return [
                (source, np.asarray(self._store.read_array(given.known[source.roi_key].stored), dtype=np.uint8))
                for source in given.rois
            ]
        except FormatError:
            return None

    def _outline(self, heads: Sequence[tuple[_Work, Head]]) -> None:
        method = load_method(self._work)
        began = time.perf_counter()
        found = self._find(method, [head for _, head in heads])
        seconds = (time.perf_counter() - began) / len(heads)
        for (work, head), blood in zip(heads, found, strict=True):
            with work.stopping():
                blood_map = self._guarded(work, partial(_require_found, blood))
                outlines = self._guarded(
                    work, partial(outlines_of, head, blood_map, float(self._work.settings.least_ml))
                )
                place = self._guarded(work, partial(place_of, head, outlines))
                described = self._guarded(
                    work, partial(outline_row, self._work, work.given, head, blood_map, outlines, place)
                )
                self._add_outlines(work, head, outlines, outline_flags(self._work, outlines, place))
                work.outlines.append({**described, "seconds": seconds, "device": method.device})

    def _find(self, method: Method, heads: Sequence[Head]) -> Sequence[BloodMap | Exception]:
        try:
            with self._meter.stage("outline"):
                return method.find(heads)
        except (StorageError, NeedsMemory):
            raise
        except Exception as error:
            return [error] * len(heads)

    def _add_outlines(self, work: _Work, head: Head, outlines: Outlines, flags: Sequence[str]) -> None:
        """Write the outlines, and compute their features; those that were found before, and are not now, keep no failure."""
        kept = outlines.parts[: self._work.settings.parts]
        keys = []
        for number, part in enumerate(kept):
            source = self._work.source(work.given.case, roi_name(number))
            mask_zyx = part.mask_zyx.astype(np.uint8)
            own = found_flags(self._work, flags, number)
            columns = self._guarded(work, partial(mask_columns, mask_zyx, head.hu_zyx, head.grid, part.volume_ml, own))
            input_digest = self._add_mask(work, source, mask_zyx, columns)
            self._add_features(work, source, input_digest, mask_zyx, head.hu_zyx)
            keys.append(source.roi_key)
        work.found = len(kept)
        work.succeeded += [self._whole, *(key for key in work.given.failures if key.roi_key not in ("", *keys))]

    def _add_mask(self, work: _Work, source: RoiSource, mask_zyx: Mask, columns: Row) -> str:
        """Write a mask, unless it is stored as it is, and its row; return the digest of image and mask."""
        given = work.given
        mask_digest = SourceMask(mask_zyx, given.grid, "").mask_digest()
        input_digest = digest(given.image_digest, mask_digest)
        known = given.known.get(source.roi_key)
        stored, generation = store_mask(self._store, self._meter, mask_zyx, given.grid, input_digest, known)
        work.rois.append(
            {
                **roi_identity(given.case, source),
                "outline_spec_id": self._work.outline_spec_id,
                "volume_spec_id": self._work.features.volume_spec_id,
                "image_digest": given.image_digest,
                "mask_digest": mask_digest,
                "input_digest": input_digest,
                "mask_fingerprint": digest(given.image_digest, self._work.outline_spec_id)[:32],
                "path": stored.path,
                "checksum": stored.checksum,
                "generation": generation,
                "mask_format": None,
                **columns,
            }
        )
        return input_digest

    def _add_features(self, work: _Work, source: RoiSource, input_digest: str, mask_zyx: Mask, hu_zyx: Volume) -> None:
        """Compute the features of an outline that lacks them, or compare again those that did not agree."""
        given, key = work.given, source.roi_key
        for features in self._work.features.values:
            own = FailureKey(key, features.spec_id)
            audit = replace(own, scope="audit", input_digest=input_digest)
            if given.standing & {own, audit}:
                continue
            featured = input_digest in given.featured.get((key, features.spec_id), frozenset())
            audit_failed = audit in given.failures
            with work.stopping():
                if not featured or audit_failed:
                    roi = MaskedRoi(
                        roi_key=key,
                        identity=roi_identity(given.case, source),
                        about=About(roi_fingerprint(given, input_digest), given.manifest_row),
                        mask_zyx=mask_zyx,
                        input_digest=input_digest,
                    )
                    audited = audit_failed or features.audits(key)
                    work.features.add(roi, features, hu_zyx, given.grid, featured=featured, audited=audited)
                work.succeeded.append(own)


def _require_found(found: BloodMap | Exception) -> BloodMap:
    if isinstance(found, Exception):
        raise found
    return found
