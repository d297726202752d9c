"""Embeds some outlines on a worker: slices of committed volumes, through the backbone. Returns values; writes no table."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from cvtbatch.embedding.batching import embed_items
from cvtbatch.embedding.compute import Compute, Embeddings
from cvtbatch.embedding.preprocessing import Part, Preprocessing, Slices, prepare_slices
from cvtbatch.embedding.weights import Weights, from_bytes, load_weights
from cvtbatch.errors import FormatError, InputError, InternalError, StorageError
from cvtbatch.extras import require
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingWork, RoiInput, WeightsRef
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey, failure_of
from cvtbatch.pipelines.extraction.task_cost import Cost, Meter
from cvtbatch.store import ArrayStore

if TYPE_CHECKING:
    from cvtbatch.embedding.backbone import Backbone


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """Outlines to embed together, each under those of the works whose specification it lacks."""

    works: tuple[EmbeddingWork, ...]
    rois: tuple[RoiInput, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """An outline's slices and their embeddings under one specification.

    Attributes:
        index, area_mm2: of each slice.
        largest, smallest: index of the largest and of the smallest of all slices, whether they are among these or not.
        values: (slices, values of the backbone's layer).
        device: that computed them.
    """

    roi: RoiInput
    embedding_spec_id: str
    index: tuple[int, ...]
    area_mm2: tuple[float, ...]
    largest: int
    smallest: int
    values: Embeddings
    device: str


@dataclass(frozen=True, slots=True)
class NotEmbedded:
    """An outline that could not be embedded under one specification."""

    roi: RoiInput
    failure: Failure


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """What became of the outlines of a task, one result a specification, and what it took; None where it never came back."""

    rois: tuple[RoiInput, ...]
    results: tuple[Embedded | NotEmbedded, ...]
    cost: Cost | None = None


def embed_rois(task: EmbeddingTask) -> EmbeddingResult:
    """Do what a task asks for.

    Raises:
        StorageError: the store cannot be read; the fault of the run, not of an outline.
        ResourceError: the device has no room for a single slice.
    """
    meter = Meter()
    backbones = _backbones(tuple((work.weights, work.compute) for work in task.works))
    once = partial(_prepare, ArrayStore(task.works[0].weights.store_url), task.rois)
    # What several networks see alike they share; it is then held until the task ends.
    seen, shared = Counter(work.preprocessing for work in task.works), cache(once)

    def prepare(place: int, preprocessing: Preprocessing, part: Part) -> Slices:
        return (shared if seen[preprocessing] > 1 else once)(place, preprocessing, part)

    with meter.stage("embedding"):
        results = [
            result
            for work, backbone in zip(task.works, backbones, strict=True)
            for result in _embed(task.rois, work, backbone, prepare)
        ]
    return EmbeddingResult(task.rois, tuple(results), meter.cost())


def _prepare(
    store: ArrayStore, rois: Sequence[RoiInput], place: int, preprocessing: Preprocessing, part: Part
) -> Slices:
    """Read and prepare slices of the outline at a place among some."""
    roi = rois[place]
    mask_zyx = np.asarray(store.read_array(roi.mask), dtype=np.uint8)

    def read_slices(indices: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
        return np.asarray(store.read_slices(roi.volume, indices), dtype=np.int16)

    return prepare_slices(mask_zyx, read_slices, roi.spacing_mm, preprocessing, part)


def _embed(
    rois: Sequence[RoiInput],
    work: EmbeddingWork,
    backbone: "Backbone",
    prepare: Callable[[int, Preprocessing, Part], Slices],
) -> Iterator[Embedded | NotEmbedded]:
    """Yield what becomes under one specification of those outlines that lack it."""
    spec_id = work.embedding_spec_id
    own = [place for place, roi in enumerate(rois) if spec_id in roi.parts]

    def load(place: int) -> Slices:
        return prepare(place, work.preprocessing, rois[place].parts[spec_id])

    for place, slices, values in embed_items(own, lambda place: rois[place].slices, load, backbone):
        roi = rois[place]
        if isinstance(slices, Exception):
            yield NotEmbedded(roi, _failure(roi, work, slices))
        elif not np.isfinite(values).all():
            error = InternalError(
                "embedding_not_finite", "the backbone gives values that are not finite for this outline"
            )
            yield NotEmbedded(roi, _failure(roi, work, error))
        else:
            found = (slices.index, slices.area_mm2, slices.largest, slices.smallest)
            yield Embedded(roi, spec_id, *found, values, backbone.device)


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
def _backbones(wanted: tuple[tuple[WeightsRef, Compute], ...]) -> "tuple[Backbone, ...]":
    """Load the backbones of a run, once a process."""
    require("embeddings need", "torch", "torchvision")
    from cvtbatch.embedding.backbone import Backbone

    return tuple(Backbone(_fetch(weights), compute) for weights, compute in wanted)


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
        data = ArrayStore(ref.store_url).read_weights(ref.sha256)
        weights = from_bytes(data, ref.source, ref.architecture)
    except (InputError, ValueError, KeyError, TypeError):
        raise damaged from None
    if weights.sha256 != ref.sha256:
        raise damaged
    return weights
