"""The second stage of a run: outlines whose volume and mask are committed become embedding rows."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cvtbatch.embedding.compute import CPU_BATCH, CUDA_BATCH, Compute
from cvtbatch.engine import GPU, Done, Outcome, Undone, run_inline, run_on_workers, worker_slots
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.coordinator import Coordinator
from cvtbatch.pipelines.extraction.embedding_plan import (
    EmbeddingPlan,
    EmbeddingWork,
    RoiInput,
    failure_key,
    pack,
    task_slices,
)
from cvtbatch.pipelines.extraction.embedding_worker import (
    Embedded,
    EmbeddingResult,
    EmbeddingTask,
    NotEmbedded,
    embed_rois,
)
from cvtbatch.pipelines.extraction.failure import failure_of
from cvtbatch.pipelines.extraction.limits import embedding_limit_s
from cvtbatch.pipelines.extraction.report import Progress
from cvtbatch.pipelines.shared.unfinished import why_undone


class EmbeddingStage:
    """Embeds what the plans leave to do, and hands rows and failures to the run's coordinator."""

    def __init__(self, run: Coordinator, work: EmbeddingWork) -> None:
        self.run, self.work = run, work
        self.started = time.monotonic()

    def execute(self, plans: Iterable[EmbeddingPlan]) -> None:
        """Work the plans off, and commit batch by batch.

        Args:
            plans: gone through twice, to count and to work, since a million of them are not held.
        """
        outlines = slices = 0
        for plan in plans:
            self._settle(plan)
            outlines += len(plan.pending)
            slices += sum(roi.slices for roi in plan.pending)
            self.run.commit_if_due()
        self.run.progress = Progress(total=outlines, stage="embed")
        if outlines:
            self._embed((roi for plan in plans for roi in plan.pending), slices)
        self.run.commit()
        self.run.on_progress(self.run.progress)

    def _settle(self, plan: EmbeddingPlan) -> None:
        """Count a case by what is known of it now."""
        run, row = self.run, plan.case.manifest_row
        if not run.settings.extracts:
            run.count_reasons(plan.reasons())
            run.cost.worked_cases += bool(plan.pending)
        for ended in plan.ended:
            run.add_event(plan.case, ended, None)
        if plan.standing:
            run.tally.settle_failed(row, plan.standing)
        if plan.without_input and run.tally.state(row) != "failed":
            run.tally.settle_failed(row, plan.blocked)
        if not plan.pending:
            run.tally.settle(row, "already_done" if plan.case.masked_rois() else "awaiting_mask")

    def _embed(self, pending: Iterable[RoiInput], slices: int) -> None:
        if self.run.settings.weights_file is not None:
            self.run.store.write_weights(self.work.weights.sha256, self.run.settings.weights_file)
        suspects: list[RoiInput] = []
        for outcome in self._outcomes(pending, slices):
            # Before the outcome counts: of an outline that was interrupted, nothing does.
            self.run.on_progress(self.run.progress)
            if isinstance(outcome, Done):
                self._add(outcome.result)
            else:
                self.run.add_cost(None)
                suspects += outcome.item.rois
        # One of them took its workers down; alone, it is found, and the others are done.
        for outcome in self._run([EmbeddingTask(self._placed()[0], (roi,)) for roi in suspects]):
            self._add(outcome.result if isinstance(outcome, Done) else _undone(outcome))

    def _placed(self) -> tuple[EmbeddingWork, str | None, int]:
        """Return the work for the workers that do it, the resource that these advertise, and how many they are.

        They are those that own a GPU, where there are any; without, the CPU is used, since processes that do not own it would
        crowd one GPU.
        """
        compute, cluster = self.work.compute, self.run.cluster
        if cluster.client is None:
            return self.work, None, 1
        gpus = 0 if compute.device == "cpu" else worker_slots(cluster.client, GPU)
        if gpus:
            return self.work, GPU, gpus
        device = "cpu" if compute.device == "auto" else compute.device
        placed = replace(self.work, compute=replace(compute, device=device, threads=cluster.threads))
        return placed, None, max(1, worker_slots(cluster.client))

    def _outcomes(self, pending: Iterable[RoiInput], slices: int) -> Iterator[Outcome[EmbeddingTask, EmbeddingResult]]:
        work, resource, workers = self._placed()
        cuda = resource is not None or (self.run.cluster.client is None and _has_cuda(work.compute))
        batch = work.compute.batch or (CUDA_BATCH if cuda else CPU_BATCH)
        together = task_slices(slices, batch, cuda, workers)
        return self._run(EmbeddingTask(work, rois) for rois in pack(pending, batch, together))

    def _run(self, tasks: Iterable[EmbeddingTask]) -> Iterator[Outcome[EmbeddingTask, EmbeddingResult]]:
        client = self.run.cluster.client
        if client is None:
            return run_inline(embed_rois, self.run.handed_out(tasks))
        return run_on_workers(
            client,
            embed_rois,
            self.run.handed_out(tasks),
            self._placed()[1],
            limit_s=lambda task: embedding_limit_s(task, self.run.settings.job.run.time_limit_s),
            on_wait=self.run.wait,
        )

    def _add(self, of_task: EmbeddingResult) -> None:
        run, summary = self.run, self.run.report.embeddings
        run.add_cost(of_task.cost, len(of_task.rois))
        for result in of_task.rois:
            key = failure_key(result.roi.source.roi_key, self.work.embedding_spec_id)
            if isinstance(result, NotEmbedded):
                run.add_event(result.roi, key, result.failure)
                run.tally.settle_failed(result.roi.case_row, [result.failure])
                run.progress.failed += 1
            else:
                run.batch["embeddings"].extend(self._rows(result))
                if result.roi.failed_before:
                    run.add_event(result.roi, key, None)
                run.tally.settle(result.roi.case_row, "computed")
                summary.rois += 1
                summary.slices += len(result.index)
            run.progress.done += 1
            run.batched_cases += 1
        summary.seconds = round(time.monotonic() - self.started, 3)
        run.commit_if_due()

    def _rows(self, result: Embedded) -> Iterator[Row]:
        roi, work = result.roi, self.work
        for place, (index, area_mm2) in enumerate(zip(result.index, result.area_mm2, strict=True)):
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
                "is_largest": place == result.largest,
                "weights": work.weights.source,
                "not_for_inference": work.not_for_inference,
                "device": result.device,
                "embedding": result.values[place],
            }


def _has_cuda(compute: Compute) -> bool:
    """Say whether this process computes on CUDA."""
    if compute.device == "cpu":
        return False
    from cvtbatch.embedding.backbone import choose_device

    return choose_device(compute.device).type == "cuda"


def _undone(outcome: Undone[EmbeddingTask]) -> EmbeddingResult:
    """Return the result of an outline that no worker could embed, alone."""
    [roi] = outcome.item.rois
    failure = failure_of(
        why_undone(outcome, "this outline"),
        roi_key=roi.source.roi_key,
        spec_id=outcome.item.work.embedding_spec_id,
        scope="extraction",
        stage="worker",
        source_fingerprint=roi.fingerprint,
        manifest_row=roi.manifest_row,
    )
    return EmbeddingResult((NotEmbedded(roi, failure),))
