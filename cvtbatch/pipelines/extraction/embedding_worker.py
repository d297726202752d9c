"""Embeds some outlines on a worker: slices of committed volumes, through the backbone. Returns values; writes no table."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cvtbatch.embedding.batching import embed_items
from cvtbatch.embedding.compute import Compute, Embeddings
from cvtbatch.embedding.preprocessing import Slices, prepare_slices
from cvtbatch.embedding.weights import Weights, from_bytes, load_weights
from cvtbatch.errors import FormatError, InputError, InternalError, StorageError
from cvtbatch.extras import require
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingWork, RoiInput, WeightsRef
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey, failure_of
from cvtbatch.pipelines.extraction.task_cost import Cost, Meter
from cvtbatch.store import FeatureStore

if TYPE_CHECKING:
    from cvtbatch.embedding.backbone import Backbone


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """Outlines to embed together."""

    work: EmbeddingWork
    rois: tuple[RoiInput, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """An outline's slices and their embeddings.

    Attributes:
        index, area_mm2: of each slice.
        largest, smallest: index of the largest and of the smallest of all slices, whether they are among these or not.
        values: (slices, values of the backbone's layer).
        device: that computed them.
    """

    roi: RoiInput
    index: tuple[int, ...]
    area_mm2: tuple[float, ...]
    largest: int
    smallest: int
    values: Embeddings
    device: str


@dataclass(frozen=True, slots=True)
class NotEmbedded:
    """An outline that could not be embedded."""

    roi: RoiInput
    failure: Failure


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """What became of the outlines of a task, and what it took; None where it never came back."""

    rois: tuple[Embedded | NotEmbedded, ...]
    cost: Cost | None = None


def embed_rois(task: EmbeddingTask) -> EmbeddingResult:
    """Do what a task asks for.

    Raises:
        StorageError: the store cannot be read; the fault of the run, not of an outline.
        ResourceError: the device has no room for a single slice.
    """
    meter = Meter()
    work = task.work
    store = FeatureStore(work.weights.store_url)
    backbone = _backbone(work.weights, work.compute)

    def load(roi: RoiInput) -> Slices:
        mask_zyx = np.asarray(store.read_array(roi.mask), dtype=np.uint8)

        def read_slices(indices: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
            return np.asarray(store.read_slices(roi.volume, indices), dtype=np.int16)

        return prepare_slices(mask_zyx, read_slices, roi.spacing_mm, work.preprocessing, roi.part)

    def settle(roi: RoiInput, slices: Slices | Exception, values: Embeddings) -> Embedded | NotEmbedded:
        if isinstance(slices, Exception):
            return NotEmbedded(roi, _failure(roi, work, slices))
        if not np.isfinite(values).all():
            error = InternalError(
                "embedding_not_finite", "the backbone gives values that are not finite for this outline"
            )
            return NotEmbedded(roi, _failure(roi, work, error))
        found = (slices.index, slices.area_mm2, slices.largest, slices.smallest)
        return Embedded(roi, *found, values, backbone.device)

    with meter.stage("embedding"):
        embedded = embed_items(task.rois, lambda roi: roi.slices, load, backbone)
        results = tuple(settle(roi, slices, values) for roi, slices, values in embedded)
    return EmbeddingResult(results, meter.cost())


def _failure(roi: RoiInput, work: EmbeddingWork, error: Exception) -> Failure:
    if isinstance(error, StorageError):
        raise error
    if isinstance(error, FormatError) and not error.message.endswith("--verify-inputs"):
        error = FormatError(
            error.kind, f"{error.message}: run extract with --verify-inputs, which makes it anew", error.private
        )
    return failure_of(
        error,
        FailureKey(roi.source.roi_key, work.embedding_spec_id),
        stage="embedding",
        source_fingerprint=roi.fingerprint,
        manifest_row=roi.manifest_row,
    )


@lru_cache(maxsize=1)
def _backbone(weights: WeightsRef, compute: Compute) -> "Backbone":
    """Load the backbone, once a process and weights."""
    require("embeddings need", "torch", "torchvision")
    from cvtbatch.embedding.backbone import Backbone

    return Backbone(_fetch(weights), compute)


def _fetch(ref: WeightsRef) -> Weights:
    """Return the weights that a run started with.

    Raises:
        FormatError: "weights_missing" or "weights_damaged": the store's are gone, or are not what was written.
        InternalError: "weights_differ": this machine draws others.
    """
    if ref.source.startswith("random:"):
        weights = load_weights(ref.source, ref.architecture)
        if weights.sha256 != ref.sha256:
            raise InternalError(
                "weights_differ",
                f"the weights {ref.source} have SHA-256 {weights.sha256[:12]} on a worker and {ref.sha256[:12]} where the run "
                "started: install one version of NumPy on all machines",
            )
        return weights
    damaged = FormatError(
        "weights_damaged",
        f"the weights {ref.sha256[:12]} in the store are not what was written: remove their file below weights/ and run again, "
        "which writes it anew",
    )
    try:
        data = FeatureStore(ref.store_url).read_weights(ref.sha256)
        weights = from_bytes(data, ref.source, ref.architecture)
    except (InputError, ValueError, KeyError, TypeError):
        raise damaged from None
    if weights.sha256 != ref.sha256:
        raise damaged
    return weights
