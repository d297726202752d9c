"""The last stage of a run: outlines whose volume and mask are committed become embedding rows."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from cvtbatch.embedding.compute import CPU_BATCH, CUDA_BATCH, Compute
from cvtbatch.engine import Cluster, Done, Undone
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.dispatcher import Dispatcher
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingPlan, EmbeddingWork, RoiInput, pack, task_slices
from cvtbatch.pipelines.extraction.embedding_worker import (
    Embedded,
    EmbeddingResult,
    EmbeddingTask,
    NotEmbedded,
    embed_rois,
)
from cvtbatch.pipelines.extraction.failure import FailureKey, failure_of
from cvtbatch.pipelines.extraction.failure_events import FailureEvents
from cvtbatch.pipelines.extraction.limits import embedding_limit_s
from cvtbatch.pipelines.extraction.placement import Placement, place
from cvtbatch.pipelines.extraction.report import EmbeddingSummary
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor
from cvtbatch.pipelines.shared.unfinished import why_undone


class EmbeddingStage:
    """Embeds what the plans leave to do, and puts rows and failures into the batch.

    Args:
        works: one a specification; their slices are read and prepared together.
        summaries: count what was embedded, by specification.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        batch: RowBatch,
        monitor: RunMonitor,
        events: FailureEvents,
        works: Sequence[EmbeddingWork],
        summaries: Mapping[str, EmbeddingSummary],
    ) -> None:
        self._dispatcher, self._batch, self._monitor, self._events = dispatcher, batch, monitor, events
        self._works = {work.embedding_spec_id: work for work in works}
        self._summaries = summaries
        self._started = time.monotonic()

    def execute(
        self, plans: Iterable[EmbeddingPlan], write_weights: Callable[[EmbeddingWork], None], plans_are_new: bool
    ) -> None:
        """Work the plans off, and commit batch by batch.

        Args:
            plans: gone through twice, to count and to work, since a million of them are not held.
            write_weights: called before anything is embedded, with every work of which something is.
            plans_are_new: no stage before this one has counted the cases.

        Raises:
            StorageError: the store cannot be read or written.
            ResourceError: the scheduler went away, or the device has no room for a single slice.
        """
        outlines = slices = 0
        lacking = set[str]()
        for plan in plans:
            if plans_are_new:
                self._monitor.plan(plan.reasons())
            if plan.pending:
                self._monitor.work_on(plan.case.manifest_row)
            self._settle(plan)
            outlines += len(plan.pending)
            slices += sum(roi.slices for roi in plan.pending)
            lacking.update(*(roi.parts for roi in plan.pending))
            self._batch.commit_if_due()
        self._monitor.begin_stage("embed", outlines)
        if outlines:
            works = [work for spec_id, work in self._works.items() if spec_id in lacking]
            for work in works:
                write_weights(work)
            self._embed((roi for plan in plans for roi in plan.pending), works, slices)
        self._batch.commit()
        self._monitor.show()

    def _settle(self, plan: EmbeddingPlan) -> None:
        """Count a case by what is known of it now."""
        states, row = self._monitor.states, plan.case.manifest_row
        for ended in plan.ended:
            self._events.end(plan.case, ended)
        if plan.standing:
            states.settle_failed(row, plan.standing)
        if plan.without_input and states.state(row) != "failed":
            states.settle_failed(row, plan.blocked)
        if not plan.pending:
            states.settle(row, plan.idle)

    def _embed(self, pending: Iterable[RoiInput], works: Sequence[EmbeddingWork], slices: int) -> None:
        placed, placement = place_works(works, self._dispatcher.cluster)
        resource = placement.resource
        cuda = resource is not None or (self._dispatcher.cluster.inline and _has_cuda(placed[0].compute))
        batch = max(work.compute.batch or (CUDA_BATCH if cuda else CPU_BATCH) for work in placed)
        packed = pack(pending, batch, task_slices(slices, batch, cuda, placement.workers, len(placed)))
        suspects: list[RoiInput] = []
        tasks = (EmbeddingTask(placed, rois) for rois in packed)
        for outcome in self._dispatcher.run(embed_rois, tasks, embedding_limit_s, resource):
            if isinstance(outcome, Done):
                self._add(outcome.result)
            else:
                self._monitor.take_back(None)
                suspects += outcome.item.rois
        if not suspects:
            return
        # One of them took its workers down; alone, it is found, and the others are done.
        again, placement = place_works(works, self._dispatcher.cluster)
        alone = (EmbeddingTask(again, (roi,)) for roi in suspects)
        for outcome in self._dispatcher.run(embed_rois, alone, embedding_limit_s, placement.resource):
            self._add(outcome.result if isinstance(outcome, Done) else _undone(outcome))

    def _add(self, of_task: EmbeddingResult) -> None:
        """Take what a worker gave back for its outlines."""
        self._monitor.take_back(of_task.cost, len(of_task.rois))
        failed = set[str]()
        for result in of_task.results:
            if isinstance(result, NotEmbedded):
                self._events.add(result.roi, result.failure)
                self._monitor.states.settle_failed(result.roi.case_row, [result.failure])
                failed.add(result.roi.source.roi_key)
            else:
                self._add_rows(result)
        for roi in of_task.rois:
            self._monitor.finish(failed=roi.source.roi_key in failed)
            self._batch.count_item()
        for summary in self._summaries.values():
            summary.seconds = round(time.monotonic() - self._started, 3)
        self._batch.commit_if_due()

    def _add_rows(self, result: Embedded) -> None:
        roi, spec_id = result.roi, result.embedding_spec_id
        self._batch.hold("embeddings", embedding_rows(result, self._works[spec_id]))
        if spec_id in roi.failed_before:
            self._events.end(roi, FailureKey(roi.source.roi_key, spec_id))
        self._monitor.states.settle(roi.case_row, "computed")
        self._summaries[spec_id].rois += 1
        self._summaries[spec_id].slices += len(result.index)


def place_works(works: Sequence[EmbeddingWork], cluster: Cluster) -> tuple[tuple[EmbeddingWork, ...], Placement]:
    """Return the works, of one device, as the workers do them that are chosen for them, and which these are."""
    placement = place(works[0].compute.device, cluster)
    own = (replace(work.compute, device=placement.device, threads=placement.threads) for work in works)
    return tuple(replace(work, compute=compute) for work, compute in zip(works, own, strict=True)), placement


def embedding_rows(result: Embedded, work: EmbeddingWork) -> Iterator[Row]:
    """Yield the `embeddings` rows of an outline, one a slice, without book-keeping."""
    roi = result.roi
    for position, (index, area_mm2) in enumerate(zip(result.index, result.area_mm2, strict=True)):
        yield {
            "roi_key": roi.source.roi_key,
            "case_key": roi.case_key,
            "center": roi.center,
            "case_id": roi.case_id,
            "roi": roi.source.roi,
            "reader": roi.source.reader,
            "reading": roi.source.reading,
            "embedding_spec_id": work.embedding_spec_id,
            "volume_spec_id": work.volume_spec_id,
            "input_digest": roi.input_digest,
            "slice_index": index,
            "area_mm2": area_mm2,
            "is_largest": index == result.largest,
            "is_smallest": index == result.smallest,
            "weights": work.weights.source,
            "not_for_inference": work.not_for_inference,
            "device": result.device,
            "embedding": result.values[position],
        }


def _has_cuda(compute: Compute) -> bool:
    """Say whether this process computes on CUDA."""
    if compute.device == "cpu":
        return False
    from cvtbatch.embedding.device import choose_device

    return choose_device(compute.device, "embedding.device").type == "cuda"


def _undone(outcome: Undone[EmbeddingTask]) -> EmbeddingResult:
    """Return the result of an outline that no worker could embed, alone: under none of the specifications that it lacks."""
    [roi] = outcome.item.rois
    why = why_undone(outcome, "this outline")
    failures = (
        failure_of(
            why,
            FailureKey(roi.source.roi_key, spec_id),
            stage="worker",
            source_fingerprint=roi.fingerprint,
            manifest_row=roi.manifest_row,
        )
        for spec_id in roi.parts
    )
    return EmbeddingResult((roi,), tuple(NotEmbedded(roi, failure) for failure in failures))
